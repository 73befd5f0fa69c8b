"""Engines: what becomes of tasks that fail, and of processes that die."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agnet.errors import ConfigurationError, RunDirectoryError
from agnet.runtime.executors import WORKER, AbstractExecutor, InlineExecutor, LocalExecutor, SlurmExecutor


@dataclass(frozen=True)
class Task:
    name: str
    folder: Path

    def __str__(self) -> str:
        return self.name


def blocked(process: int | str) -> set[int]:
    """Signals that a process does not take."""
    status = Path(f"/proc/{process}/status").read_text()
    (mask,) = re.findall(r"^SigBlk:\s*(\w+)$", status, flags=re.MULTILINE)
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


def tell_blocked(task: Task) -> tuple[set[int], set[int]]:
    """Blocked signals of this worker, and of the server that has forked it."""
    return blocked("self"), blocked(os.getppid())


def tasks(folder: Path, *names: str) -> list[Task]:
    return [Task(name, folder / name) for name in names]


def obey(task: Task) -> str:
    """Does what the task's name says."""
    task.folder.mkdir(parents=True, exist_ok=True)
    (task.folder / str(len(list(task.folder.iterdir())))).touch()  # one file for each attempt
    if task.name == "die" or (task.name == "die once" and not (task.folder / "1").exists()):
        os.kill(os.getpid(), signal.SIGKILL)
    if task.name == "fail":
        raise RunDirectoryError("is broken")
    if task.name == "leave":
        raise SystemExit("node drained")
    return task.name.upper()


def worker(task: Task) -> str:
    return os.environ[WORKER]


def process(task: Task) -> int:
    return os.getpid()


def unsendable(task: Task) -> Any:
    return lambda: None


def errors(executor: AbstractExecutor, todo: list[Task], out: Path) -> dict[str, str]:
    return {ended.task.name: str(ended.error or "") for ended in executor.run(obey, todo, out=out)}


@pytest.mark.parametrize("executor", [InlineExecutor(), LocalExecutor(2)], ids=["inline", "local"])
def test_an_answer_or_an_error_for_every_task(executor: AbstractExecutor, tmp_path: Path) -> None:
    found = {ended.task.name: ended for ended in executor.run(obey, tasks(tmp_path, "a", "fail", "b"), out=tmp_path)}
    assert {name: ended.value for name, ended in found.items()} == {"a": "A", "b": "B", "fail": None}
    assert isinstance(found["fail"].error, RunDirectoryError)
    assert found["a"].error is None
    assert all(ended.seconds > 0 for ended in found.values())


def test_a_killed_process_takes_no_other_task_with_it(tmp_path: Path) -> None:
    found = errors(LocalExecutor(2), tasks(tmp_path, "a", "die once", "fail", "die", "b"), tmp_path)
    assert {name for name, error in found.items() if not error} == {"a", "b", "die once"}
    assert len(found) == 5
    assert found["fail"] == "is broken"
    assert "died twice" in found["die"]
    assert len(list((tmp_path / "die").iterdir())) == 2  # once among others, once alone


def test_what_was_not_asked_for_is_stopped(tmp_path: Path) -> None:
    """Whoever turns away from the answers, by Ctrl-C for example, leaves no process behind."""
    answers = LocalExecutor(2).run(process, tasks(tmp_path, *"abcd"), out=tmp_path)
    number = next(answers).value
    assert number is not None
    answers.close()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_answers_that_cannot_be_sent_are_errors(tmp_path: Path) -> None:
    [ended] = LocalExecutor(1).run(unsendable, tasks(tmp_path, "a"), out=tmp_path)
    assert "pickle" in str(ended.error)


def test_workers_have_numbers(tmp_path: Path) -> None:
    """By which they take a device each."""
    found = {ended.value for ended in LocalExecutor(2).run(worker, tasks(tmp_path, *"abcdef"), out=tmp_path)}
    assert found <= {"0", "1"}


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_counted(workers: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"executor.workers={workers}"):
        LocalExecutor(workers)


def test_jobs_hold_at_least_one_task() -> None:
    with pytest.raises(ConfigurationError, match="tasks_per_job=0"):
        SlurmExecutor(tasks_per_job=0)


def test_a_missing_scheduler_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    with pytest.raises(ConfigurationError, match="pip install"):
        list(SlurmExecutor(cluster="local").run(obey, tasks(tmp_path, "a"), out=tmp_path))


@pytest.mark.parametrize(
    ("cluster", "said"), [("slurm", "has no srun; give executor=local"), ("moon", "choose one of")]
)
def test_a_cluster_that_is_not_there(cluster: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigurationError, match=said):
        SlurmExecutor(cluster=cluster)


@pytest.mark.parametrize("workers", [0, 100_000, True])
def test_no_more_workers_than_a_machine_can_bear(workers: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"^executor\.workers={workers} must be a whole number from 1 to "):
        LocalExecutor(workers)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells signals as Linux does")
def test_interrupts_are_for_the_parent_alone(tmp_path: Path) -> None:
    """From a worker's first moment on: an interpreter that has no handler yet would write a traceback."""
    (ended,) = LocalExecutor(1).run(tell_blocked, tasks(tmp_path, "a"), out=tmp_path)
    assert ended.value is not None
    worker, server = ended.value
    assert signal.SIGINT in worker
    assert signal.SIGINT in server
    assert signal.SIGINT not in blocked("self")


@pytest.mark.slow
def test_jobs_of_a_scheduler_answer_for_every_task(tmp_path: Path) -> None:
    """Submitit's stand-in for a cluster, processes of this machine: three jobs of two tasks, one of which dies."""
    executor = SlurmExecutor(tasks_per_job=2, cluster="local", poll_seconds=0.2)
    looks: list[int] = []
    todo = tasks(tmp_path, "a", "leave", "fail", "b", "c")
    found = {
        e.task.name: str(e.error or "") for e in executor.run(obey, todo, out=tmp_path, waiting=lambda: looks.append(1))
    }
    assert set(found) == {"a", "b", "c", "leave", "fail"}
    assert {name for name, error in found.items() if not error} == {"a", "b"}
    assert found["fail"] == "is broken"
    assert all("SLURM job" in found[name] for name in ("leave", "c"))
    assert looks, "somebody may count what is done while jobs run"
