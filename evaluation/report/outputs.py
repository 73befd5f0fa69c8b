"""Write the files of a report atomically, and remove files of an earlier report that this one lacks."""

import csv
import io
import json
import math
from pathlib import Path

from matplotlib.figure import Figure

from agnet.errors import AGNetError, ConfigurationError
from agnet.runtime.files import write_bytes, write_text
from agnet.runtime.names import file_name, inside
from agnet.runtime.reading import read_json
from evaluation.report.section import Columns

SUMMARY = "summary.json"
_DPI = 130
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a text begins that spreadsheets take for a formula; an apostrophe before it keeps it a text."""


class Outputs:
    """Writes files below a folder and remembers them.

    Args:
        out: the folder; made when the first file is written.

    Raises:
        ConfigurationError: if it is something else.
    """

    def __init__(self, out: Path) -> None:
        if out.exists() and not out.is_dir():
            raise ConfigurationError(f"out={out} is no folder; name one that is new or holds an earlier report")
        self.out = out
        self.files: list[str] = []

    def text(self, name: str, text: str) -> None:
        """Write a text file."""
        write_text(self._path(name), text)

    def csv(self, name: str, columns: Columns) -> None:
        """Write columns as CSV: floats with six digits, NaN as nothing, and no text that a spreadsheet would run."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(_written, columns))
        writer.writerows([_written(value) for value in row] for row in zip(*columns.values(), strict=True))
        self.text(name, text.getvalue())

    def figure(self, stem: str, figure: Figure) -> bytes:
        """Write a figure as PNG and PDF.

        Returns:
            The figure as PNG.
        """
        picture, document = io.BytesIO(), io.BytesIO()
        figure.savefig(picture, format="png", dpi=_DPI)
        figure.savefig(document, format="pdf", metadata={"CreationDate": None})
        write_bytes(self._path(f"{stem}.png"), picture.getvalue())
        write_bytes(self._path(f"{stem}.pdf"), document.getvalue())
        return picture.getvalue()

    def finish(self, summary: dict[str, object]) -> None:
        """Write the summary, with the names of all files, and remove what only the summary before it names."""
        path = self.out / SUMMARY
        before = _listed(path)
        write_text(path, json.dumps({**summary, "files": self.files}, indent=1, allow_nan=False) + "\n")
        root = self.out.resolve()
        for name in before - set(self.files):
            stale = root / name
            if stale.is_file() and stale.resolve().is_relative_to(root):
                stale.unlink()

    def _path(self, name: str) -> Path:
        for part in name.split("/"):
            file_name(part, "column or data set")
        path = inside(self.out, name)
        self.files.append(name)
        return path


def _listed(path: Path) -> set[str]:
    """Files that an earlier summary names."""
    try:
        return {str(name) for name in read_json(path)["files"]}
    except (AGNetError, KeyError, TypeError):  # none, or not ours
        return set()


def _written(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
