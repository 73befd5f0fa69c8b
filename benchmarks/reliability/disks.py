"""Disks that are full, without inodes or read-only, and limits of file sizes, under every command that writes.

A case mounts a small file system for itself alone (Linux, root), and runs a command at its smallest there. The command
says which path it could not write, or has the reference's result. Then room is made, and the same command has it.
"""

import ctypes
import os
import random
import re
import resource
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.reliability.contents import contents, judge_contents
from benchmarks.reliability.frame import (
    HUNG,
    LEFTOVER,
    REFUSED,
    SAME,
    SKIPPED,
    TRACEBACK,
    Campaign,
    Case,
    Outcome,
    judge_said,
)
from benchmarks.reliability.tiny import COMMANDS, HERE, Said, call, import_all, make_inputs, placed

SECONDS = 120.0
"""A command is ended after these."""

KINDS = ("full", "no inodes", "read-only", "file size")

TEMPORARY = "temporary"
"""Folder of temporary files on a bad disk."""

_NEW_NAMESPACE = 0x00020000  # CLONE_NEWNS
_ROOM = "remount,rw,size=512m,nr_inodes=100000"
_COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{module: (module, arguments) for module, arguments in COMMANDS.items()},
    "search.run (saves every round)": (
        "search.run",
        (
            *("optimizer=regularized_evolution", "budget=60", "initial=20", "batch=4", "save_every=0", "plot=true"),
            *("progress=false", f"run_dir={HERE}/out"),
        ),
    ),
    "search.run (agnet)": (
        "search.run",
        (
            *("optimizer=agnet", "budget=24", "initial=16", "batch=8", "save_every=0", "plot=false"),
            *("progress=false", f"run_dir={HERE}/out"),
        ),
    ),
    "evaluation.run (table)": (
        "evaluation.run",
        (*COMMANDS["evaluation.run"], f"table={HERE}/table.parquet"),
    ),
}


@dataclass(frozen=True)
class Disk:
    """What a command meets.

    Attributes:
        kind: one of :data:`KINDS`.
        amount: bytes or inodes; for a read-only disk, whether the command's folder is there.
        temporary: whether temporary files are kept there, too.
    """

    kind: str
    amount: int
    temporary: bool

    def __str__(self) -> str:
        unit = {"full": "bytes", "no inodes": "inodes", "file size": "bytes"}.get(self.kind, "folder")
        return f"{self.kind}, {self.amount} {unit}{', with temporary files' if self.temporary else ''}"

    def mount(self, folder: Path) -> None:
        """Mount it, in a private namespace of this process."""
        options = {"full": f"size={self.amount}", "no inodes": f"size=64m,nr_inodes={self.amount}"}
        _command("mount", "-t", "tmpfs", "-o", options.get(self.kind, "size=64m"), "tmpfs", str(folder))
        if self.temporary:
            (folder / TEMPORARY).mkdir()
        if self.kind == "read-only":
            if self.amount:
                (folder / "out").mkdir()
            _command("mount", "-o", "remount,ro", str(folder))

    def prepare(self, folder: Path) -> None:
        """Called in the command's process."""
        if self.temporary:
            os.environ["TMPDIR"] = str(folder / TEMPORARY)
            tempfile.tempdir = None
        if self.kind == "file size":
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.amount, self.amount))


def _command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def private_namespace() -> bool:
    """Whether this process could get mounts of its own, which nobody else sees and which end with it."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "unshare") or library.unshare(_NEW_NAMESPACE) != 0:
        return False
    try:
        _command("mount", "--make-rprivate", "/")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def leftovers(folder: Path) -> list[str]:
    """Files that a command should have removed; a compiler's cache stays on purpose."""
    found = [*folder.rglob("*.partial*"), *(folder / TEMPORARY).glob("*")]
    return [str(path.relative_to(folder)) for path in found if not path.name.startswith("torchinductor_")]


def _results(folder: Path, disk: Disk) -> dict[str, Any]:
    """What a command has left there, without what was there before."""
    found = {name: held for name, held in contents(folder).items() if not name.startswith(f"{TEMPORARY}/")}
    if disk.kind == "read-only" and found.get("out/") == "empty folder":
        del found["out/"]
    return found


def judge_first(said: Said) -> Outcome | None:
    """How the command on the bad disk has ended; None if its result is to be judged."""
    if said.status is None:
        return Outcome(HUNG, f"no end in {SECONDS:.0f} s")
    outcome = judge_said(said.status, said.stderr)
    if outcome is None or outcome.kind != REFUSED:
        return outcome
    errors = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    if len(errors) != 1 or not ("/" in errors[0] or "cannot write the output" in errors[0]):
        return Outcome(TRACEBACK, f"no line that names a path: {' / '.join(errors)}")
    return outcome


def _run(key: str, disk: Disk, shared: Path, references: Mapping[str, Mapping[str, Any]], folder: Path) -> Outcome:
    if not private_namespace():
        return Outcome(SKIPPED, "no right to mount")
    here = folder / "disk"
    here.mkdir()
    disk.mount(here)
    first = _call(key, here, shared, lambda: disk.prepare(here))
    outcome = judge_first(first)
    if outcome is not None and outcome.kind != REFUSED:
        return outcome
    if left := leftovers(here):
        return Outcome(LEFTOVER, ", ".join(left))
    if outcome is not None:
        _command("mount", "-o", _ROOM, str(here))
        again = _call(key, here, shared, lambda: None)
        if again.status != 0:
            last = (again.stderr.strip().splitlines() or [""])[-1]
            return Outcome(TRACEBACK, f"with room, exit status {again.status}: {last}; before: {outcome.detail}")
        if left := leftovers(here):
            return Outcome(LEFTOVER, ", ".join(left))
    return judge_contents(references[key], _results(here, disk)) or outcome or Outcome(SAME)


def _call(key: str, here: Path, shared: Path, prepare: Callable[[], None]) -> Said:
    module, arguments = _COMMANDS[key]
    given = [placed(argument, shared, here) for argument in arguments]
    return call(module, given, here, seconds=SECONDS, prepare=prepare)


def _reference(key: str, shared: Path) -> tuple[dict[str, Any], int, int]:
    """What a command leaves on a sound disk, and its bytes and files."""
    here = shared / f"reference-{re.sub('[^a-z.]+', '-', key)}" / "disk"
    here.mkdir(parents=True)
    said = _call(key, here, shared, lambda: None)
    if said.status != 0:
        raise RuntimeError(f"{key}: exit status {said.status}: {said.stderr[-2000:]}")
    size = sum(path.stat().st_size for path in here.rglob("*") if path.is_file())
    return contents(here), size, sum(1 for _ in here.rglob("*"))


def disks(generator: random.Random, count: int, sizes: Mapping[str, tuple[int, int]]) -> list[tuple[str, Disk]]:
    """Commands with disks, in turn; none twice.

    Args:
        generator: of the random numbers.
        count: number of cases.
        sizes: bytes and files that each command writes; a disk has less room, or a little more.
    """
    pairs = [(key, kind) for key in sizes for kind in KINDS]
    picked: dict[tuple[str, Disk], Any] = {}
    while len(picked) < count:
        for key, kind in generator.sample(pairs, len(pairs)):
            size, files = sizes[key]
            low, high = 4096, max(16384, min(2 * 2**20, round(1.2 * size)))
            amount = {
                "full": round(low * (high / low) ** generator.random()),
                "no inodes": generator.randint(2, max(4, min(40, files + 2))),
                "read-only": int(generator.random() < 0.5),
                "file size": round(256 * (high / 256) ** generator.random()),
            }[kind]
            picked[key, Disk(kind, amount, generator.random() < 0.25)] = None
    return list(picked)[:count]


def _cases(generator: random.Random, count: int, shared: Path) -> list[Case]:
    """As many commands on bad disks, every command with every kind in turn."""
    import_all()
    make_inputs(shared)
    made = {key: _reference(key, shared) for key in _COMMANDS}
    references = {key: reference for key, (reference, _, _) in made.items()}
    picked = disks(generator, count, {key: (size, files) for key, (_, size, files) in made.items()})
    return [Case(f"{key}: {disk}", partial(_run, key, disk, shared, references)) for key, disk in picked]


DISKS = Campaign("disks: full, no inodes, read-only, file-size limit", 100, _cases)
"""At least 100 over all commands that write."""
