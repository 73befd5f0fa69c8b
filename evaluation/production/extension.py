"""Extend a finished table: reuse its rows and evaluate only the missing cells."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agnet.errors import RunDirectoryError, TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.robustness import RobustnessTable
from agnet.tables.table import KEY, read_metadata
from evaluation.production.protocol import Protocol

_COUNTED = frozenset({KEY, "isomorph", "parameters", "macs"})

Row = dict[str, float | None]
"""Measured columns of a cell; None where there is no value."""


@dataclass(frozen=True)
class Base:
    """A table that is extended.

    Attributes:
        rows: measured columns by representative.
        content_sha256: hash of its content.
        revisions: revisions of the code that made it, oldest first.
        cpu_seconds: CPU seconds spent on it, as far as the table says so.
    """

    rows: dict[str, Row]
    content_sha256: str
    revisions: list[str]
    cpu_seconds: float

    def __repr__(self) -> str:
        return f"Base({len(self.rows)} cells, content {self.content_sha256[:16]})"


def read_base(path: Path, protocol: Protocol, seeds: Sequence[int]) -> Base:
    """Read a table that :func:`~evaluation.production.merge` has written, to go on from it.

    Args:
        path: the Parquet file.
        protocol: protocol of the further cells.
        seeds: seeds of every cell.

    Raises:
        TableError: if it cannot be read, or was changed.
        RunDirectoryError: if it was made under another protocol or of other seeds; it names what differs.
    """
    found = RobustnessTable.read(path)
    metadata = found.metadata
    check_protocol(
        f"extend={path}", metadata, protocol, "give a table of this protocol, or extend=null to make all cells"
    )
    try:
        made = sorted(json.loads(metadata["seeds"]))
        revisions = [*json.loads(metadata.get("extends", "[]")), metadata.get("revision", "")]
        spent = float(metadata.get("cpu_seconds", 0.0))
    except (KeyError, ValueError, TypeError) as error:
        raise TableError(f"extend={path} has damaged metadata ({error}); restore it or make it again") from error
    if made != sorted(set(seeds)):
        raise RunDirectoryError(f"extend={path} was made of seeds {metadata['seeds']}, not {list(seeds)}; give those")
    names = [name for name in found.table.column_names if name not in _COUNTED]
    columns = {name: found.table[name].to_pylist() for name in names}
    cells = NASBench201().enumerate()
    rows = {cells[number]: {name: columns[name][row] for name in names} for number, row in found.evaluated.items()}
    if "content_sha256" not in metadata:
        raise TableError(f"extend={path} has no hash of its content; give a table that evaluation.run has written")
    return Base(rows, metadata["content_sha256"], revisions, spent)


def check_protocol(name: str, metadata: Mapping[str, str], protocol: Protocol, remedy: str) -> None:
    """Refuse a table that was made under another protocol.

    Args:
        name: the table's name, for the message.
        metadata: the table's metadata.
        protocol: protocol that it should have.
        remedy: advice to the user.

    Raises:
        RunDirectoryError: naming what differs.
    """
    if metadata.get("protocol_digest") == protocol.digest:
        return
    changed: list[str] = []
    with suppress(ValueError, AttributeError):  # a table of others
        theirs, mine = json.loads(metadata.get("protocol", "")), json.loads(json.dumps(protocol.describe()))
        changed = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
    raise RunDirectoryError(
        f"{name} was made under another protocol (differs in {', '.join(changed) or 'the images'}); {remedy}"
    )


def check_new(path: Path, protocol: Protocol) -> None:
    """Refuse to write over a table that was made under another protocol.

    Args:
        path: the table to write, which may exist.
        protocol: protocol of the new one.

    Raises:
        RunDirectoryError: if another table would be lost.
    """
    if path.exists():
        try:
            metadata = read_metadata(path)
        except (OSError, ValueError):  # no table that anybody could read
            return
        check_protocol(f"table={path} exists and", metadata, protocol, "choose another table, or remove that one")
