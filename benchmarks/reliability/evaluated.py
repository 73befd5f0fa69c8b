"""Subjects of the evaluation: productions, attacks, corrupted images, trained networks, measured rows, images."""

import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agnet.runtime.digests import of_arrays, of_file
from agnet.runtime.executors import InlineExecutor
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.conditions import details_table
from benchmarks.reliability.calling import call
from benchmarks.reliability.subject import Subject, differ_in_part
from evaluation.attack import main as attack
from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.outcome import load_outcomes, save_outcomes
from evaluation.corruptions import CorruptedImages, write_corrupted
from evaluation.data.arrays import image_npz
from evaluation.data.bundled import digits
from evaluation.data.files import read_batches
from evaluation.data.images import ImageSplits
from evaluation.production.merge import representatives
from evaluation.production.produce import produce
from evaluation.production.protocol import Protocol
from evaluation.production.published_json import chosen_rows, measurements, write_tree
from evaluation.production.store import PROTOCOL, Store
from evaluation.production.unit import Unit
from evaluation.train_network import load_network
from evaluation.train_network import main as train
from evaluation.training.sgd import Recipe
from evaluation.training_free.row_log import RowLog
from search.importers.robustness import RobustnessDataset

_CELLS = 3


@cache
def _space() -> NASBench201:
    return NASBench201()


@cache
def _protocol(epsilon: int = 8) -> Protocol:
    found = digits()
    images = ImageSplits("tiny", 10, found.train.first(96), found.valid.first(30), found.test.first(25))
    recipe = Recipe(epochs=1, batch_size=32)
    return Protocol(images, 2, 1, recipe, [FGSM([epsilon / 255])], group_size=1)


def _units() -> list[Unit]:
    return [Unit(cell, 0) for cell in representatives(_space())[:_CELLS]]


def _produce(epsilon: int = 8) -> None:
    cells = representatives(_space())
    produce(_protocol(epsilon), cells[:_CELLS], Path(), executor=InlineExecutor(), catalogue=cells, progress=False)


def _records() -> dict[str, Any]:
    found = Store(Path(), _protocol()).find(_units()).records
    return {str(unit): [record.columns, record.outcomes] for unit, record in found.items()}


def _unit_files() -> list[str]:
    store = Store(Path(), _protocol())
    return [str(store.path(unit)) for unit in _units()]


def production(*, again: bool, weight: int) -> Subject:
    """Units of a production: read back, or produced again by the same call."""

    def read() -> dict[str, Any]:
        if again:
            _produce()
        else:
            Store(Path(), _protocol()).claim()
        return _records()

    name = "production, continued" if again else "production, read"
    files = [*_unit_files(), PROTOCOL]
    chosen = None if again else differ_in_part
    return Subject(name, files, lambda variant: _produce(8 + variant), read, weight, *([chosen] if chosen else []))


def _network(variant: int) -> nn.Module:
    torch.manual_seed(variant)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 10)).eval()


def _images(variant: int, shape: tuple[int, ...] = (20, 3, 4, 4)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(variant)
    stored = torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng)
    return stored, torch.arange(len(stored)) % 10


def kept_attack(weight: int) -> Subject:
    """The file of one attack; which attack's it is, its name says, and the command asks for."""
    path = Path("fgsm.npz")

    def build(variant: int) -> None:
        pixels, labels = _images(variant)
        save_outcomes(path, evaluate(_network(0), pixels, labels, [FGSM([1 / 255, 8 / 255])], seed=variant))

    def read() -> dict[str, Any]:
        found = load_outcomes(path)
        outcomes = [
            {k: of_arrays(v) if isinstance(v, torch.Tensor) else v for k, v in asdict(o).items()}
            for o in found.outcomes
        ]
        return {"outcomes": outcomes, "settings": found.settings, "checks": str(found.checks)}

    return Subject("outcomes of an attack", (path.name,), build, read, weight, replaceable=False)


_MODEL = """import torch

def make():
    torch.manual_seed({seed})
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 10)).eval()
"""


def attacked(weight: int) -> Subject:
    """The folder of an attack, continued by the same command."""

    def command() -> None:
        call(attack, "model=attacked_network:make", "images=images.npz", "out=out", "attack=[fgsm]")

    def build(variant: int) -> None:
        pixels, labels = _images(0)
        Path("attacked_network.py").write_text(_MODEL.format(seed=variant), encoding="utf-8")
        np.savez("images.npz", images=pixels.numpy(), labels=labels.numpy())
        command()
        for file in Path("out/attacks").iterdir():  # its name holds digests
            file.with_name("fgsm.npz").hardlink_to(file)

    def read() -> list[str]:
        kept = Path("out/attacks/fgsm.npz")
        _take_back(kept)
        command()
        with np.load("out/images.npz") as images:
            arrays = [of_arrays(images[name]) for name in sorted(images.files)]
        return [Path("out/summary.csv").read_text(encoding="utf-8"), *arrays]

    files = ("out/attacks/fgsm.npz", "out/images.npz", "out/summary.csv", "out/evaluation.json")
    return Subject("attack, continued", files, build, read, weight)


def _take_back(kept: Path) -> None:
    """Give the damaged file its own name again."""
    (named,) = (path for path in kept.parent.iterdir() if path != kept and path.suffix == ".npz")
    named.unlink()
    if kept.exists():
        kept.rename(named)


def corrupted(*, again: bool, weight: int) -> Subject:
    """A folder of corrupted images: read, or written again by the same call."""
    names = ("fog", "contrast")

    def write(variant: int) -> None:
        write_corrupted(Path("C"), *_images(0, (4, 3, 8, 8)), seed=variant, names=names)

    def read() -> dict[str, str]:
        if again:
            write(0)
            return {path.name: of_file(path) for path in Path("C").glob("*.npy")}
        found = CorruptedImages(Path("C"), num_classes=10)
        parts = {f"{name} {level}": found.images(name, level) for name in found.names for level in (1, 5)}
        return {name: of_arrays(images, labels) for name, (images, labels) in parts.items()}

    files = [f"C/{name}" for name in ("fog.npy", "contrast.npy", "labels.npy", "corruptions.json")]
    name = "corrupted images, continued" if again else "corrupted images, read"
    return Subject(name, files, write, read, weight)


_TRAIN = (
    *("network.cells=3", "network.channels=4", "recipe.batch_size=64", "architecture=pdarts", "dataset=digits"),
    *("dataset.num_valid=900", "stream.crop_padding=1", "stream.cutout=2", "stream.flip=false", "recipe.epochs=1"),
    *("out=out", "progress=false"),
)


def _weights() -> dict[str, str]:
    return {name: of_arrays(value) for name, value in load_network(Path("out")).state_dict().items()}


def trained(*, again: bool, weight: int) -> Subject:
    """The folder of a trained network: loaded, or continued by the same command."""

    def build(variant: int) -> None:
        call(train, *_TRAIN, f"seed={variant}")

    def read() -> dict[str, Any]:
        if not again:
            return _weights()
        call(train, *_TRAIN)
        rows = [json.loads(line) for line in Path("out/history.jsonl").read_text(encoding="utf-8").splitlines()]
        return {"weights": _weights(), "history": [{k: v for k, v in row.items() if k != "seconds"} for row in rows]}

    files = ["out/weights.safetensors", "out/result.json"]
    files += ["out/checkpoint.pt", "out/history.jsonl", "out/config.yaml"] if again else []
    return Subject("trained network, continued" if again else "trained network, loaded", files, build, read, weight)


def rows(weight: int) -> Subject:
    """The rows that evaluation.measure has so far."""
    path = Path("table.parquet.rows.jsonl")

    def log(variant: int) -> RowLog:
        return RowLog(path, {"seed": variant, "images": "0f"})

    def build(variant: int) -> None:
        found, rng = log(variant), np.random.default_rng(variant)
        for i in range(40):
            found.append(f"cell {i}", {"naswot": float(rng.normal()), "flops": float(rng.integers(10**6))})

    return Subject("rows of measures", (path.name,), build, lambda: log(0).rows, weight, differ_in_part)


def tree(weight: int) -> Subject:
    """An exported tree in the published layout, imported again."""
    cells = NASBench201().enumerate()

    levels = (("clean", "clean", 0), ("attack", "fgsm", 0.5), ("attack", "fgsm", 1), ("attack", "pgd", 1))

    def build(variant: int) -> None:
        rng = np.random.default_rng(variant)
        found = [
            {
                **{"architecture": cells[number], "seed": 0, "dataset": "cifar10", "split": "test", "kind": kind},
                **{"key": key, "level": float(level), "images": 9, "accuracy": float(rng.uniform(0, 100))},
                **{"confidence": float(rng.uniform(0, 1)), "confidence_right": None, "confidence_wrong": 0.5},
                **{"confidence_true": 0.4, "forwards": 1.0, "gradients": 0.0, "confusion": [1, 2, 3, 4]},
                "robust": b"ab",
            }
            for number in (0, 1, 2)
            for kind, key, level in levels
        ]
        chosen, seed = chosen_rows(details_table(found), "test", None)
        about = {"content_sha256": "0f", "split": "test", "seed": seed}
        write_tree(Path("tree"), measurements(chosen, _space(), {}), _space(), about, force=False, progress=False)

    def read() -> list[dict[str, Any]]:
        found = RobustnessDataset().read(Path("tree"), progress=False)
        rows = found.to_pylist()
        return [row for row in rows if any(value is not None for key, value in row.items() if key != "architecture")]

    names = ("cifar10/clean_accuracy.json", "cifar10/fgsm@Linf_accuracy.json", "cifar10/pgd@Linf_accuracy.json")
    return Subject("exported tree", [*(f"tree/{name}" for name in names), "tree/meta.json"], build, read, weight)


def images(name: str, file: str, build: Callable[[int], None], load: Callable[[], Any], weight: int) -> Subject:
    """Images of the user's, which nothing describes but the digest that an unfinished table keeps of them."""
    log = Path("rows.jsonl")

    def settings() -> dict[str, str]:
        return {"images": of_arrays(*load())}

    def make(variant: int) -> None:
        build(variant)
        RowLog(log, settings()).append("cell", {"naswot": 1.0})

    return Subject(name, (file,), make, lambda: RowLog(log, settings()).rows, weight)


def _npz(variant: int) -> None:
    pixels, labels = _images(variant, (60, 3, 8, 8))
    np.savez("images.npz", images=pixels.numpy(), labels=labels.numpy())


def _own() -> tuple[torch.Tensor, ...]:
    found = image_npz("images.npz")
    return tuple(part for split in (found.train, found.valid, found.test) for part in (split.stored, split.labels))


def _batch(variant: int) -> None:
    pixels, labels = _images(variant, (30, 3, 8, 8))
    content = {"data": pixels.reshape(30, -1).numpy(), "labels": labels.tolist()}
    Path("test_batch").write_bytes(pickle.dumps(content, protocol=2))


def _official() -> tuple[np.ndarray, np.ndarray]:
    return read_batches(Path(), ["test_batch"], prefix="cifar10", size=8, labels="labels", num_labels=10)


def subjects() -> list[Subject]:
    """All of them."""
    return [
        production(again=False, weight=150),
        production(again=True, weight=30),
        kept_attack(130),
        attacked(40),
        corrupted(again=False, weight=120),
        corrupted(again=True, weight=40),
        trained(again=False, weight=80),
        trained(again=True, weight=50),
        rows(120),
        tree(80),
        images("images in an npz", "images.npz", _npz, _own, 80),
        images("official batch of images", "test_batch", _batch, _official, 80),
    ]
