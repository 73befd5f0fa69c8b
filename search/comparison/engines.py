"""Who works the runs off: processes of this machine, or SLURM. The result is the same."""

import abc
import math
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from agnet.errors import AGNetError, ConfigurationError
from search.comparison.plan import Cell

ATTEMPTS = 2
"""Times a run may lose a process that it had for itself, e.g. killed for its memory."""


@dataclass(frozen=True)
class Ended:
    """What became of a run.

    Attributes:
        cell: the run.
        failure: why it has no result; None where it has.
        seconds: wall-clock time in its process.
    """

    cell: Cell
    failure: str | None = None
    seconds: float = 0.0


def run_cell(cell: Cell) -> Ended:
    """Do one run, or find that it is done; an error becomes part of the answer."""
    begin = time.perf_counter()
    from search.run import execute  # here, within the time: what a worker's start costs is no optimizer's

    try:
        execute(OmegaConf.create(dict(cell.config)), optimizer_name=cell.optimizer, run_directory=cell.folder)
    except OSError as error:
        return Ended(cell, f"{error.strerror or error} ({cell.folder})", time.perf_counter() - begin)
    except Exception as error:
        reason = str(error) if isinstance(error, AGNetError) else f"{type(error).__name__}: {error}"
        return Ended(cell, " ".join(reason.split()), time.perf_counter() - begin)
    return Ended(cell, None, time.perf_counter() - begin)


def run_cells(cells: Sequence[Cell]) -> list[Ended]:
    """Do runs one after another."""
    return [run_cell(cell) for cell in cells]


class AbstractEngine(abc.ABC):
    """Works runs off."""

    @abc.abstractmethod
    def run(self, cells: Sequence[Cell], *, out: Path) -> Iterator[Ended]:
        """What became of each run, in the order in which they end.

        Args:
            cells: runs to do.
            out: folder of the comparison, for the engine's own files.
        """


class LocalEngine(AbstractEngine):
    """Processes of this machine, one thread each.

    A process that dies takes no other run with it: the runs in flight are tried again one by one.

    Args:
        workers: number of processes.

    Raises:
        ConfigurationError: if there are none.
    """

    def __init__(self, workers: int = 1) -> None:
        if type(workers) is not int or workers < 1:
            raise ConfigurationError(f"engine.workers={workers} must be a whole number from 1")
        self.workers = workers

    def run(self, cells: Sequence[Cell], *, out: Path) -> Iterator[Ended]:
        """See :class:`AbstractEngine`."""
        died: dict[str, int] = {}
        left, suspects = list(cells), list[Cell]()
        while left or suspects:
            # of several runs in flight when a process died, nobody knows whose it was: each is tried again alone
            alone = bool(suspects) or self.workers == 1
            lost = yield from self._in_one_pool([suspects.pop(0)] if suspects else left)
            for cell in lost:
                died[str(cell)] = died.get(str(cell), 0) + alone
                if died[str(cell)] < ATTEMPTS:
                    suspects.append(cell)
                else:
                    yield Ended(cell, f"its process died {ATTEMPTS} times (killed, or out of memory?)")

    def _in_one_pool(self, todo: list[Cell]) -> Generator[Ended, None, list[Cell]]:
        """Work a list off, emptying it, until it is done or a process dies; returns the runs in flight then."""
        context = get_context("forkserver")  # a clean process that has imported everything once is forked for each
        context.set_forkserver_preload(["search.run"])
        pool = ProcessPoolExecutor(min(self.workers, len(todo)), mp_context=context)
        running: dict[Future[Ended], Cell] = {}
        lost: list[Cell] = []
        try:
            while (todo or running) and not lost:
                while todo and len(running) < self.workers:  # what waits in a queue is not in flight
                    cell = todo.pop(0)
                    running[pool.submit(run_cell, cell)] = cell
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    cell = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        lost.append(cell)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return [*lost, *running.values()] if lost else []


class SlurmEngine(AbstractEngine):
    """Jobs of a SLURM array, through submitit.

    Args:
        runs_per_job: runs that one job does, one after another; an array of hundreds of jobs is kind to a scheduler.
        minutes: time limit of a job.
        partition: SLURM partition; None for the default.
        parallel: jobs at a time.
        memory_gb: of a job.
        cluster: ``slurm``, or submitit's ``local`` and ``debug`` for trying it out.
        poll_seconds: between two looks at the jobs.
    """

    def __init__(
        self,
        runs_per_job: int = 10,
        minutes: int = 60,
        partition: str | None = None,
        parallel: int = 64,
        memory_gb: float = 4.0,
        cluster: str = "slurm",
        poll_seconds: float = 5.0,
    ) -> None:
        if type(runs_per_job) is not int or runs_per_job < 1:
            raise ConfigurationError(f"engine.runs_per_job={runs_per_job} must be a whole number from 1")
        self.runs_per_job, self.cluster, self.poll_seconds = runs_per_job, cluster, poll_seconds
        self.parameters: dict[str, Any] = {"timeout_min": minutes, "mem_gb": memory_gb, "cpus_per_task": 1}
        self.parameters |= {"slurm_array_parallelism": parallel, "name": "agnet"}
        if partition is not None:
            self.parameters["slurm_partition"] = partition

    def run(self, cells: Sequence[Cell], *, out: Path) -> Iterator[Ended]:
        """See :class:`AbstractEngine`."""
        try:
            import submitit
        except ImportError:
            raise ConfigurationError("engine=slurm needs submitit: pip install -e '.[compare]'") from None
        executor = submitit.AutoExecutor(folder=out / "slurm", cluster=self.cluster)
        executor.update_parameters(**self.parameters)
        count = math.ceil(len(cells) / self.runs_per_job)
        shares = [list(cells[i::count]) for i in range(count)]  # every job has a bit of everything
        jobs = dict(zip(executor.map_array(run_cells, shares), shares, strict=True))
        try:
            while jobs:
                for job in [job for job in jobs if job.done()]:
                    share = jobs.pop(job)
                    failure = job.exception()
                    if failure is None:
                        yield from job.result()
                    else:
                        reason = " ".join(str(failure).split()[-40:])
                        yield from (Ended(cell, f"SLURM job {job.job_id}: {reason}") for cell in share)
                if jobs:
                    time.sleep(self.poll_seconds)
        finally:
            for job in jobs:
                job.cancel()
