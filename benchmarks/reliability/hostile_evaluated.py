"""Hostile files that the evaluation reads: models, images, outcomes, checkpoints, units, details and tables."""

import csv
import io
import json
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from agnet.runtime.sealed import read_sealed, write_sealed
from agnet.spaces.darts.genotype import from_genotype
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.conditions import details_table
from benchmarks.reliability import hostile
from benchmarks.reliability.calling import call
from benchmarks.reliability.evaluated import production, trained
from benchmarks.reliability.hostile import CANARY
from benchmarks.reliability.hostile_case import Hostile
from benchmarks.reliability.subject import Reference
from evaluation.attack import main as attack
from evaluation.attacks.outcome import load_outcomes
from evaluation.corruptions import CorruptedImages
from evaluation.data.arrays import image_npz
from evaluation.data.files import read_batches
from evaluation.data.folders import image_folder
from evaluation.export import main as export
from evaluation.report.command import main as report
from evaluation.train_network import main as train
from evaluation.training.final_network import read_checkpoint
from evaluation.training_free.row_log import RowLog


def _exported(shared: Path) -> dict[str, bytes]:
    """Members of a sound file of ``torch.export.save``."""
    path = shared / "sound.pt2"
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 10)).eval()
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(network, (torch.rand(2, 3, 4, 4),), dynamic_shapes=shapes), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _pack(path: str, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _images() -> None:
    rng = np.random.default_rng(0)
    np.savez("images.npz", images=rng.random((8, 3, 4, 4), np.float32), labels=np.arange(8) % 10)


def _attack(model: str, *given: str) -> Callable[[], object]:
    return lambda: call(attack, f"model={model}", "images=images.npz", "attack=[fgsm]", "out=out", *given)


def exported_networks(shared: Path) -> Iterator[Hostile]:
    """Files of ``torch.export.save`` that carry more than a network; ``trust=true`` lets no pickle of theirs run."""
    sound = _exported(shared)
    root = next(iter(sound)).partition("/")[0]

    def ending(end: str) -> str:
        return next(name for name in sound if name.endswith(end))

    def formulas(text: str) -> bytes:
        def changed(value: Any, key: str = "") -> Any:
            if isinstance(value, dict):
                return {k: text if k == "expr_str" else changed(v, k) for k, v in value.items()}
            return [changed(item, key) for item in value] if isinstance(value, list) else value

        return json.dumps(changed(json.loads(sound[ending("models/model.json")]))).encode()

    model = json.loads(sound[ending("models/model.json")])
    changes: dict[str, dict[str, bytes]] = {}
    for said, payload in hostile.payloads().items():
        changes[f"inputs that call {said}"] = {ending("sample_inputs/model.pt"): hostile.torch_saved(payload)}
        changes[f"plain pickled inputs that call {said}"] = {ending("sample_inputs/model.pt"): pickle.dumps(payload)}
        changes[f"weights that call {said}"] = {f"{root}/data/weights/model.pt": hostile.torch_saved(payload)}
        changes[f"constants that call {said}"] = {f"{root}/data/constants/model.pt": hostile.torch_saved(payload)}
    changes |= {
        "a compiled library": {f"{root}/data/aotinductor/model/model.so": b"\x7fELF"},
        "a formula": {ending("models/model.json"): formulas(f"open('{CANARY}', 'w')")},
        "a huge power": {ending("models/model.json"): formulas("9**9**9**9")},
        "a guard": {
            ending("models/model.json"): json.dumps({**model, "guards_code": [f"open('{CANARY}', 'w')"]}).encode()
        },
        "a deep model": {ending("models/model.json"): hostile.deep_object()},
        "a member outside": {"../../ESCAPED": b"x"},
        "an absolute member": {"/tmp/agnet-ESCAPED": b"x"},
        "os.system as operation": {
            ending("models/model.json"): sound[ending("models/model.json")].replace(
                b"torch.ops.aten.linear.default", b"os.system"
            )
        },
        "a text for weights": {ending("weights_config.json"): b'{"config": "x"}'},
    }
    for said, change in changes.items():
        for trust in ("true", "false"):

            def write(change: dict[str, bytes] = change) -> None:
                _images()
                _pack("net.pt2", {**sound, **change})

            yield Hostile(f"attack: pt2 with {said}, trust={trust}", write, _attack("net.pt2", f"trust={trust}"))


class _Writing(nn.Module):
    """A TorchScript program that writes a file."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Write."""
        torch.save(x, "EXECUTED")
        return x.flatten(1)[:, :10]


def models_and_images(shared: Path) -> Iterator[Hostile]:
    """Models in other files, and images."""

    def scripted() -> None:
        _images()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.trace(nn.Flatten(), torch.rand(1, 3, 4, 4)), "net.pt")

    yield Hostile("attack: TorchScript without trust", scripted, _attack("net.pt"))
    for said, payload in hostile.payloads().items():
        for end in ("pt", "pth", "ts"):

            def write(end: str = end, payload: Any = payload) -> None:
                _images()
                Path(f"net.{end}").write_bytes(hostile.torch_saved(payload))

            yield Hostile(f"attack: a pickle that calls {said} as .{end}", write, _attack(f"net.{end}", "trust=true"))

        def objects(payload: Any = payload) -> None:
            Path("images.npz").write_bytes(hostile.npz(images=hostile.npy(payload), labels=hostile.npy(payload)))

        yield Hostile(f"attack: images that call {said}", objects, _attack("torch.nn:Flatten"))
        yield Hostile(f"image_npz: images that call {said}", objects, lambda: image_npz("images.npz"))

        def outcomes(payload: Any = payload) -> None:
            Path("kept.npz").write_bytes(hostile.npz(meta=hostile.npy(payload), settings=hostile.npy(payload)))

        yield Hostile(f"load_outcomes: that call {said}", outcomes, lambda: load_outcomes(Path("kept.npz")))

        def batch(payload: Any = payload) -> None:
            Path("test_batch").write_bytes(pickle.dumps({"data": payload, "labels": [1]}))

        yield Hostile(f"read_batches: a batch that calls {said}", batch, _batch)

        def arrays(payload: Any = payload) -> None:
            Path("C").mkdir()
            np.save("C/labels.npy", np.zeros(10, np.uint8))
            Path("C/fog.npy").write_bytes(hostile.npy(payload))

        yield Hostile(
            f"CorruptedImages: an array that calls {said}", arrays, lambda: CorruptedImages(Path("C")).images("fog", 1)
        )
    claims = hostile.npz(images=hostile.array_header((10**12, 3, 4, 4)), labels=hostile.array_header((10**12,)))
    yield Hostile("image_npz: arrays that claim 48 TB", lambda: Path("images.npz").write_bytes(claims), _npz)
    yield Hostile(
        "attack: arrays that claim 48 TB", lambda: Path("images.npz").write_bytes(claims), _attack("torch.nn:Flatten")
    )
    bomb = shared / "bomb.npz"
    bomb.write_bytes(hostile.zip_bomb("images.npy", 3 * 2**30))
    yield Hostile("image_npz: a zip bomb", lambda: shutil.copy(bomb, "images.npz"), _npz)
    yield Hostile("attack: a zip bomb", lambda: shutil.copy(bomb, "images.npz"), _attack("torch.nn:Flatten"))
    yield Hostile("load_outcomes: a zip bomb", lambda: shutil.copy(bomb, "k.npz"), lambda: load_outcomes(Path("k.npz")))
    for said, content in (("endless text", hostile.endless_pickle()), ("doubling", hostile.doubling_pickle())):
        yield Hostile(f"read_batches: {said}", lambda c=content: Path("test_batch").write_bytes(c), _batch)

    def pixels() -> None:
        """A picture of 60,000 x 60,000 pixels in a few bytes."""
        Path("pictures/a").mkdir(parents=True)
        header = b"P6\n60000 60000\n255\n"
        Path("pictures/a/1.ppm").write_bytes(header)

    yield Hostile("image_folder: a huge picture", pixels, lambda: image_folder("pictures", resize=True))


def _npz() -> object:
    return image_npz("images.npz")


def _batch() -> object:
    return read_batches(Path(), ["test_batch"], prefix="cifar10", size=8, labels="labels", num_labels=10)


def kept_work(shared: Path) -> Iterator[Hostile]:
    """Checkpoints, units and logs that somebody else has put there."""
    network, units = (
        Reference.built(subject, shared)
        for subject in (trained(again=True, weight=1), production(again=True, weight=1))
    )

    def copied(reference: Reference, file: str, content: Callable[[Path], bytes]) -> Callable[[], None]:
        def write() -> None:
            shutil.copytree(reference.folder, ".", dirs_exist_ok=True)
            path = Path(file)
            path.write_bytes(content(path))

        return write

    for said, payload in hostile.payloads().items():
        raw = hostile.torch_saved(payload)

        def sealed(path: Path, raw: bytes = raw) -> bytes:
            header = path.read_bytes().split(b"\n", 1)[0].partition(b" {")[2]
            about = json.loads(b"{" + header)
            write_sealed(path, raw, kind=about["kind"], identity=about["identity"])
            read_sealed(path, kind=about["kind"])
            Path("out/result.json").unlink()
            return path.read_bytes()

        def plain(path: Path, raw: bytes = raw) -> bytes:
            Path("out/result.json").unlink()
            return raw

        file = "out/checkpoint.pt"
        yield Hostile(
            f"train_network: checkpoint.pt that calls {said}", copied(network, file, plain), network.subject.read
        )
        yield Hostile(
            f"train_network: sealed checkpoint.pt that calls {said}",
            copied(network, file, sealed),
            network.subject.read,
        )
        yield Hostile(
            f"read_checkpoint: that calls {said}",
            lambda raw=raw: Path("checkpoint.pt").write_bytes(raw),
            lambda: read_checkpoint(Path("checkpoint.pt")),
        )
    file = next(file for file in units.subject.files if file.endswith(".gz"))
    bomb = hostile.gzip_bomb(8 * 2**30)
    yield Hostile(
        "produce: a unit that is a gzip bomb", copied(units, file, lambda _: bomb), units.subject.read, refused=False
    )
    for file in (file, "protocol.json"):
        yield Hostile(
            f"produce: deep {file.partition('/')[0]}",
            copied(units, file, lambda _: hostile.deep_json()),
            units.subject.read,
            refused=False,
        )
    yield Hostile(
        "rows of measures: deep line",
        lambda: Path("r.jsonl").write_bytes(hostile.deep_object() + b"\n"),
        lambda: RowLog(Path("r.jsonl"), {}),
    )


def genotypes() -> Iterator[Hostile]:
    """Texts that claim to be cells."""
    for said, text in hostile.GENOTYPES.items():
        yield Hostile(f"from_genotype: {said}", lambda: None, lambda t=text: from_genotype(t))

        def given(text: str = text) -> None:
            Path("cell.txt").write_text(text, encoding="utf-8")

        def read() -> object:
            return call(train, "architecture=cell.txt", "dataset=digits", "out=out", "progress=false")

        yield Hostile(f"train_network: a text file with {said}", given, read)
    deep = {"deep lists": hostile.deep_json(), "deep objects": hostile.deep_object(), "no best": b"{}"}
    for said, content in deep.items():
        yield Hostile(
            f"train_network: a result.json with {said}",
            lambda c=content: Path("result.json").write_bytes(c),
            lambda: call(train, "architecture=result.json", "dataset=digits", "out=out", "progress=false"),
        )


def _looked() -> str:
    """What is wrong with a report: a cell that a spreadsheet runs, or a tag that a browser runs."""
    for path in Path("out").rglob("*"):
        if path.suffix == ".csv":
            cells = [cell for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))) for cell in row]
            if formulas := [cell for cell in cells if cell.startswith(("=", "@", "+")) and not _is_number(cell)]:
                return f"{path} holds the formula {formulas[0]!r}"
        elif path.suffix in (".html", ".md") and "<script>alert(1)" in path.read_text(encoding="utf-8"):
            return f"{path} holds the script"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def names() -> Iterator[Hostile]:
    """Details and tables whose names are paths, scripts or formulas."""
    cells = NASBench201().enumerate()

    def row(number: int, **names: str) -> dict[str, Any]:
        return {
            **{"architecture": cells[number], "seed": 0, "dataset": "cifar10", "split": "test", "kind": "attack"},
            **{"key": "pgd", "level": 1.0, "images": 9, "accuracy": 50.0, "confidence": 0.5, "confidence_right": None},
            **{"confidence_wrong": 0.5, "confidence_true": 0.4, "forwards": 1.0, "gradients": 0.0},
            **{"confusion": [1, 2, 3, 4], "robust": b"ab"},
            **names,
        }

    for said, name in hostile.NAMES.items():
        for part in ("dataset", "key", "architecture"):

            def write(part: str = part, name: str = name) -> None:
                table = details_table(
                    [row(number, **{part: name}) for number in (0, 1, 2)][: 1 if part == "architecture" else 3]
                )
                pq.write_table(table, "details.parquet")

            dangerous = part == "architecture" or "/" in name or "\\" in name or name in ("..", ".", "", "a\0b")
            yield Hostile(
                f"export: {part} named {said}",
                write,
                lambda: call(export, "details=details.parquet", "out=out", "progress=false"),
                refused=dangerous,
            )

        def table(name: str = name) -> None:
            chosen = cells[:200]
            values = pa.array(np.linspace(10, 90, len(chosen)))
            columns = {f"cifar10_test{end}": values for end in ("", "_pgd_eps1", "_fgsm_eps1")}
            pq.write_table(pa.table({"architecture": list(chosen), **columns}), "table.parquet")
            extra = {"architecture": list(chosen), f"{name}_test": values, name or "x": values}
            pq.write_table(pa.table(extra), "more.parquet")
            pq.write_table(pa.table({**columns, **extra}), f"{CANARY.lower()}.parquet")

        for tables in ("table=table.parquet", f"table={CANARY.lower()}.parquet"):
            more = ("tables=[more.parquet]",) if tables == "table=table.parquet" else ()
            yield Hostile(
                f"report: a column named {said} in {'another' if more else 'the'} table",
                table,
                lambda t=tables, m=more: call(report, t, *m, "out=out"),
                refused=False,
                look=_looked,
            )


def cases(shared: Path) -> list[Hostile]:
    """All of them."""
    return [
        *exported_networks(shared),
        *models_and_images(shared),
        *kept_work(shared),
        *genotypes(),
        *names(),
    ]
