"""Run one cell of a comparison in any process, and explain a failed one."""

from omegaconf import OmegaConf

from agnet.errors import AGNetError
from agnet.runtime.executors import Ended
from search.comparison.plan import PlannedRun
from search.run import execute

EndedRun = Ended[PlannedRun, None]


def run_cell(cell: PlannedRun) -> None:
    """Do one run, unless it is finished."""
    execute(OmegaConf.create(dict(cell.config)), optimizer_name=cell.optimizer, run_directory=cell.folder)


def failure(run: EndedRun) -> str:
    """The reason why a run has no result, in one line; empty if it has one."""
    error = run.error
    if error is None:
        return ""
    if isinstance(error, OSError):
        return f"{error.strerror or error} ({run.task.folder})"
    reason = str(error) if isinstance(error, AGNetError) else f"{type(error).__name__}: {error}"
    return " ".join(reason.split())
