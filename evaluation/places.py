"""Whether a file can be written, asked before the hours that its content takes."""

from contextlib import suppress
from pathlib import Path

from agnet.errors import StorageError
from agnet.runtime.files import replacing


class _NotYet(Exception):
    """Leaves the file as it is."""


def check_place(path: Path) -> None:
    """Try a place where a file will be written at the end; nothing is left there but its folder.

    Args:
        path: the file.

    Raises:
        StorageError: if it cannot be written, or is a folder.
    """
    if path.is_dir():
        raise StorageError(f"cannot write {path} (it is a folder); choose another name")
    with suppress(_NotYet), replacing(path):
        raise _NotYet
