"""Insert generated tables into documents."""

import re
from pathlib import Path

from agnet.errors import ConfigurationError
from agnet.runtime.files import write_text
from agnet.runtime.reading import read_text


def insert(path: Path, name: str, text: str) -> None:
    """Replace the text between ``<!-- begin: name -->`` and ``<!-- end: name -->`` in a markdown file.

    Raises:
        AGNetError: if the file cannot be read or written, or has no such pair of marks.
    """
    begin, end = _marks(name)
    content = check_marks(path, name)
    write_text(path, _between(name).sub(lambda _: f"{begin}\n{text.strip()}\n{end}", content, count=1))


def check_marks(path: Path, name: str) -> str:
    """The text of a file into which :func:`insert` can insert.

    Args:
        path: the markdown file.
        name: name of the marks.

    Raises:
        AGNetError: if the file cannot be read, or has no such pair of marks.
    """
    content = read_text(path)
    if not _between(name).search(content):
        raise ConfigurationError(f"into={path} has no lines {' ... '.join(_marks(name))}; add them")
    return content


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- begin: {name} -->", f"<!-- end: {name} -->"


def _between(name: str) -> re.Pattern[str]:
    begin, end = _marks(name)
    return re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.DOTALL)
