"""Hashes of tables: of one column, of a whole table, and of the metadata stored with it.

The buffers that Arrow holds are hashed as they are, which takes milliseconds for a table.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agnet.runtime import digests

PREFIX = b"agnet."
CONTENT, COLUMNS, METADATA = "content_sha256", "columns_sha256", "metadata_sha256"
"""Names of the stored hashes: of the whole table, of every column by name, and of all other metadata."""

_TEXT = (pa.string(), pa.large_string())
_BINARY = (pa.binary(), pa.large_binary())


def content_hash(table: pa.Table) -> str:
    """SHA-256 of a table's columns, in order: names and values, without the metadata."""
    sha = hashlib.sha256()
    for name in table.column_names:
        column = _whole(table[name])
        sha.update(name.encode() + str(column.type).encode())
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            sha.update(np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).data)
        elif pa.types.is_list(column.type):
            for part in (column.offsets, column.values):
                sha.update(np.ascontiguousarray(part.to_numpy(zero_copy_only=False)).data)
        elif column.type in _BINARY:
            starts, content = _pieces(column)
            whole = bytes(content).hex()
            sha.update("\n".join(whole[2 * a : 2 * b] for a, b in itertools.pairwise(starts.tolist())).encode())
        else:
            rows = pa.ListArray.from_arrays(pa.array([0, len(column)], pa.int32()), column.cast(pa.string()))
            sha.update(pc.call_function("binary_join", [rows, pa.scalar("\n")])[0].as_buffer() or b"")
    return sha.hexdigest()


def column_hash(name: str, column: pa.ChunkedArray) -> str:
    """SHA-256 of a column: its name, its type, which rows have no value, and the values of the others."""
    sha = hashlib.sha256()
    sha.update(json.dumps([name, str(column.type), len(column)]).encode())
    _update(sha, _whole(column))
    return sha.hexdigest()


def column_hashes(table: pa.Table) -> dict[str, str]:
    """The hash of every column, in order."""
    return {name: column_hash(name, table[name]) for name in table.column_names}


def stamped(table: pa.Table, metadata: Mapping[str, str]) -> pa.Table:
    """The table with metadata, and the hashes of its content, of every column, and of the metadata."""
    hashes = {CONTENT: content_hash(table), COLUMNS: json.dumps(column_hashes(table))}
    entries = {**metadata, **hashes}
    entries[METADATA] = metadata_hash(entries)
    return table.replace_schema_metadata({PREFIX + key.encode(): value for key, value in entries.items()})


def metadata_hash(entries: Mapping[str, str]) -> str:
    """SHA-256 of metadata, without the entry that holds this hash."""
    return digests.of_json({key: value for key, value in entries.items() if key != METADATA})


def _whole(column: pa.ChunkedArray | pa.Array) -> Any:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _update(sha: Any, column: Any) -> None:
    if column.null_count:
        sha.update(np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).data)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        known = column.fill_null(0) if column.null_count else column
        sha.update(np.ascontiguousarray(known.to_numpy(zero_copy_only=False)).data)
    elif column.type in _TEXT + _BINARY:
        starts, content = _pieces(column.drop_null() if column.null_count else column)
        sha.update(np.diff(starts).astype(np.int64).data)
        sha.update(content)
    elif pa.types.is_list(column.type):
        known = column.drop_null() if column.null_count else column
        sha.update(known.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64).data)
        _update(sha, known.flatten())
    else:  # of no table of ours, so that no stored hash is met
        sha.update(b"other")


def _pieces(column: Any) -> tuple[np.ndarray, memoryview]:
    """The bytes of strings without gaps, one after another, and where each of them begins."""
    _, offsets, content = column.buffers()
    wide = column.type in (pa.large_string(), pa.large_binary())
    if offsets is None:
        return np.zeros(1, dtype=np.int64), memoryview(b"")
    starts = np.frombuffer(offsets, np.int64 if wide else np.int32)[column.offset : column.offset + len(column) + 1]
    starts = starts if len(starts) else np.zeros(1, dtype=np.int64)
    first, last = int(starts[0]), int(starts[-1])
    return starts - first, memoryview(content or b"")[first:last]
