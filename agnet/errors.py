"""Errors a user can act on: every message names the offending value and the remedy.

The commands turn an :class:`AGNetError` into one line on stderr and exit status 2; anything else is a defect
of this project and keeps its traceback.
"""

import re
import reprlib

_QUOTED = 120
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _QUOTED


def quoted(value: object) -> str:
    """A value as an error message shows it: its middle is left out where it is long.

    Example:
        >>> quoted("output(0)"), len(quoted("x" * 1_000_000))
        ("'output(0)'", 120)
    """
    text = _REPR.repr(value)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED // 2]}...{text[-_QUOTED // 2 :]}"


_NO_MEMORY = re.compile(
    "can't allocate memory|out of memory|Unable to allocate|bad_alloc|Storage size calculation overflowed"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, of whichever library, says that memory did not suffice."""
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


class AGNetError(ValueError):
    """Base class of all errors that the user can fix by changing the input."""


class InvalidArchitecture(AGNetError):
    """A string or graph that is not an architecture of the space."""


class TableError(AGNetError):
    """A table that cannot be used: missing file or column, duplicate or NaN rows, unknown architecture."""


class CheckpointMismatch(AGNetError):
    """Weights that do not fit their manifest or the model they are loaded into."""


class RunDirectoryError(AGNetError):
    """A run directory that belongs to another configuration or cannot be resumed."""


class ConfigurationError(AGNetError):
    """A setting outside its range, or settings that contradict each other."""


class StorageError(AGNetError):
    """A file or folder that cannot be written: disk full, read-only, too large, gone."""


class UnreadableFile(AGNetError):
    """A file that cannot be read back: missing, damaged, too large, or changed since it was written."""


class UntrustedTarget(AGNetError):
    """A file that asks for a class or function that files may not name."""


class InvalidInput(AGNetError):
    """Images, labels or a model that cannot be evaluated."""


class TaskError(AGNetError):
    """A task without a result, because its process died or its job failed; the same command tries it again."""
