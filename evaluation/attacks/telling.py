"""What a user's code raises, in one line."""

import sysconfig
import traceback
from pathlib import Path

import agnet

_FOREIGN = tuple(
    f"{Path(folder).resolve()}/"
    for folder in {
        *(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib")),
        *agnet.__path__,
        str(Path(__file__).parents[1]),
    }
)


def told(error: BaseException) -> str:
    """An exception in one line: its type, the first line of its message, and the innermost place in the user's files.

    Example:
        >>> told(ValueError("no weights"))
        'ValueError (no weights)'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    said = lines[-1 if "TorchScript interpreter" in lines[0] else 0][:200]
    where = ""
    if isinstance(error, SyntaxError) and error.filename:
        said, where = error.msg, f" at {Path(error.filename).name}:{error.lineno}"
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            if is_users(frame.filename):
                where = f" at {Path(frame.filename).name}:{frame.lineno}"
    return f"{type(error).__name__}{f' ({said})' if said else ''}{where}"


def is_users(file: str) -> bool:
    """Whether a source file belongs to neither Python, nor an installed package, nor this project."""
    return not file.startswith("<") and not str(Path(file).resolve()).startswith(_FOREIGN)
