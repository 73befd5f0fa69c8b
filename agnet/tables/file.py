"""One Parquet file, opened once: its names, its metadata and its columns are of one version, and of what was written.

Whoever replaces the file meanwhile does not disturb: the opened one is read to the end. Every column that is read is
compared with the hash that was stored with it. A table by another hand has none and is read as it is.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from agnet.errors import AGNetError, TableError
from agnet.tables.hashes import COLUMNS, CONTENT, METADATA, PREFIX, column_hash, content_hash, metadata_hash

Value = TypeVar("Value")

KEY = "architecture"
"""Name of the column with the space's strings."""

COMPRESSION = "zstd"
"""How columns are compressed that we write; others' default is another one."""

_FOOTER = 2**18
"""Bytes at the end of a file that are searched for metadata."""

REMEDY = (
    "copy or make it again; if you changed it yourself, write it without its old metadata: "
    "table.replace_schema_metadata(None)"
)


class TableFile:
    """An opened Parquet file.

    Args:
        path: the file.
        strict: refuse a table that another hand has made of some of our rows, with our metadata in it.

    Raises:
        TableError: if it is missing, unreadable, or its metadata are not what was written.
    """

    def __init__(self, path: Path, *, strict: bool = False) -> None:
        self.path, self._strict = path, strict
        self._handle = self._attempt(lambda: pa.OSFile(str(path)))
        self._file = self._attempt(lambda: pq.ParquetFile(self._handle))
        self._schema = self._attempt(lambda: self._file.schema_arrow)
        self._entries = self._attempt(self._stored)
        self._hashes = self._check_entries()

    def __repr__(self) -> str:
        return f"TableFile({str(self.path)!r}, {len(self.names)} columns)"

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return self._schema.names

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata stored with the table, with the hash of its content; empty for a table by another hand."""
        return {key: value for key, value in self._entries.items() if key not in (COLUMNS, METADATA)}

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Columns, compared with their hashes.

        Args:
            columns: names of the columns, in the order wanted; None for all.

        Raises:
            TableError: if a column is unreadable or is not what was written.
        """
        if CONTENT not in self._entries or self._has_other_rows:
            return self._attempt(lambda: self._read(columns))
        if self._hashes is None:
            return self._whole if columns is None else self._attempt(lambda: self._whole.select(list(columns)))
        table = self._attempt(lambda: self._read(columns))
        for name in table.column_names:
            if (
                name in self._hashes
                and self._attempt(lambda name=name: column_hash(name, table[name])) != (self._hashes[name])
            ):
                raise self._damaged(f"column {name!r}")
        return table

    @cached_property
    def _is_rewritten(self) -> bool:
        """Whether another hand has written the file, with our metadata in it: it has another compression than ours."""
        about = self._attempt(lambda: self._file.metadata)
        if self._strict or not about.num_row_groups or not about.num_columns:
            return False
        group = about.row_group(0)
        return all(group.column(i).compression != COMPRESSION.upper() for i in {0, about.num_columns - 1})

    @cached_property
    def _has_other_rows(self) -> bool:
        """Whether it is another table: some rows of ours, or more than these, with our metadata in it."""
        if not self._is_rewritten or KEY not in self.names:
            return False
        if self._hashes is None:
            return content_hash(self._attempt(lambda: self._read(None))) != self._entries[CONTENT]
        return column_hash(KEY, self._attempt(lambda: self._read([KEY]))[KEY]) != self._hashes.get(KEY)

    @cached_property
    def _whole(self) -> pa.Table:
        """All columns of a table of an earlier revision, which has one hash of them all."""
        table = self._attempt(lambda: self._read(None))
        if self._attempt(lambda: content_hash(table)) != self._entries[CONTENT]:
            raise self._damaged("its content")
        return table

    def _read(self, columns: Sequence[str] | None) -> pa.Table:
        table = self._file.read(columns=None if columns is None else list(dict.fromkeys(columns)))
        table.validate(full=True)
        return table if columns is None else table.select(list(columns))

    def _stored(self) -> dict[str, str]:
        raw: Mapping[bytes, bytes] = self._schema.metadata or {}
        return {k[len(PREFIX) :].decode(): v.decode() for k, v in raw.items() if k.startswith(PREFIX)}

    def _check_entries(self) -> dict[str, str] | None:
        """The hash of every column; None where the file has none."""
        entries = self._entries
        if COLUMNS not in entries and METADATA not in entries:
            if self._attempt(self._names_hashes):
                raise self._damaged("its metadata")
            return None
        if entries.get(METADATA) != metadata_hash(entries) or not {COLUMNS, CONTENT} <= set(entries):
            raise self._damaged("its metadata")
        hashes: dict[str, str] = self._attempt(lambda: json.loads(entries[COLUMNS]))
        if list(hashes) != self.names and not self._is_rewritten:
            strange = next((name for name in self.names if name not in hashes), "(order or number of columns)")
            raise self._damaged(f"column {strange!r}")
        return hashes

    def _names_hashes(self) -> bool:
        """Whether the end of the file, where metadata lie, has hashes after all: a flipped bit can hide them."""
        size = self._handle.size()
        self._handle.seek(max(0, size - _FOOTER))
        return PREFIX + METADATA.encode() in self._handle.read(_FOOTER)

    def _attempt(self, read: Callable[[], Value]) -> Value:
        try:
            return read()
        except AGNetError:
            raise
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError) as error:
            raise self._unreadable(error) from error

    def _damaged(self, part: str) -> TableError:
        return TableError(
            f"{self.path} is not what was written: {part} is damaged (its content does not match its hash); {REMEDY}"
        )

    def _unreadable(self, error: BaseException) -> TableError:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        return TableError(
            f"{self.path} is not a readable Parquet file ({said}); copy or make it again, write your table as one, or "
            "make one of a benchmark's own file with python -m search.import_table"
        )


def open_table(path: Path | str | TableFile, *, strict: bool = False) -> TableFile:
    """A table's file, opened.

    Args:
        path: the file; one that is open stays as it is.
        strict: whether a table that was changed elsewhere is refused; see :class:`TableFile`.

    Raises:
        TableError: if it is missing or unreadable.
    """
    if isinstance(path, TableFile):
        return path
    path = Path(path)
    if not _is_file(path):
        raise TableError(f"no table at {path}; check objective.tables (paths are relative to the current folder)")
    return TableFile(path, strict=strict)


def read_parquet(path: Path) -> pa.Table:
    """All columns of a file, as they were written, unchecked otherwise.

    Raises:
        TableError: if the file cannot be read or is not what was written.
    """
    return open_table(path, strict=True).read()


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata that were stored with a table; empty for a table from elsewhere.

    Raises:
        TableError: if the file cannot be read or the metadata are not what was written.
    """
    return open_table(path).metadata


def _is_file(path: Any) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a folder that may not be entered
        return False
