"""A hostile file, the call that reads it, and the judge who looks whether anything ran or was written elsewhere."""

import hashlib
import io
import resource
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hydra.errors import InstantiationException

from agnet.errors import AGNetError
from benchmarks.reliability.calling import Ended, judge_error
from benchmarks.reliability.frame import (
    ACCEPTED,
    EXECUTED,
    HUNG,
    OUTSIDE,
    REFUSED,
    SAME,
    TRACEBACK,
    Case,
    Outcome,
    time_limit,
)
from benchmarks.reliability.hostile import CANARY

MOST_MEMORY = 6 * 2**30
"""Bytes of address space that reading a hostile file may take."""

MOST_SECONDS = 90.0

GREEDY = "too much memory"
"""How a case may end besides the frame's ways: the file is small, so no more than a little memory is needed."""

OWN = ("out", "run")
"""Folders below the current one that a command may write."""

ABSOLUTE = Path("/tmp/agnet-ESCAPED")
"""A path of :data:`benchmarks.reliability.hostile.NAMES`."""


@dataclass(frozen=True)
class Hostile:
    """One hostile file.

    Attributes:
        name: what it is, and who reads it.
        write: writes it into the current folder.
        read: reads it: a command, or a function.
        refused: whether it has to be refused; else it may be read as plain data too.
        own: what the call may write, below the current folder.
        look: what is wrong with what was written into ``out``; empty if nothing is.
    """

    name: str
    write: Callable[[], object] = field(repr=False)
    read: Callable[[], object] = field(repr=False)
    refused: bool = True
    own: tuple[str, ...] = OWN
    look: Callable[[], str] = field(default=str, repr=False)

    def case(self) -> Case:
        """The case."""
        return Case(self.name, self._run)

    def _run(self, folder: Path) -> Outcome:
        """Two folders deep, so that what escapes from ``out`` is seen."""
        work = folder / "guarded" / "work"
        work.mkdir(parents=True)
        (folder / "guarded" / "precious.txt").write_text("precious", encoding="utf-8")
        with chdir(work):
            self.write()
            before = listing(folder, self.own)
            outcome = self._read()
            if outcome.kind == REFUSED and "out of memory" in outcome.detail:
                outcome = Outcome(GREEDY, outcome.detail)
            written = differences(before, listing(folder, self.own))
            if outcome.kind == SAME and (wrong := self.look()):
                outcome = Outcome(EXECUTED, wrong)
        if any(Path(name).name == CANARY for name in written):
            return Outcome(EXECUTED, f"{CANARY} was made; {outcome.kind}: {outcome.detail}")
        if ABSOLUTE.exists():
            ABSOLUTE.unlink() if ABSOLUTE.is_file() else None
            written.append(str(ABSOLUTE))
        if written:
            return Outcome(OUTSIDE, f"{', '.join(written)[:200]}; {outcome.kind}: {outcome.detail}")
        return outcome

    def _read(self) -> Outcome:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        said = io.StringIO()
        try:
            with time_limit(MOST_SECONDS), redirect_stderr(said), redirect_stdout(said):
                self.read()
        except AGNetError as error:
            return judge_error(error)
        except InstantiationException as error:  # commands look for its cause
            if isinstance(error.__cause__, AGNetError):
                return judge_error(error.__cause__)
            return Outcome(TRACEBACK, f"{type(error).__name__}: {error}"[:300])
        except Ended as end:
            return end.outcome
        except MemoryError:
            return Outcome(GREEDY, "MemoryError")
        except TimeoutError:
            return Outcome(HUNG, f"more than {MOST_SECONDS:.0f} s")
        except (Exception, SystemExit) as error:
            return Outcome(TRACEBACK, f"{type(error).__name__}: {error}"[:300])
        return Outcome(ACCEPTED, said.getvalue()[-200:]) if self.refused else Outcome(SAME)


def listing(folder: Path, own: tuple[str, ...] = OWN) -> dict[str, str]:
    """Digest of every file below a case's folder, by path; folders too.

    Args:
        folder: folder of the case.
        own: what commands may write below the current folder; it is left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if set(Path(name).parts[2:3]) & set(own) and path.name != CANARY:
            continue
        found[name] = "folder" if path.is_dir() else "gone"
        with suppress(OSError):
            if path.is_file():
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Paths that are new, changed or gone."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
