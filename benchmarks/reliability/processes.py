"""Start commands, as a shell does or forked from this process, which spares them the imports, and look at them."""

import atexit
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import util as multiprocessing_util
from pathlib import Path

from agnet.runtime.interrupts import MESSAGE, quiet_start
from agnet.runtime.paths import ROOT
from benchmarks.reliability.contents import contents
from benchmarks.reliability.frame import LEFTOVER, TRACEBACK, Outcome, judge_said
from benchmarks.reliability.jobs import JOBS, Job

HEAVY = ("matplotlib.pyplot", "sklearn.ensemble", "torch_geometric.nn", "xgboost", "scipy.stats", "pydantic")
"""What commands import while they work."""

LONGEST = 120.0
"""Seconds after which a command is given up."""


@dataclass
class Place:
    """The folders of a case: results, temporary files, and the folder where the command is started.

    Attributes:
        folder: an empty folder.
        shared: the inputs.
    """

    folder: Path
    shared: Path
    said: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in (self.temporary, self.here):
            path.mkdir()

    @property
    def out(self) -> Path:
        """What commands fill."""
        return self.folder / "out"

    @property
    def temporary(self) -> Path:
        """What they get as TMPDIR."""
        return self.folder / "t"

    @property
    def here(self) -> Path:
        """Where they are started."""
        return self.folder / "here"

    def start(self, job: Job, *, real: bool = False) -> "Running":
        """Start a command: ``real`` as a shell does, else as a forked child of this process."""
        stderr = self.folder / f"stderr{len(self.said)}"
        self.said.append(stderr)
        arguments = job.arguments(self.out, self.shared)
        start = _start_real if real else _start_forked
        return Running(start(job.module, arguments, self, stderr), stderr, time.monotonic())

    def run(self, job: Job) -> "Running":
        """Run a command to its end."""
        running = self.start(job)
        running.wait()
        return running

    def leftovers(self) -> Outcome | None:
        """What commands have left beside their results: temporary files, files in the current folder, tracebacks."""
        for folder in (self.temporary, self.here):
            if left := sorted(contents(folder)):
                return Outcome(LEFTOVER, f"{folder.name}: {', '.join(left[:5])}")
        for path in self.said:
            if "Traceback (most recent call last)" in (text := path.read_text(errors="replace")):
                return Outcome(TRACEBACK, text.strip().splitlines()[-1])
        return None


@dataclass
class Running:
    """A command that was started.

    Attributes:
        pid: its process, which leads a session of its own.
        stderr: the file that it writes to.
        begin: when it was started.
        status: exit status, negative for a signal; None while it runs.
    """

    pid: int
    stderr: Path
    begin: float
    status: int | None = None

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds: float = LONGEST) -> int | None:
        """Wait for the end; what takes too long is killed, and its status stays None."""
        end = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        if self.status is None:
            self.send(signal.SIGKILL, group=True)
            os.waitpid(self.pid, 0)
        return self.status

    def send(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the process, or to all that it has started too."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def workers(self) -> list[int]:
        """Processes that work for it: those of its fork server."""
        parents = _parents()
        return [pid for pid, parent in parents.items() if parents.get(parent) == self.pid]

    def left(self, seconds: float = 10.0) -> list[int]:
        """Processes of its session that do not end with it."""
        end = time.monotonic() + seconds
        while (left := _of_session(self.pid)) and time.monotonic() < end:
            time.sleep(0.05)
        return left

    def judge(self) -> Outcome | None:
        """What its end tells; None where it ended well."""
        return judge_said(-1 if self.status is None else self.status, self.stderr.read_text(errors="replace"))

    def strange(self) -> list[str]:
        """Lines on stderr that are neither notes, nor progress, nor the line after Ctrl-C."""
        lines = self.stderr.read_text(errors="replace").replace("\r", "\n").splitlines()
        known = ("note: ", "warning: ", MESSAGE)
        progress = re.compile(r"%\||\d+ of \d+ \w+ done after ")
        return [line for line in lines if line.strip() and not line.startswith(known) and not progress.search(line)]


def preload() -> None:
    """Import what commands import, so that forked ones need not."""
    for name in (*HEAVY, *(job.module for job in JOBS)):
        import_module(name)


def _start_real(module: str, arguments: Sequence[str], place: Place, stderr: Path) -> int:
    environment = {**os.environ, "TMPDIR": str(place.temporary), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with stderr.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=place.here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        )
    process.returncode = 0  # this module waits for it
    return process.pid


def _start_forked(module: str, arguments: Sequence[str], place: Place, stderr: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        nothing, file = os.open(os.devnull, os.O_RDWR), os.open(stderr, os.O_WRONLY | os.O_CREAT)
        for there, here in ((nothing, 0), (nothing, 1), (file, 2)):
            os.dup2(there, here)
        os.chdir(place.here)
        os.environ.update(TMPDIR=str(place.temporary), OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
        tempfile.tempdir = None
        status = _as_main(module, arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _as_main(module: str, arguments: Sequence[str]) -> int:
    """Run a command's ``main`` in this process as the interpreter would, with its end."""
    atexit._clear()  # what the parent wants done at its end is not this process's
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["-m"]
    quiet_start()
    command = import_module(module)
    sys.modules["__main__"] = command  # what workers import
    sys.path[:0] = [str(ROOT)]
    sys.argv = [str(command.__file__), *arguments]
    status: int | str | None = 0
    try:
        command.main()
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        traceback.print_exc()
        status = 1
    multiprocessing_util._exit_function()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


def _parents() -> dict[int, int]:
    """Every process's parent."""
    return {pid: int(fields[1]) for pid, fields in _stats().items()}


def _of_session(leader: int) -> list[int]:
    return [pid for pid, fields in _stats().items() if int(fields[3]) == leader and fields[0] not in "ZX"]


def _stats() -> dict[int, list[str]]:
    """State, parent, group, session ... of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
    return found
