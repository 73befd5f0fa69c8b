"""Insert generated tables into documents."""

import re
from pathlib import Path

from agnet.runtime.files import write_text


def insert(path: Path, name: str, text: str) -> None:
    """Replace the text between ``<!-- begin: name -->`` and ``<!-- end: name -->`` in a markdown file.

    Raises:
        ValueError: if the file has no such pair of marks.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    content = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", flags=re.DOTALL)
    if not pattern.search(content):
        raise ValueError(f"{path} has no lines {begin} ... {end}")
    write_text(path, pattern.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", content, count=1))
