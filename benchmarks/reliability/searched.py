"""Subjects of the search: run folders, finished or not, comparisons, tables and generators."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from agnet.generator.checkpoints import MANIFEST, load_generator, record
from agnet.runtime.digests import of_arrays
from agnet.runtime.paths import CHECKPOINT_DIR, CONF_DIR
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.conditions import details_table, read_details, write_details
from agnet.tables.robustness import RobustnessTable
from agnet.tables.table import column_names, read_metadata, read_table, write_table
from benchmarks.reliability.calling import call
from benchmarks.reliability.subject import Subject
from search.compare import main as compare
from search.history import read_queries
from search.loggers import NoLogger
from search.run import execute

TABLE = "table.parquet"
RUN = Path("run")

_ROWS = 600
_RUN_FILES = ("run/state.pt", "run/history.jsonl", "run/config.yaml")


class _Interrupted(BaseException):
    """Nothing that any handler expects."""


class Interrupting(NoLogger):
    """A logger that ends a search before its budget is spent.

    Args:
        queries: number of queries after which the search is interrupted.
    """

    def __init__(self, queries: int) -> None:
        self._queries = queries

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Interrupt."""
        if step >= self._queries:
            raise _Interrupted


def small_table(variant: int) -> None:
    """Write a made-up table of some NAS-Bench-201 cells into the current folder."""
    cells = NASBench201().enumerate()[::26][:_ROWS]
    rng = np.random.default_rng(variant)
    columns = {name: np.round(rng.uniform(10, 95, len(cells)), 2) for name in ("tiny_valid", "tiny_test")}
    columns["tiny_cpu_latency_ms"] = np.round(rng.uniform(0.1, 2, len(cells)), 3)
    write_table(Path(TABLE), pa.table({"architecture": list(cells), **columns}), {"space": "nasbench201"})


SMALL = (
    f"objective.tables=[{TABLE}]",
    "objective.maximize=[tiny_valid]",
    "objective.minimize=[tiny_cpu_latency_ms]",
    "objective.report=[tiny_test]",
    *("objective=table", "budget=48", "initial=16", "batch=16", "progress=false"),
)
"""Settings of a search on the made-up table."""


def _config(optimizer: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("search", [*SMALL, f"optimizer={optimizer}", "plot=false", "save_every=0"])


def untimed(value: Any) -> Any:
    """Plain values without those that tell times."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if "seconds" not in str(key)}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def search(optimizer: str, *, finished: bool, weight: int) -> Subject:
    """A run folder with its table beside it, continued by the same command."""
    config = _config(optimizer)

    def run(changes: Mapping[str, Any]) -> dict[str, Any]:
        cfg = DictConfig({**config, **changes})
        return execute(cfg, optimizer_name=optimizer, run_directory=RUN)

    def build(variant: int) -> None:
        small_table(0)
        try:
            logger = {"_target_": f"{__name__}.{Interrupting.__name__}", "queries": 32}
            run({"seed": variant, **({} if finished else {"logger": logger})})
        except _Interrupted:
            pass

    def read() -> dict[str, Any]:
        result = run({})
        queries = [(q.architecture, q.values, q.round) for q in read_queries(RUN / "history.jsonl")]
        return {"result": untimed(result), "queries": queries}

    files = (*_RUN_FILES, *(("run/result.json", "run/seal.json") if finished else ()))
    state = "finished" if finished else "unfinished"
    return Subject(f"{state} search by {optimizer}", files, build, read, weight)


def table_of_a_search(weight: int) -> Subject:
    """The table that an unfinished search goes on with."""
    subject = search("random_search", finished=False, weight=weight)

    def build(variant: int) -> None:
        if variant:
            small_table(variant)
        else:
            subject.build(variant)

    return Subject("table of an unfinished search", (TABLE,), build, subject.read, weight)


def comparison(weight: int) -> Subject:
    """A finished comparison, reported again; a figure would take longer than all else, and is nothing that is read."""
    optimizers = ("random_search", "regularized_evolution")
    files = ("state.pt", "history.jsonl", "config.yaml", "result.json", "seal.json")

    def run(variant: int) -> str:
        from search.comparison import figures

        figures.plot_problem = lambda *_: None
        given = (f"first_seed={variant}", f"optimizers=[{','.join(optimizers)}]", "seeds=2", "executor=inline")
        return call(compare, *SMALL, *given, "plot=false", "out=out")

    def build(variant: int) -> None:
        small_table(0)
        run(variant)

    def read() -> list[str]:
        run(0)
        text = Path("out/report.md").read_text(encoding="utf-8")
        tables = text.partition("## How long")[0].splitlines()
        rows = Path("out/queries.csv").read_text(encoding="utf-8").splitlines()
        return [_without_times(rows[0], row) for row in rows] + [
            line for line in tables if "seconds" not in line and "revision" not in line
        ]

    folders = [f"out/runs/nasbench201/{optimizer}/seed0" for optimizer in optimizers]
    return Subject(
        "comparison",
        [f"{folder}/{file}" for folder in folders for file in files],
        build,
        read,
        weight,
        replaceable=False,
    )


def _without_times(header: str, row: str) -> str:
    kept = [i for i, name in enumerate(header.split(",")) if "seconds" not in name]
    cells = row.split(",")
    return ",".join(cells[i] for i in kept if i < len(cells))


def _seen(path: Path) -> dict[str, Any]:
    names = column_names([path])
    values = read_table([path], names, missing="keep")
    return {"metadata": read_metadata(path), "columns": names, "values": values.identity}


def table(name: str, write: Callable[[], None], weight: int) -> Subject:
    """A table that is read alone; one by another hand has no hashes, so nothing tells which table it has to be."""

    def build(variant: int) -> None:
        write()

    return Subject(name, (TABLE,), build, lambda: _seen(Path(TABLE)), weight, replaceable=False)


def bundled(name: str) -> Callable[[], None]:
    """Copies a table of the project."""
    return lambda: shutil.copy(CHECKPOINT_DIR / name, TABLE)


def queried_table(weight: int) -> Subject:
    """The bundled table as :class:`~agnet.tables.robustness.RobustnessTable` gives it out."""

    def read() -> dict[str, Any]:
        found = RobustnessTable.read(TABLE)
        values = {column.name: of_arrays(found.table[column.name].to_numpy()) for column in found.known}
        return {"values": values, "architectures": list(found.architectures), "metadata": dict(found.metadata)}

    def build(variant: int) -> None:
        bundled("nasbench201_digits.parquet")()

    return Subject("robustness table", (TABLE,), build, read, weight, replaceable=False)


def details(weight: int) -> Subject:
    """Details of a production, read for an export."""

    def build(variant: int) -> None:
        rng, cells = np.random.default_rng(0), NASBench201().enumerate()
        rows = [
            {
                **{
                    "architecture": cells[i],
                    "seed": 0,
                    "dataset": "tiny",
                    "split": "test",
                    "kind": "attack",
                    "key": "pgd",
                },
                **{"level": float(level), "images": 9, "accuracy": float(rng.uniform(0, 100)), "confidence": 0.5},
                **{"confidence_right": None, "confidence_wrong": 0.5, "confidence_true": 0.4, "forwards": 1.0},
                **{"gradients": 1.0, "confusion": rng.integers(0, 9, 9).tolist(), "robust": rng.bytes(2)},
            }
            for i in range(0, 4000, 40)
            for level in (1, 2, 4)
        ]
        write_details(Path(TABLE), details_table(rows), {"protocol": '{"mode": "published"}'})

    def read() -> dict[str, Any]:
        found = read_details(Path(TABLE))
        return {"rows": found.to_pylist(), "metadata": read_metadata(Path(TABLE))}

    return Subject("details of a table", (TABLE,), build, read, weight, replaceable=False)


def generator(weight: int) -> Subject:
    """A generator and its manifest; what the manifest notes for people is not read."""
    name, space = "generator_nasbench201.safetensors", NASBench201()

    def build(variant: int) -> None:
        for file in (name, MANIFEST):
            shutil.copy(CHECKPOINT_DIR / file, file)
        if variant:
            shutil.copy(CHECKPOINT_DIR / name.replace(".", "_noise."), name)
            record(Path(name), {"model": {"num_types": 1, "max_nodes": 1}})

    def read() -> dict[str, str]:
        model, _ = load_generator(space, name)
        return {key: of_arrays(value) for key, value in model.state_dict().items()}

    return Subject("generator", (name, MANIFEST), build, read, weight)


def subjects() -> list[Subject]:
    """All of them."""
    two = ("random_search", "regularized_evolution")
    return [
        *(search(name, finished=False, weight=150) for name in two),
        *(search(name, finished=True, weight=130) for name in two),
        table_of_a_search(80),
        comparison(60),
        table("bundled table of digits", bundled("nasbench201_digits.parquet"), 150),
        table("bundled table of CIFAR-10", bundled("nasbench201_cifar10_micro.parquet"), 150),
        table("written table", lambda: small_table(0), 150),
        queried_table(40),
        details(100),
        generator(150),
    ]
