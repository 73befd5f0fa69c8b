"""Log of the rows measured so far, beside the future table, from which the next run continues after a kill."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agnet.errors import RunDirectoryError
from agnet.runtime.files import append_text, write_text


class RowLog:
    """Lines of JSON, the first the settings, then one for every architecture; only ever appended to.

    Args:
        path: path of the file. An existing file is continued; a last line that a kill has torn is cut off.
        settings: everything that decides the rows.

    Attributes:
        rows: values of every architecture.

    Raises:
        RunDirectoryError: if the file holds rows of other settings, or a damaged line.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[str, dict[str, float]] = {}
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        if not lines:
            write_text(path, json.dumps(settings, sort_keys=True) + "\n")
            return
        try:
            written = json.loads(lines[0])
            self.rows = {row.pop("architecture"): row for row in map(json.loads, lines[1:])}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise RunDirectoryError(f"{path} is damaged ({error}); delete it to measure everything anew") from error
        if written != json.loads(json.dumps(settings)):
            raise RunDirectoryError(
                f"{path} holds {len(self.rows)} rows of other settings; write another table, or delete that file"
            )
        os.truncate(path, sum(len(line) + 1 for line in lines))

    def append(self, architecture: str, row: Mapping[str, float]) -> None:
        """Add a row and wait until the disk has it."""
        self.rows[architecture] = dict(row)
        append_text(self.path, json.dumps({"architecture": architecture, **row}) + "\n")
