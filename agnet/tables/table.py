"""Tables: Parquet files with one row per architecture, the only contract between evaluation and search.

The column ``architecture`` holds the space's string; every other column is numeric. Accuracies are in percent,
latencies in ms, energies in mJ; a column's name gives eps in units of 1/255. Several tables are joined on
``architecture``.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import TableError
from agnet.runtime.digests import of_arrays, of_bytes
from agnet.runtime.files import write_bytes
from agnet.tables.file import COMPRESSION, TableFile, open_table
from agnet.tables.file import KEY as KEY
from agnet.tables.file import read_metadata as read_metadata
from agnet.tables.hashes import content_hash as content_hash
from agnet.tables.hashes import stamped

_TEXT = (pa.string(), pa.large_string(), pa.string_view())


def write_table(path: Path, table: pa.Table, metadata: Mapping[str, str]) -> None:
    """Write a table atomically, with its metadata and hashes of both and of every column.

    Args:
        path: the Parquet file.
        table: a column ``architecture`` and numeric columns.
        metadata: space, dataset, protocol, code revision, seeds, command.

    Raises:
        TableError: if the table breaks the contract.
    """
    write_bytes(path, parquet_bytes(check_table(table, path), metadata))


def parquet_bytes(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """The content of a Parquet file, with metadata and the hashes of what it holds.

    Args:
        table: the columns.
        metadata: entries to store, of text.
    """
    file = io.BytesIO()
    pq.write_table(stamped(table, metadata), file, compression=COMPRESSION)
    return file.getvalue()


@dataclass(frozen=True)
class Table:
    """Numeric columns of one or several joined tables.

    Attributes:
        columns: names of the columns.
        values: one row per architecture.
        rows: row index of every architecture.
    """

    columns: tuple[str, ...]
    values: Float[Tensor, "rows columns"]
    rows: Mapping[str, int]

    def __repr__(self) -> str:
        return f"Table(architectures: {len(self.rows):,}, columns: {', '.join(self.columns)})"

    @cached_property
    def identity(self) -> str:
        """Digest of what was read: architectures, names of columns, and values, in order."""
        return of_bytes("\n".join([*self.columns, "", *self.rows]).encode(), of_arrays(self.values).encode())

    def lookup(self, architectures: Sequence[str]) -> Float[Tensor, "queries columns"]:
        """Values of architectures, float64.

        Raises:
            TableError: if an architecture is not in the table; the message names the first.
        """
        try:
            index = [self.rows[a] for a in architectures]
        except KeyError as error:
            raise TableError(
                f"architecture {error.args[0]!r} is not in the table ({len(self.rows)} rows with "
                f"{', '.join(self.columns)}); add its row or restrict the space"
            ) from None
        return self.values[torch.tensor(index, dtype=torch.int64, device="cpu")]


def read_table(
    paths: Sequence[Path | str | TableFile],
    columns: Sequence[str],
    *,
    missing: Literal["error", "drop", "keep"] = "error",
) -> Table:
    """Read the named columns from one or several tables, joined on ``architecture``.

    Only architectures present in every table that contributes a column are kept.

    Args:
        paths: the Parquet files, or those that :func:`agnet.tables.file.open_table` has opened.
        columns: columns to read, at least one; each must be in exactly one file.
        missing: treatment of rows that lack a value in one of the columns: refuse the table (``error``), leave the
            rows out (``drop``), or keep them with NaN (``keep``).

    Raises:
        TableError: for a missing or unreadable file, a missing or ambiguous column, a column that is not numeric,
            duplicate architectures, or missing values; it names file, column and remedy.
    """
    if not paths:
        raise TableError("no table given; set objective.tables=[path.parquet]")
    files = [_opened(path) for path in paths]
    source: dict[TableFile, list[str]] = {}
    if not columns or KEY in columns:
        raise TableError(f"columns {list(columns)}: name at least one, and only columns with values, not {KEY!r}")
    for column in dict.fromkeys(columns):
        holders = [file for file in files for _ in range(file.names.count(column))]
        if not holders:
            available = sorted({name for file in files for name in file.names} - {KEY})
            raise TableError(f"no column {column!r} in {_paths(files, ', ')}; available: {', '.join(available)}")
        if len(holders) > 1:
            raise TableError(f"column {column!r} is in {_paths(holders, ' and ')}; drop one table or rename the column")
        source.setdefault(holders[0], []).append(column)
    joined: pa.Table | None = None
    for file, names in source.items():
        part = check_table(file.read([KEY, *names]), file.path)
        if missing == "error":
            _refuse_missing(part, file.path)
        joined = part if joined is None else joined.join(part, keys=KEY, join_type="inner")
    assert joined is not None
    if joined.num_rows == 0:
        raise TableError(f"{_paths(source, ', ')} share no architecture; are they of one space?")
    values = np.stack([_floats(joined[c]) for c in columns], axis=1)
    present = np.ones(len(values), dtype=bool) if missing == "keep" else ~np.isnan(values).any(axis=1)
    if not present.all():
        values = values[present]
        if not len(values):
            raise TableError(f"{_paths(source, ', ')}: no row has a value in all of {', '.join(columns)}")
    rows = {a: i for i, a in enumerate(joined[KEY].filter(pa.array(present)).to_pylist())}
    return Table(tuple(columns), torch.from_numpy(values), rows)


def column_names(paths: Sequence[Path | str | TableFile]) -> list[str]:
    """Names of the value columns of one or several tables.

    Raises:
        TableError: for a missing or unreadable file.
    """
    return [name for path in paths for name in _opened(path).names if name != KEY]


def _opened(path: Path | str | TableFile) -> TableFile:
    file = open_table(path)
    if KEY not in file.names:
        raise TableError(_no_key(file.path, file.names))
    return file


def check_table(table: pa.Table, path: Path) -> pa.Table:
    """The table with its keys as plain strings.

    Raises:
        TableError: if the table breaks the contract; the message says how.
    """
    if KEY not in table.column_names:
        raise TableError(_no_key(path, table.column_names))
    key = table[KEY]
    if isinstance(key.type, pa.DictionaryType):
        key = key.cast(key.type.value_type)
    if key.type not in _TEXT:
        raise TableError(f"{path}: column {KEY!r} has type {key.type}; it must hold strings")
    if key.null_count:
        raise TableError(f"{path}: column {KEY!r} is empty in {key.null_count} rows; drop them")
    key = key.cast(pa.string())
    if len(counts := key.value_counts()) != len(key):
        repeated = next(e["values"].as_py() for e in counts if e["counts"].as_py() > 1)
        raise TableError(f"{path}: architecture {repeated!r} has several rows; keep one row per architecture")
    for name in table.column_names:
        if name == KEY:
            continue
        column = table[name]
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise TableError(f"{path}: column {name!r} has type {column.type}; columns must be numeric: convert it")
        infinite = np.flatnonzero(np.isinf(_floats(column)))
        if len(infinite):
            row = int(infinite[0])
            raise TableError(
                f"{path}: column {name!r} is {column[row].as_py()} for {_named(key[row].as_py(), len(infinite))}; drop "
                "those rows or leave the value empty"
            )
    return table.set_column(table.column_names.index(KEY), KEY, key)


def _no_key(path: Path, names: Sequence[str]) -> str:
    return f"{path} has no column {KEY!r} with the space's strings; rename one of its columns: {', '.join(names)}"


def _refuse_missing(table: pa.Table, path: Path) -> None:
    for name in table.column_names[1:]:
        missing = np.flatnonzero(np.isnan(_floats(table[name])))
        if len(missing):
            raise TableError(
                f"{path}: column {name!r} has no value for {_named(table[KEY][missing[0]].as_py(), len(missing))}; "
                "fill in what is missing, drop those rows, or search without them: objective.missing=drop"
            )


def _paths(files: Iterable[TableFile], between: str) -> str:
    return between.join(str(file.path) for file in files)


def _named(architecture: str, count: int) -> str:
    return repr(architecture) if count == 1 else f"{architecture!r} and {count - 1} more"


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    """A numeric column as float64, with NaN for missing values."""
    return column.to_numpy().astype(np.float64, copy=False)
