"""What is damaged: a folder as a run leaves it, the way it is read back, and what a user then sees."""

import io
import shutil
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException

from agnet.errors import AGNetError
from benchmarks.reliability.calling import Ended, judge_error
from benchmarks.reliability.damage import Damage
from benchmarks.reliability.frame import CHANGED, SAME, Case, Outcome


def differ(expected: Any, found: Any) -> str:
    """Where two plain values differ, in a few words; empty if they do not."""
    if type(expected) is not type(found):
        return f"{str(found)[:80]} instead of {str(expected)[:80]}"
    if isinstance(expected, dict):
        if keys := sorted(map(str, expected.keys() ^ found.keys())):
            return f"keys {', '.join(keys)[:120]}"
        return next((f"{key}: {said}" for key in expected if (said := differ(expected[key], found[key]))), "")
    if isinstance(expected, list | tuple):
        if len(expected) != len(found):
            return f"{len(found)} instead of {len(expected)}"
        pairs = enumerate(zip(expected, found, strict=True))
        return next((f"{i}: {said}" for i, (ours, theirs) in pairs if (said := differ(ours, theirs))), "")
    return (
        "" if expected == found or (expected != expected and found != found) else f"{found!r} instead of {expected!r}"
    )


def differ_in_part(expected: dict[Any, Any], found: dict[Any, Any]) -> str:
    """As :func:`differ`, for a reader that may find less: what is missing, the next command makes again."""
    return differ({key: value for key, value in expected.items() if key in found}, found)


@dataclass(frozen=True)
class Subject:
    """A folder to damage.

    Attributes:
        name: its name in the record.
        files: files that are read back, relative to the folder.
        build: fills an empty folder as current folder; the argument tells two runs apart that are of one kind.
        read: what a user sees of the folder, which is the current one, as plain values.
        weight: how often it is drawn.
        differ: where what is seen differs from what it was; empty if it does not.
        replaceable: whether a file of the other run is a damage: not where nothing says whose it has to be.
    """

    name: str
    files: Sequence[str]
    build: Callable[[int], None]
    read: Callable[[], Any] = field(repr=False)
    weight: int
    differ: Callable[[Any, Any], str] = differ
    replaceable: bool = True


@dataclass(frozen=True)
class Reference:
    """A subject that was built, with a second run of the same kind.

    Attributes:
        subject: the subject.
        folder: the folder, never changed.
        other: the second run's folder.
        seen: what a user sees of the whole folder.
    """

    subject: Subject
    folder: Path
    other: Path
    seen: Any = field(repr=False)

    @classmethod
    def built(cls, subject: Subject, shared: Path) -> "Reference":
        """Build a subject, and read a copy of it twice: what differs then is no sign of damage.

        Raises:
            RuntimeError: if the two differ, or a file to damage is missing.
        """
        folders = [shared / f"{subject.name} {variant}" for variant in range(2)]
        for variant, folder in enumerate(folders if subject.replaceable else folders[:1]):
            folder.mkdir(parents=True)
            with chdir(folder):
                subject.build(variant)
        if missing := [file for file in subject.files if not (folders[0] / file).is_file()]:
            raise RuntimeError(f"{subject.name} lacks {', '.join(missing)}")
        seen = []
        for _ in range(2):
            copy = Path(shutil.copytree(folders[0], shared / "copy"))
            with chdir(copy):
                seen.append(subject.read())
            shutil.rmtree(copy)
        if said := subject.differ(*seen):
            raise RuntimeError(f"{subject.name} is not the same twice: {said}")
        return cls(subject, *folders, seen[0])

    def case(self, file: str, damage: Damage) -> Case:
        """The case that damages one file of a copy."""

        def run(folder: Path) -> Outcome:
            copy = Path(shutil.copytree(self.folder, folder / "copy"))
            damage.apply(copy / file, self.other / file if self.subject.replaceable else None)
            with chdir(copy):
                return judge(self.subject, self.seen)

        return Case(f"{self.subject.name}: {file}: {damage}", run)


def judge(subject: Subject, expected: Any) -> Outcome:
    """Read the current folder, and judge what is seen.

    Args:
        subject: what it is.
        expected: what is seen of a whole one.
    """
    try:
        with redirect_stderr(io.StringIO()):  # notes
            found = subject.read()
    except AGNetError as error:
        return judge_error(error)
    except InstantiationException as error:  # commands look for its cause
        if not isinstance(error.__cause__, AGNetError):
            raise
        return judge_error(error.__cause__)
    except Ended as end:
        return end.outcome
    said = subject.differ(expected, found)
    return Outcome(CHANGED, said) if said else Outcome(SAME)
