"""Names that become paths: plain names, and paths that stay inside their folder."""

import re
from pathlib import Path

from agnet.errors import ConfigurationError

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*")
_LONGEST = 200


def file_name(name: str, what: str) -> str:
    """A name that may become a part of a path, unchanged.

    Args:
        name: the name.
        what: kind of thing that bears the name, for the message.

    Raises:
        ConfigurationError: if it holds other characters than letters, digits and ``_ - . + =``, or is too long.

    Example:
        >>> file_name("pgd_linf", "attack")
        'pgd_linf'
    """
    if not isinstance(name, str) or not _PLAIN.fullmatch(name) or ".." in name or len(name) > _LONGEST:
        raise ConfigurationError(
            f"{what} {name!r} cannot be a part of a file's name; use letters, digits and _ - . + =, at most {_LONGEST}"
        )
    return name


def inside(folder: Path, path: str | Path) -> Path:
    """A path below a folder.

    Args:
        folder: the folder that is written.
        path: the path, relative to it.

    Raises:
        ConfigurationError: if it leads elsewhere, whether by ``..``, by a root or by a link.
    """
    whole = folder / path
    if not whole.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"{path} lies outside of {folder}, where alone files are written; correct the name")
    return whole
