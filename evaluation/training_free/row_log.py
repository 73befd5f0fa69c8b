"""Log of the rows measured so far, beside the future table, from which the next run continues after a kill."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agnet.errors import RunDirectoryError
from agnet.runtime.digests import differences, of_bytes
from agnet.runtime.files import append_text, truncate, write_text
from agnet.runtime.reading import damaged, parse_json, read_bytes

_LARGEST = 4 * 2**30


class RowLog:
    """Lines of JSON, the first the settings, then one for every architecture; only ever appended to.

    Each line ends with a hash of itself and of all lines before it: none can be changed, moved or taken out unseen.

    Args:
        path: path of the file. An existing file is continued; a last line that a kill has torn is cut off.
        settings: everything that decides the rows, digests of images and code included.

    Attributes:
        rows: values of every architecture.

    Raises:
        RunDirectoryError: if the file holds rows of other settings.
        UnreadableFile: if a line is damaged.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[str, dict[str, float]] = {}
        self._hash = ""
        lines = read_bytes(path, most=_LARGEST).split(b"\n")[:-1] if path.exists() else []
        if not lines:
            write_text(path, self._sealed({"settings": settings}))
            return
        contents = [self._content(line, number) for number, line in enumerate(lines, start=1)]
        ours = json.loads(json.dumps(settings))
        if different := differences(contents[0].get("settings", {}), ours):
            raise RunDirectoryError(
                f"{path} holds {len(lines) - 1} rows of other settings ({different}); write another table, or delete "
                "that file"
            )
        self.rows = {content.pop("architecture"): content for content in contents[1:]}
        truncate(path, sum(len(line) + 1 for line in lines))

    def append(self, architecture: str, row: Mapping[str, float]) -> None:
        """Add a row and wait until the disk has it.

        Raises:
            StorageError: if the operating system refuses.
        """
        self.rows[architecture] = dict(row)
        append_text(self.path, self._sealed({"architecture": architecture, **row}))

    def _sealed(self, content: Mapping[str, Any]) -> str:
        """A line with its hash, which the next line's includes."""
        text = json.dumps(content, sort_keys=True)
        self._hash = of_bytes(self._hash.encode(), text.encode())
        return f"{text[:-1]}, {_tail(self._hash)}\n"

    def _content(self, line: bytes, number: int) -> dict[str, Any]:
        """The content of a line.

        Raises:
            UnreadableFile: if it is not the line that was written in this place.
        """
        tail = len(_tail("0" * 64))
        text = line[: -tail - 2] + b"}"
        self._hash = of_bytes(self._hash.encode(), text)
        if line[-tail - 2 :] != f", {_tail(self._hash)}".encode():
            raise damaged(self.path, f"line {number} does not match its hash", "delete it to measure everything anew")
        return parse_json(text, self.path)


def _tail(digest: str) -> str:
    return f'"sha256": "{digest}"}}'
