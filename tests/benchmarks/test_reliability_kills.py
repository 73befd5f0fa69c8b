"""Which kills are drawn, and that the judges tell what a kill has spoilt."""

import json
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agnet.runtime.interrupts import INTERRUPTED, MESSAGE
from benchmarks.reliability.contents import contents, judge_contents
from benchmarks.reliability.frame import CHANGED, HUNG, LEFTOVER, TRACEBACK
from benchmarks.reliability.jobs import JOBS, RANDOM
from benchmarks.reliability.kills import CONTROL_C, KILL, KILLS, OF_MANY, OF_ONE, TWICE, WORKER, draw, judge_stopped
from benchmarks.reliability.processes import Place, Running


def test_cases_are_distinct_and_equal_for_equal_seeds() -> None:
    plans = draw(random.Random(3), KILLS.least)
    assert len({plan.name for plan in plans}) == KILLS.least == 300
    assert plans == draw(random.Random(3), KILLS.least)
    assert plans[:50] == draw(random.Random(3), 50)
    assert plans != draw(random.Random(4), KILLS.least)
    assert {plan.job.name for plan in plans} == {job.name for job in JOBS}
    assert {plan.kill.name for plan in plans} == {kill.name for kill in (*OF_ONE, *OF_MANY)}
    assert {plan.real for plan in plans} == {True, False}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a command leaves it."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text(json.dumps({"best": 1.5, "wall_seconds": 1.0, "in": str(out)}))
    (out / "history.jsonl").write_text('{"index": 0, "values": {"a": 1.0}, "seconds": 0.5}\n')
    (out / "runs.csv").write_text("seed,best,wall_seconds\n0,1.5,0.1\n")
    (out / "report.md").write_text("| a | s / run |\n|---|---|\n| 1 | 0.1 |\n\nThis call did 4 of them in 4.5 s.\n")
    np.savez(out / "hits.npz", hits=np.arange(3))
    (out / "weights.safetensors").write_bytes(b"weights")
    (out / "state.pt").write_bytes(b"state")
    return out


CHANGES: dict[str, tuple[str, str]] = {
    "result.json": ("1.5", "1.6"),
    "history.jsonl": ('"a": 1.0', '"a": 1.1'),
    "runs.csv": ("0,1.5", "0,1.6"),
    "report.md": ("| 1 |", "| 2 |"),
    "weights.safetensors": ("weights", "weighty"),
}
TIMES = {"result.json": ("1.0", "2.0"), "history.jsonl": ("0.5", "0.6"), "runs.csv": ("0.1", "0.2")}
TIMES |= {"report.md": ("0.1", "0.2"), "state.pt": ("state", "other")}


@pytest.mark.parametrize("name", CHANGES)
def test_another_number_is_told(folder: Path, name: str) -> None:
    before = contents(folder)
    (folder / name).write_text((folder / name).read_text().replace(*CHANGES[name]))
    found = judge_contents(before, contents(folder))
    assert found is not None
    assert found.kind == CHANGED
    assert name in found.detail


def test_another_array_is_told(folder: Path) -> None:
    before = contents(folder)
    np.savez(folder / "hits.npz", hits=np.arange(1, 4))
    assert judge_contents(before, contents(folder)) is not None


@pytest.mark.parametrize("name", TIMES)
def test_times_do_not_count(folder: Path, name: str) -> None:
    before = contents(folder)
    (folder / name).write_text((folder / name).read_text().replace(*TIMES[name]))
    assert judge_contents(before, contents(folder)) is None


def test_places_do_not_count(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    text = (folder / "result.json").read_text().replace(str(folder), str(tmp_path / "new"))
    folder = folder.rename(tmp_path / "new")
    (folder / "result.json").write_text(text)
    assert judge_contents(before, contents(folder)) is None


def test_what_is_missing_or_left_is_told(folder: Path) -> None:
    before = contents(folder)
    (folder / ".result.json.0123abcd.partial.json").write_text("{")
    found = judge_contents(before, contents(folder))
    assert found is not None
    assert found.kind == LEFTOVER
    (folder / "result.json").unlink()
    found = judge_contents(before, contents(folder))
    assert found is not None
    assert (found.kind, found.detail) == (CHANGED, "missing: result.json")


def test_temporary_files_and_tracebacks_of_a_place_are_told(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path)
    assert place.leftovers() is None
    (place.temporary / "pymp-x").mkdir()
    found = place.leftovers()
    assert found is not None
    assert (found.kind, found.detail) == (LEFTOVER, "t: pymp-x/")
    (place.temporary / "pymp-x").rmdir()
    place.said.append(tmp_path / "stderr0")
    place.said[0].write_text("Traceback (most recent call last):\n  ...\nEOFError\n")
    found = place.leftovers()
    assert found is not None
    assert (found.kind, found.detail) == (TRACEBACK, "EOFError")


LINE = f"{MESSAGE}\n"
ENDS: list[tuple[Any, int | None, str, str | None]] = [
    (KILL, -signal.SIGKILL, "", None),
    (KILL, 0, "", None),
    (KILL, 1, "", TRACEBACK),
    (KILL, None, "", HUNG),
    (CONTROL_C, INTERRUPTED, LINE, None),
    (CONTROL_C, INTERRUPTED, f"note: seed is given twice\nunits:  50%|##\r{LINE}", None),
    (CONTROL_C, INTERRUPTED, "", TRACEBACK),
    (CONTROL_C, INTERRUPTED, f"Exception ignored in: <x>\n{LINE}", TRACEBACK),
    (CONTROL_C, 0, "", None),
    (TWICE, INTERRUPTED, "", None),
    (TWICE, INTERRUPTED, "KeyboardInterrupt\n", TRACEBACK),
    (WORKER, 0, "", None),
    (WORKER, 1, "Traceback (most recent call last):\nx\n", TRACEBACK),
]


@pytest.mark.parametrize(("kill", "status", "said", "kind"), ENDS)
def test_how_a_stopped_command_ends(tmp_path: Path, kill: Any, status: int | None, said: str, kind: str | None) -> None:
    (tmp_path / "stderr").write_text(said)
    found = judge_stopped(kill, Running(0, tmp_path / "stderr", 0.0, status))
    assert (found and found.kind) == kind


def test_a_command_gets_its_folders() -> None:
    assert "run_dir=/a" in RANDOM.arguments(Path("/a"), Path("/b"))
    assert all("{" not in part for job in JOBS for part in job.arguments(Path("/a"), Path("/b")))
