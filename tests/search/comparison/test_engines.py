"""Engines: what becomes of runs that fail, and of processes that die."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from agnet.errors import ConfigurationError, RunDirectoryError
from search.comparison import engines
from search.comparison.engines import AbstractEngine, Ended, LocalEngine, SlurmEngine, run_cell
from search.comparison.plan import Cell


def cells(folder: Path, *names: str) -> list[Cell]:
    return [Cell("p", name, i, {"name": name}, folder / name) for i, name in enumerate(names)]


def obey(cell: Cell) -> Ended:
    """Stands in for a run: does what its name says, in a process of its own."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    (cell.folder / str(len(list(cell.folder.iterdir())))).touch()  # one file for each attempt
    if cell.optimizer == "die" or (cell.optimizer == "die once" and not (cell.folder / "1").exists()):
        os.kill(os.getpid(), signal.SIGKILL)
    return Ended(cell, "is broken" if cell.optimizer == "fail" else None, 0.5)


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "run_cell", obey)


def ended(engine: AbstractEngine, todo: list[Cell], out: Path) -> dict[str, str | None]:
    return {run.cell.optimizer: run.failure for run in engine.run(todo, out=out)}


@pytest.mark.usefixtures("obedient")
def test_a_killed_process_takes_no_other_run_with_it(tmp_path: Path) -> None:
    found = ended(LocalEngine(2), cells(tmp_path, "a", "die once", "fail", "die", "b"), tmp_path)
    assert {name for name, failure in found.items() if failure is None} == {"a", "b", "die once"}
    assert len(found) == 5
    assert found["fail"] == "is broken"
    assert "died 2 times" in str(found["die"])
    assert len(list((tmp_path / "die").iterdir())) == 3  # once among others, twice alone


def test_an_error_becomes_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [cell] = cells(tmp_path, "x")
    for error, said in (
        (RunDirectoryError("in use;\n wait"), "in use; wait"),
        (OSError(28, "No space left on device"), f"No space left on device ({tmp_path / 'x'})"),
        (RuntimeError("a defect"), "RuntimeError: a defect"),
    ):

        def failing(*args: Any, error: Exception = error, **kwargs: Any) -> None:
            raise error

        monkeypatch.setattr("search.run.execute", failing)
        assert run_cell(cell).failure == said


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_counted(workers: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"engine.workers={workers}"):
        LocalEngine(workers)


def test_jobs_hold_at_least_one_run() -> None:
    with pytest.raises(ConfigurationError, match="runs_per_job=0"):
        SlurmEngine(runs_per_job=0)


def test_a_missing_scheduler_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    with pytest.raises(ConfigurationError, match="pip install"):
        list(SlurmEngine().run(cells(tmp_path, "a"), out=tmp_path))


def test_jobs_of_a_scheduler_answer_for_every_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitit's stand-in for a cluster, processes of this machine: three jobs of two runs, one of which dies whole."""

    def run_share(share: list[Cell]) -> list[Ended]:
        if any(cell.optimizer == "die" for cell in share):
            raise MemoryError("node drained")
        return [Ended(cell, "is broken" if cell.optimizer == "fail" else None) for cell in share]

    monkeypatch.setattr(engines, "run_cells", run_share)
    engine = SlurmEngine(runs_per_job=2, cluster="local", poll_seconds=0.2)
    found = ended(engine, cells(tmp_path, "a", "die", "fail", "b", "c"), tmp_path)
    assert set(found) == {"a", "b", "c", "die", "fail"}
    assert {name for name, failure in found.items() if failure is None} == {"a", "b"}
    assert found["fail"] == "is broken"
    assert all("SLURM job" in str(found[name]) and "node drained" in str(found[name]) for name in ("die", "c"))
