"""Run tasks in this process, in local processes, or on SLURM; results do not depend on which.

A task is any value that can be pickled and whose text says what it is. The function that runs it belongs to a module,
so that it can be pickled too.
"""

import abc
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pickle import PicklingError
from threading import Thread
from typing import Any, Generic, TypeVar

from agnet.errors import ConfigurationError, TaskError
from agnet.runtime.interrupts import held
from agnet.runtime.representation import ShortRepr
from agnet.runtime.temporary import scratch

Task = TypeVar("Task")
Value = TypeVar("Value")

_PATIENCE = 10.0  # seconds for a process to end by itself and release what it shares with others

WORKER = "AGNET_WORKER"
"""Environment variable that holds a worker process's number on its machine, from 0."""


@dataclass(frozen=True)
class Ended(Generic[Task, Value]):
    """The outcome of a task.

    Attributes:
        task: the task that ended.
        value: return value of the function; None if it raised.
        error: exception that the function raised, or the reason why there is no result.
        seconds: wall-clock time in the task's process.
    """

    task: Task
    value: Value | None = None
    error: Exception | None = None
    seconds: float = 0.0


def attempt(function: Callable[[Task], Value], task: Task) -> Ended[Task, Value]:
    """Run one task; an error becomes part of the answer."""
    begin = time.perf_counter()
    try:
        value = function(task)
    except Exception as error:
        return Ended(task, error=error, seconds=time.perf_counter() - begin)
    return Ended(task, value, seconds=time.perf_counter() - begin)


def attempt_all(function: Callable[[Task], Value], tasks: Sequence[Task]) -> list[Ended[Task, Value]]:
    """Run tasks one after another."""
    return [attempt(function, task) for task in tasks]


Waiting = Callable[[], None]


def _nothing() -> None:
    pass


def most_workers() -> int:
    """The largest number of processes or threads that a user may ask for: more would only stop other programs."""
    return max(64, 4 * (os.cpu_count() or 1))


class AbstractExecutor(ShortRepr, abc.ABC):
    """Runs tasks."""

    @abc.abstractmethod
    def run(
        self, function: Callable[[Task], Value], tasks: Sequence[Task], *, out: Path, waiting: Waiting = _nothing
    ) -> Iterator[Ended[Task, Value]]:
        """Run tasks and give the outcome of each, in the order in which they end.

        Args:
            function: runs one task, in any process; a function of a module, or a partial of one.
            tasks: the tasks to run, started in this order.
            out: folder for the executor's own files.
            waiting: called now and then while no task ends, by executors whose tasks end many at a time.
        """


class InlineExecutor(AbstractExecutor):
    """Runs tasks in this process, one after another."""

    def run(
        self, function: Callable[[Task], Value], tasks: Sequence[Task], *, out: Path, waiting: Waiting = _nothing
    ) -> Iterator[Ended[Task, Value]]:
        """Run tasks one after another; see :class:`AbstractExecutor`."""
        for task in tasks:
            yield attempt(function, task)


class LocalExecutor(AbstractExecutor):
    """Runs tasks in processes of this machine.

    A process that dies affects no other task. Its own task is tried again, alone, when all others have ended: a task
    that ran out of memory beside others may have enough alone.

    Args:
        workers: number of processes.

    Raises:
        ConfigurationError: if ``workers`` is below 1, or far above the number of processors.
    """

    def __init__(self, workers: int = 1) -> None:
        if type(workers) is not int or not 1 <= workers <= most_workers():
            raise ConfigurationError(
                f"executor.workers={workers} must be a whole number from 1 to {most_workers()} on this machine"
            )
        self.workers = workers

    def run(
        self, function: Callable[[Task], Value], tasks: Sequence[Task], *, out: Path, waiting: Waiting = _nothing
    ) -> Iterator[Ended[Task, Value]]:
        """Run tasks in parallel, those of dead processes twice; see :class:`AbstractExecutor`."""
        again: list[Task] = []
        for ended in _in_processes(function, tasks, self.workers):
            if not isinstance(ended.error, _Died):
                yield ended
            else:
                again.append(ended.task)
        for task in again:
            for ended in _in_processes(function, [task], 1):
                if isinstance(ended.error, _Died):
                    yield Ended(task, error=TaskError("its process died twice (killed, or out of memory?)"))
                else:
                    yield ended


class _Died(Exception):
    """The process of a task is gone."""


class _Worker(Generic[Task, Value]):
    """A process that runs one task at a time.

    Args:
        function: runs a task.
        number: the worker's number on its machine, from 0.
    """

    def __init__(self, function: Callable[[Task], Value], number: int) -> None:
        context = get_context("forkserver")  # each worker is forked from a clean process with all imports done
        context.set_forkserver_preload([getattr(function, "func", function).__module__])
        self.number = number
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, number), daemon=True)
        resource_tracker.ensure_running()  # its start lets signals through again
        with held():  # Ctrl-C is for the process that hands out the tasks
            self.process.start()
        theirs.close()

    def give(self, task: Task) -> None:
        """Start a task."""
        self.task = task
        with suppress(OSError):  # the process may have died while idle; the answer will show it
            self.connection.send(task)

    def take(self) -> Ended[Task, Value]:
        """The outcome of the task, once the connection is ready."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return Ended(self.task, error=_Died())

    def stop(self, *, patience: float) -> None:
        """End the process: wait ``patience`` seconds for an idle process to end by itself, then kill it."""
        self.connection.close()
        self.process.join(patience)
        self.process.kill()
        self.process.join()


def _serve(connection: Connection, function: Callable[[Any], Any], number: int) -> None:
    """Serve as a worker process until the other end of the connection is closed, or the parent is gone."""
    Thread(target=_end_with_parent, daemon=True).start()
    scratch()
    os.environ[WORKER] = str(number)
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            ended = attempt(function, task)
            try:
                connection.send(ended)
            except (AttributeError, TypeError, PicklingError) as error:  # the value or the error cannot be pickled
                connection.send(Ended(task, error=TaskError(f"no pickle of {ended.error or ended.value!r}: {error}")))


def _end_with_parent() -> None:
    """End this process at once when the process that hands out the tasks is gone: it may have been killed."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


def _in_processes(
    function: Callable[[Task], Value], tasks: Sequence[Task], workers: int
) -> Iterator[Ended[Task, Value]]:
    """Run tasks; if a process dies, its task ends with :class:`_Died` and another process takes its place."""
    left, idle = list(tasks), list(range(min(workers, len(tasks))))
    busy: dict[Any, _Worker[Task, Value]] = {}
    resting: list[_Worker[Task, Value]] = []
    try:
        while left or busy:
            while left and (resting or idle):
                worker = resting.pop() if resting else _Worker(function, idle.pop(0))
                busy[worker.connection] = worker
                worker.give(left.pop(0))
            for connection in wait(list(busy)):
                worker = busy.pop(connection)
                ended = worker.take()
                if isinstance(ended.error, _Died):
                    worker.stop(patience=0.0)
                    idle.append(worker.number)
                else:
                    resting.append(worker)
                yield ended
    finally:
        for worker in busy.values():
            worker.stop(patience=0.0)
        for worker in resting:
            worker.stop(patience=_PATIENCE)


class SlurmExecutor(AbstractExecutor):
    """Runs tasks as jobs of a SLURM array, through submitit.

    Args:
        tasks_per_job: tasks that one job runs, one after another; schedulers cope well with arrays of hundreds of jobs.
        minutes: time limit of a job.
        partition: SLURM partition; None for the default.
        parallel: number of jobs that run at a time.
        memory_gb: memory of a job, in GB.
        gpus: number of GPUs per job.
        cluster: ``slurm``, or submitit's ``local`` and ``debug`` for trying it out.
        poll_seconds: seconds between two checks of the jobs.

    Raises:
        ConfigurationError: for an unknown cluster, or where SLURM is not installed.
    """

    CLUSTERS = ("slurm", "local", "debug")

    def __init__(
        self,
        tasks_per_job: int = 10,
        minutes: int = 60,
        partition: str | None = None,
        parallel: int = 64,
        memory_gb: float = 4.0,
        gpus: int = 0,
        cluster: str = "slurm",
        poll_seconds: float = 5.0,
    ) -> None:
        if type(tasks_per_job) is not int or tasks_per_job < 1:
            raise ConfigurationError(f"executor.tasks_per_job={tasks_per_job} must be a whole number from 1")
        if cluster not in self.CLUSTERS:
            raise ConfigurationError(f"executor.cluster={cluster}; choose one of {', '.join(self.CLUSTERS)}")
        if cluster == "slurm" and shutil.which("srun") is None:
            raise ConfigurationError("executor=slurm: this machine has no srun; give executor=local, or use a cluster")
        self.tasks_per_job, self.cluster, self.poll_seconds = tasks_per_job, cluster, poll_seconds
        self.parameters: dict[str, Any] = {"timeout_min": minutes, "mem_gb": memory_gb, "cpus_per_task": 1}
        self.parameters |= {"slurm_array_parallelism": parallel, "name": "agnet"}
        if gpus:
            self.parameters["gpus_per_node"] = gpus
        if partition is not None:
            self.parameters["slurm_partition"] = partition

    def run(
        self, function: Callable[[Task], Value], tasks: Sequence[Task], *, out: Path, waiting: Waiting = _nothing
    ) -> Iterator[Ended[Task, Value]]:
        """Submit tasks and wait for their jobs; see :class:`AbstractExecutor`."""
        try:
            import submitit
        except ImportError:
            raise ConfigurationError("executor=slurm needs submitit: pip install -e '.[compare]'") from None
        executor = submitit.AutoExecutor(folder=out / "slurm", cluster=self.cluster)
        executor.update_parameters(**self.parameters)
        shares = shared_out(tasks, math.ceil(len(tasks) / self.tasks_per_job))
        functions = [function] * len(shares)
        jobs = dict(zip(executor.map_array(attempt_all, functions, shares), shares, strict=True))
        try:
            while jobs:
                for job in [job for job in jobs if job.done()]:
                    share = jobs.pop(job)
                    failure = job.exception()
                    if failure is None:
                        yield from job.result()
                    else:
                        reason = " ".join(str(failure).split()[-40:])
                        yield from (Ended(task, error=TaskError(f"SLURM job {job.job_id}: {reason}")) for task in share)
                if jobs:
                    waiting()
                    time.sleep(self.poll_seconds)
        finally:
            for job in jobs:
                job.cancel()


def shared_out(tasks: Sequence[Task], count: int) -> list[list[Task]]:
    """Deal tasks in turn into ``count`` shares: if tasks are in order of cost, the shares cost about the same.

    Example:
        >>> shared_out("abcde", 2)
        [['a', 'c', 'e'], ['b', 'd']]
    """
    return [list(tasks[i::count]) for i in range(count)]
