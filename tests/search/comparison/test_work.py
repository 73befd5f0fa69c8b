"""What is said of a run that has failed."""

from pathlib import Path

import pytest

from agnet.errors import RunDirectoryError
from agnet.runtime.executors import attempt
from search.comparison.plan import PlannedRun
from search.comparison.work import failure, run_cell


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RunDirectoryError("in use;\n wait"), "in use; wait"),
        (OSError(28, "No space left on device"), "No space left on device (folder)"),
        (RuntimeError("a defect"), "RuntimeError: a defect"),
    ],
)
def test_an_error_becomes_the_answer(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("search.comparison.work.execute", failing)
    assert failure(attempt(run_cell, PlannedRun("p", "x", 0, {}, Path("folder")))) == said


def test_a_finished_run_has_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.comparison.work.execute", lambda *args, **kwargs: None)
    assert failure(attempt(run_cell, PlannedRun("p", "x", 0, {}, Path("folder")))) == ""
