"""What all campaigns share: cases at random from a seed, run by processes, judged, and kept as they end."""

import json
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from agnet.runtime.files import append_text
from agnet.runtime.paths import git_revision
from agnet.runtime.reading import read_text

SAME, REFUSED = "same result", "one line"
GOOD = (SAME, REFUSED)
"""The two ways in which a command may end."""

CHANGED, TRACEBACK, CRASHED, HUNG = "another result, silently", "traceback", "killed by a signal", "no end in time"
LEFTOVER, ACCEPTED, EXECUTED, OUTSIDE = "leftovers", "wrongly accepted", "executed", "written outside"
SKIPPED = "skipped"
"""A case that this machine cannot run, e.g. without the right to mount; it does not count as tried."""


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        kind: one of this module's words.
        detail: what was seen, in one line.
    """

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Case:
    """One attack on the project.

    Attributes:
        name: what is done, in one line; equal names are equal cases.
        run: does it in an empty folder, whose path it is given, and judges.
    """

    name: str
    run: Callable[[Path], Outcome]


@dataclass(frozen=True)
class Campaign:
    """A kind of attack.

    Attributes:
        title: name in the table.
        least: number of cases that the promise is measured with.
        cases: gives that many cases, always the same for one generator of random numbers; the folder is for files that
            all cases share, and is filled before the first case runs.
    """

    title: str
    least: int
    cases: Callable[[random.Random, int, Path], Sequence[Case]]


@dataclass(frozen=True)
class Entry:
    """A line of the record."""

    campaign: str
    number: int
    case: str
    kind: str
    detail: str
    seconds: float
    revision: str = ""


def run_campaign(
    key: str, campaign: Campaign, *, seed: int, count: int, out: Path, workers: int, limit: float
) -> list[Entry]:
    """Run the cases of a campaign that the record lacks.

    Args:
        key: the campaign's name on the command line.
        campaign: the campaign.
        seed: seed of the cases.
        count: number of cases.
        out: folder of the record.
        workers: processes at a time.
        limit: seconds that a case may take.

    Returns:
        One entry per case.
    """
    path = out / f"{key}_{seed}.jsonl"
    revision = git_revision()
    done = {entry.number: entry for entry in read_entries(path) if entry.revision == revision}
    with tempfile.TemporaryDirectory(prefix=f"{key}-") as shared:
        cases = campaign.cases(random.Random(f"{key} {seed}"), count, Path(shared))
        if len(cases) < count:
            raise ValueError(f"{key} has {len(cases)} cases of the {count} asked for; give --cases={len(cases)}")
        todo = [i for i in range(min(count, len(cases))) if i not in done or done[i].case != cases[i].name]
        for number, outcome, seconds in _in_processes(cases, todo, workers, limit):
            entry = Entry(
                key, number, cases[number].name, outcome.kind, outcome.detail[:500], round(seconds, 2), revision
            )
            out.mkdir(parents=True, exist_ok=True)
            append_text(path, json.dumps(asdict(entry)) + "\n")
            done[number] = entry
            if outcome.kind not in (*GOOD, SKIPPED):
                print(f"{key} {number}: {outcome.kind}: {cases[number].name}: {outcome.detail[:300]}", flush=True)
    return [done[i] for i in sorted(done) if i < count]


def read_entries(path: Path) -> list[Entry]:
    """Entries of a record; the last of each number counts."""
    if not path.exists():
        return []
    lines = read_text(path).split("\n")[:-1]
    return list({entry.number: entry for entry in (Entry(**json.loads(line)) for line in lines)}.values())


def table(found: Sequence[tuple[Campaign, Sequence[Entry]]]) -> str:
    """The campaigns' outcomes as markdown."""
    lines = ["| campaign | asked for | tried | same result | one line | failed |", "|---|---|---|---|---|---|"]
    for campaign, entries in found:
        kinds = Counter(entry.kind for entry in entries if entry.kind != SKIPPED)
        failed = "; ".join(f"{count} {kind}" for kind, count in kinds.items() if kind not in GOOD) or "0"
        counts = f"{sum(kinds.values())} | {kinds[SAME]} | {kinds[REFUSED]}"
        lines.append(f"| {campaign.title} | >= {campaign.least} | {counts} | {failed} |")
    return "\n".join(lines)


def judge_said(status: int, stderr: str) -> Outcome | None:
    """What a command's end alone tells: None where it ended well, and the result has to be judged.

    Args:
        status: exit status, negative for a signal.
        stderr: all that was written there.
    """
    lines = [line for line in stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if "Traceback (most recent call last)" in stderr:
        return Outcome(TRACEBACK, last)
    if status < 0 or status >= 128:
        return Outcome(CRASHED, f"exit status {status}: {last}")
    if status == 2:
        errors = [line for line in lines if line.startswith("error: ") and len(line) > len("error: x; y")]
        if len(errors) > 1:
            return Outcome(TRACEBACK, f"{len(errors)} lines of errors: {last}")
        usage = "usage: " in stderr or "--help lists" in stderr
        return Outcome(REFUSED, last) if errors or usage else Outcome(TRACEBACK, f"exit 2 without a line: {last}")
    return None if status == 0 else Outcome(TRACEBACK, f"exit status {status}: {last}")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeoutError` within, after a while."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _in_processes(
    cases: Sequence[Case], todo: Sequence[int], workers: int, limit: float
) -> Iterator[tuple[int, Outcome, float]]:
    """Run each case in a process of its own, forked from this one, which has imported everything."""
    context = get_context("fork")
    left, running = list(todo), {}
    while left or running:
        while left and len(running) < workers:
            number = left.pop(0)
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_serve, args=(cases[number], theirs))
            process.start()
            theirs.close()
            running[number] = (process, ours, time.monotonic())
        for number, (process, ours, begin) in list(running.items()):
            late = time.monotonic() - begin > limit
            if ours.poll(0.01) or late or not process.is_alive():
                del running[number]
                try:
                    outcome = ours.recv() if ours.poll() else Outcome(HUNG if late else CRASHED, "no answer")
                except EOFError:
                    outcome = Outcome(CRASHED, f"the process ended with {process.exitcode}")
                _end(process)
                ours.close()
                yield number, outcome, time.monotonic() - begin


def _end(process) -> None:
    """End a case's process with all that it has started."""
    process.join(1.0)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.join()


def _serve(case: Case, answer) -> None:
    os.setpgid(0, 0)
    folder = Path(tempfile.mkdtemp(prefix="case-"))
    try:
        outcome = case.run(folder)
    except BaseException as error:  # a fault of the case or of the project: seen in the record
        outcome = Outcome(TRACEBACK, "".join(traceback.format_exception(error))[-500:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    answer.send(outcome)
    answer.close()
    os._exit(0)
