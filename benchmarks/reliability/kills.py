"""Kill commands and interrupt them at random moments; the same command then ends with the same result."""

import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agnet.runtime.interrupts import INTERRUPTED, MESSAGE
from benchmarks.reliability.contents import contents, judge_contents
from benchmarks.reliability.frame import CHANGED, HUNG, LEFTOVER, REFUSED, SAME, TRACEBACK, Campaign, Case, Outcome
from benchmarks.reliability.jobs import JOBS, Job, prepare
from benchmarks.reliability.processes import Place, Running, preload
from benchmarks.reliability.references import Reference, reference

_REAL = 0.2
"""Share of the commands that are started as a shell does."""

_IMPORTS = 4.0
"""About how many seconds those take longer."""

_FIRST_LINE = 0.5
"""Seconds until the interpreter has come to the project's first line, before which Ctrl-C is its own affair."""

_WITH_WORKERS = 0.15
"""Share of the cases with commands that start processes."""


@dataclass(frozen=True)
class Kill:
    """A way to stop a command.

    Attributes:
        name: in words.
        number: the signal.
        group: whether all processes of the command get it, as on Ctrl-C in a terminal.
        times: how often, within a second.
        worker: whether a worker gets it instead.
    """

    name: str
    number: int
    group: bool = False
    times: int = 1
    worker: bool = False


KILL_ALL = Kill("SIGKILL to all its processes", signal.SIGKILL, group=True)
KILL, TERMINATE, HANG_UP, INTERRUPT = (
    Kill(f"SIG{n}", signal.Signals[f"SIG{n}"]) for n in ("KILL", "TERM", "HUP", "INT")
)
CONTROL_C = Kill("Ctrl-C", signal.SIGINT, group=True)
TWICE = Kill("Ctrl-C twice", signal.SIGINT, group=True, times=2)
WORKER = Kill("SIGKILL to one worker", signal.SIGKILL, worker=True)
OF_ONE = (KILL, KILL, TERMINATE, HANG_UP, INTERRUPT, CONTROL_C, TWICE)
OF_MANY = (KILL, KILL, KILL_ALL, WORKER, WORKER, TERMINATE, HANG_UP, CONTROL_C, TWICE)


@dataclass(frozen=True)
class Plan:
    """What is stopped, how and when.

    Attributes:
        job: the command.
        kill: how it is stopped.
        moment: when, as a share of the time that it takes.
        between: seconds between two signals.
        real: whether the command is started as a shell does.
    """

    job: Job
    kill: Kill
    moment: float
    between: float
    real: bool

    @property
    def name(self) -> str:
        """In one line."""
        way = "python -m" if self.real else "forked"
        between = f", {self.between:.3f} s between" if self.kill.times > 1 else ""
        return f"{self.job.name} ({way}): {self.kill.name} after {self.moment:.4f} of its time{between}"


def draw(rng: random.Random, count: int) -> list[Plan]:
    """So many plans, no two alike."""
    plans: dict[str, Plan] = {}
    alone, many = [job for job in JOBS if not job.workers], [job for job in JOBS if job.workers]
    while len(plans) < count:
        job = rng.choice(many if rng.random() < _WITH_WORKERS else alone)
        kill = rng.choice(OF_MANY if job.workers else OF_ONE)
        plan = Plan(job, kill, rng.uniform(0.0, 1.02), rng.choice((0.0, 0.01, 0.1, 0.5)), rng.random() < _REAL)
        plans[plan.name] = plan
    return list(plans.values())


def judge_stopped(kill: Kill, running: Running) -> Outcome | None:
    """How a stopped command ended; None if as it should."""
    if running.status is None:
        return Outcome(HUNG, "it does not end")
    if running.status == 0 or (running.status == -kill.number and kill.number != signal.SIGINT):
        pass
    elif kill.number == signal.SIGINT and running.status == INTERRUPTED:
        said = running.stderr.read_text(errors="replace")
        if kill.times == 1 and MESSAGE not in said:
            return Outcome(TRACEBACK, f"exit {INTERRUPTED} without a line")
    elif kill.worker:  # a worker that dies is no fault of the command's, which may say so
        if found := running.judge():
            return found
    else:
        return running.judge() or Outcome(CHANGED, f"exit status {running.status} after {kill.name}")
    if kill.number == signal.SIGINT and (lines := running.strange()):
        return Outcome(TRACEBACK, f"on stderr after {kill.name}: {lines[-1]}")
    return None


def stop(plan: Plan, running: Running, seconds: float) -> None:
    """Send the signals when the moment has come, and wait for the end."""
    moment = plan.moment * (seconds + _IMPORTS * plan.real)
    if plan.real and plan.kill.number == signal.SIGINT:
        moment = max(moment, _FIRST_LINE)
    while time.monotonic() < running.begin + moment and running.poll() is None:
        time.sleep(0.002)
    if plan.kill.worker:
        while running.poll() is None and not (workers := running.workers()):
            time.sleep(0.01)
        if running.status is None:
            Running(workers[int(plan.between * 100) % len(workers)], running.stderr, 0.0).send(plan.kill.number)
    else:
        for time_number in range(plan.kill.times):
            if time_number:
                time.sleep(plan.between)
            if running.poll() is None:
                running.send(plan.kill.number, group=plan.kill.group)
    running.wait()


def run(plan: Plan, references: Mapping[str, Reference], shared: Path, folder: Path) -> Outcome:
    """Stop a command, run it again, and judge."""
    place, expected = Place(folder, shared), references[plan.job.name]
    first = place.start(plan.job, real=plan.real)
    stop(plan, first, expected.seconds)
    found = judge_stopped(plan.kill, first)
    again = place.run(plan.job)
    if found := found or again.judge():
        return Outcome(CHANGED, f"the same command: {found.detail}") if found.kind == REFUSED else found
    if left := [*first.left(), *again.left()]:
        return Outcome(LEFTOVER, f"processes that work on: {left}")
    found = judge_contents(expected.contents, contents(place.out)) or place.leftovers()
    return found or Outcome(SAME, f"stopped with status {first.status}")


def cases(rng: random.Random, count: int, shared: Path) -> Sequence[Case]:
    """Cases; the folder gets the inputs."""
    plans = draw(rng, count)
    preload()
    prepare(shared)
    references = {job.name: reference([job], shared) for job in {plan.job.name: plan.job for plan in plans}.values()}
    return [Case(plan.name, partial(run, plan, references, shared)) for plan in plans]


KILLS = Campaign("kills and signals, and the same command again", 300, cases)
