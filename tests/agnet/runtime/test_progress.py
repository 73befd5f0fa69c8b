"""Progress where there is no terminal."""

import errno
import io
import time

import pytest
from tqdm import tqdm

from agnet.runtime import progress
from agnet.runtime.progress import Progress


def test_a_log_has_lines_while_the_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(progress, "SECONDS", 0.02)
    with Progress(tqdm, "compare", 5, "run", initial=2) as shown:
        shown.update()
        shown.note("agnet, seed 0")
        shown.write("failed: one")
        time.sleep(0.2)
    first, *between = capsys.readouterr().err.splitlines()
    assert first == "failed: one", "work that ends soon says nothing else"
    assert between[-1] == "compare: 3 of 5 runs done after 0 min, agnet, seed 0"


def test_nothing_is_said_where_nothing_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.01)
    with Progress(tqdm, "compare", 5, "run", shown=False) as shown:
        shown.update()
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_log_on_a_full_disk_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    with Progress(tqdm, "compare", 1, "run") as shown:
        shown.write("failed: one")
        shown.update()
    assert shown.done == 1
