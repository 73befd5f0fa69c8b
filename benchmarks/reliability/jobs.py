"""Tiny command lines of the commands that work for longer than a moment, and the inputs they read."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from agnet.runtime.files import write_bytes
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import write_table
from benchmarks.reliability.tiny_model import CLASSES, SIZE

IMAGES, SOURCE, ROBUST, OWN = "images.npz", "source", "robust.parquet", "own.parquet"
"""Inputs below the shared folder: images, a benchmark to import, a robustness table, and a table to search."""

VERSION = 1000.0
"""By how much all numbers of a table's next version differ, so that each number tells its version."""


@dataclass(frozen=True)
class Job:
    """A command line.

    Attributes:
        name: tells it from the others.
        module: the command's module.
        options: its overrides; ``{out}`` stands for the folder that it fills, ``{shared}`` for the inputs'.
        workers: whether it starts processes of its own.
    """

    name: str
    module: str
    options: tuple[str, ...]
    workers: bool = False

    def arguments(self, out: Path, shared: Path) -> list[str]:
        """The overrides for these folders."""
        return [option.replace("{out}", str(out)).replace("{shared}", str(shared)) for option in self.options]


def search(name: str, *options: str) -> Job:
    """A search of a few rounds."""
    short = ("initial=8", "batch=8", "logger=none", "run_dir={out}")
    return Job(f"search {name}", "search.run", (*short, *options))


_EVALUATE = (
    *("num_architectures=3", "draw_seed=0", "group_size=1", "dataset.num_valid=40", "dataset.num_test=30"),
    *("network.channels=2", "recipe.epochs=1", "attack=[fgsm_digits]", "out={out}"),
)
_COMPARE = ("optimizers=[random_search,local_search]", "seeds=2", "budget=24", "initial=8", "batch=8", "out={out}")
_PRETRAIN = (
    *("schedule.steps=12", "schedule.batch_size=16", "draws=40", "generator.state=8", "generator.latent_size=8"),
    "out={out}",
)
_ATTACK = ("model=benchmarks.reliability.tiny_model:build", "images={shared}/" + IMAGES, "out={out}")
_TRAIN = (
    *("architecture=pdarts", "dataset=digits", "dataset.num_valid=1300", "stream.crop_padding=1", "stream.cutout=2"),
    *("stream.flip=false", "network.cells=3", "network.channels=1", "network.auxiliary=false"),
    *("recipe.batch_size=64", "recipe.epochs=2", "save_every=1", "out={out}"),
)

RANDOM = search("random_search", "optimizer=random_search", "budget=64", "save_every=0", "plot=false")
OTHER_SEED = search("random_search of seed 1", *("optimizer=random_search", "budget=64", "plot=false", "seed=1"))
OWN_TABLE = search(
    "random_search of an own table",
    *(
        "optimizer=random_search",
        "budget=32",
        "plot=false",
        "objective=table",
        "objective.tables=[{shared}/" + OWN + "]",
    ),
    *("objective.maximize=[own_valid]", "objective.report=[own_test]"),
)
SEARCHES = (
    RANDOM,
    search("regularized_evolution", "optimizer=regularized_evolution", "budget=64", "save_every=0", "plot=false"),
    search("local_search", "optimizer=local_search", "budget=64"),
    search("agnet", "optimizer=agnet", "budget=24", "save_every=0", "plot=false"),
    search("agnet_xgb", "optimizer=agnet_xgb", "budget=24", "save_every=0", "plot=false"),
    search("bananas", "optimizer=bananas", "budget=24", "save_every=0", "plot=false"),
    search("xgboost_enumerate", "optimizer=xgboost_enumerate", "budget=24", "plot=false"),
)
COMPARE = Job("compare with 2 workers", "search.compare", (*_COMPARE, "executor.workers=2"), workers=True)
COMPARE_INLINE = Job("compare", "search.compare", (*_COMPARE, "executor=inline"))
COMPARE_OWN = Job(
    "compare on an own table",
    "search.compare",
    (*_COMPARE, "executor=inline", *(o for o in OWN_TABLE.options if o.startswith("objective"))),
)
PRETRAIN = Job("pretrain", "search.pretrain", _PRETRAIN)
PRETRAIN_NOISE = Job("pretrain with noise", "search.pretrain", (*_PRETRAIN, "pairing=noise"))
PRETRAIN_OTHER = Job("pretrain of another space", "search.pretrain", (*_PRETRAIN, "space=transnas_micro"))
EVALUATE = Job("evaluate", "evaluation.run", (*_EVALUATE, "executor=inline"))
EVALUATE_WORKERS = Job("evaluate with 2 workers", "evaluation.run", (*_EVALUATE, "executor.workers=2"), workers=True)
SHARES = tuple(
    Job(f"evaluate, share {k} of 2", "evaluation.run", (*_EVALUATE, "executor=inline", f"share=[{k},2]"))
    for k in (1, 2)
)
ATTACK = Job("attack", "evaluation.attack", (*_ATTACK, "attack=[fgsm_digits,pgd_digits,square_digits]"))
ATTACK_OTHER = Job("attack with APGD", "evaluation.attack", (*_ATTACK, "attack=[apgd_digits]"))
CORRUPT = Job(
    "corrupt",
    "evaluation.corrupt",
    ("dataset=digits", "corruptions=[fog,contrast,gaussian_noise,jpeg_compression]", "num_images=150", "out={out}"),
)
CORRUPT_OTHER = Job(
    "corrupt by others", "evaluation.corrupt", ("dataset=digits", "corruptions=[snow]", "num_images=150", "out={out}")
)
MEASURE = Job(
    "measure",
    "evaluation.measure",
    (
        "num_architectures=6",
        "repeats=1",
        "measure@measures=[synflow,naswot,parameters]",
        "table={out}/table.parquet",
    ),
)
REPORT = Job("report", "evaluation.report", ("table={shared}/" + ROBUST, "out={out}"))
TRAIN = Job("train_network", "evaluation.train_network", _TRAIN)
IMPORT = Job(
    "import_table", "search.import_table", ("importer=robustness", "path={shared}/" + SOURCE, "out={out}/table.parquet")
)

JOBS = (*SEARCHES, PRETRAIN, EVALUATE, ATTACK, CORRUPT, MEASURE, REPORT, TRAIN, IMPORT, COMPARE, EVALUATE_WORKERS)
"""Everything that is killed."""


def prepare(shared: Path) -> None:
    """Write the inputs."""
    rng = np.random.default_rng(0)
    images = rng.random((40, 1, SIZE, SIZE)).astype(np.float32)
    np.savez(shared / IMAGES, images=images, labels=rng.integers(0, CLASSES, 40))
    _write_source(shared / SOURCE)
    write_robust(shared / ROBUST, 0)
    write_own(shared / OWN, 0)


def write_own(path: Path, version: int) -> None:
    """A table to search, of one of the versions."""
    draw, cells = random.Random(0), NASBench201().enumerate()
    valid, test = ([draw.random() + VERSION * version for _ in cells] for _ in range(2))
    write_table(path, pa.table({"architecture": list(cells), "own_valid": valid, "own_test": test}), {"dataset": "own"})


def write_robust(path: Path, version: int) -> None:
    """A robustness table of a few cells, of one of the versions."""
    draw, cells = random.Random(version), NASBench201().enumerate()[:60]
    names = ["digits_test", "digits_test_fgsm_eps8", "digits_test_fgsm_eps16"]
    columns = {name: [100 * draw.random() for _ in cells] for name in names}
    write_table(path, pa.table({"architecture": list(cells), **columns}), {"dataset": "digits"})


def _write_source(folder: Path) -> None:
    """A benchmark in the layout of the robustness dataset."""
    draw, cells = random.Random(0), NASBench201().enumerate()[:3000]
    ids = {str(i): {"nb201-string": cell, "isomorph": str(i)} for i, cell in enumerate(cells)}
    write_bytes(folder / "meta.json", json.dumps({"ids": ids, "epsilons": {}}).encode())
    for name in ("cifar10", "cifar100", "ImageNet16-120"):
        values = {name: {"clean": {"accuracy": {i: draw.random() for i in ids}}}}
        write_bytes(folder / name / "clean_accuracy.json", json.dumps(values).encode())
