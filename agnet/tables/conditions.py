"""Details: what was measured of every network beyond a table's accuracies, in one Parquet file beside the table.

One row per network (architecture and seed), split, attack or corruption, and level. Columns:

=====================================  ==============================================================================
``architecture``, ``seed``             the network
``dataset``, ``split``                 beginning of the table's columns; ``valid`` or ``test``
``kind``, ``key``, ``level``           ``clean``, ``attack`` or ``corruption``; its name; eps in 1/255, or severity
``images``, ``accuracy``               number of images; percent that count as correctly classified
``confidence``                         mean highest softmax of all reported images; ``_right`` and ``_wrong``: of those
                                       that are classified correctly or wrongly, empty if there are none; ``_true``:
                                       mean softmax of the true class
``forwards``, ``gradients``            mean number of passes per image
``confusion``                          counts, row by row; rows are true classes
``robust``                             packed bits, one per image in order: whether it counts as correctly classified
=====================================  ==============================================================================
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from agnet.errors import TableError
from agnet.runtime.files import write_bytes
from agnet.tables.file import read_parquet
from agnet.tables.table import parquet_bytes

SCHEMA = pa.schema(
    [
        ("architecture", pa.string()),
        ("seed", pa.int32()),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("kind", pa.string()),
        ("key", pa.string()),
        ("level", pa.float64()),
        ("images", pa.int32()),
        ("accuracy", pa.float64()),
        ("confidence", pa.float64()),
        ("confidence_right", pa.float64()),
        ("confidence_wrong", pa.float64()),
        ("confidence_true", pa.float64()),
        ("forwards", pa.float64()),
        ("gradients", pa.float64()),
        ("confusion", pa.list_(pa.field("element", pa.int32()))),  # the name that Parquet gives back
        ("robust", pa.binary()),
    ]
)


def details_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of :data:`SCHEMA`, which takes a fraction of their memory.

    Args:
        rows: one mapping per row, with all columns.

    Raises:
        TableError: if a row lacks a column or has a value of another type.
    """
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for row in rows:
        missing = [name for name in columns if name not in row]
        if missing:
            raise TableError(f"a row has no {missing[0]}; details have {', '.join(columns)}")
        for name, values in columns.items():
            values.append(row[name])
    try:
        return pa.table(columns, SCHEMA)
    except (pa.ArrowException, OverflowError) as error:
        raise TableError(f"a value is of another type: {error}") from error


def write_details(path: Path, table: pa.Table, metadata: Mapping[str, str]) -> None:
    """Write details atomically, with metadata and hashes of both and of every column.

    Args:
        path: the Parquet file.
        table: one table of :func:`details_table`, or several concatenated.
        metadata: space, dataset, protocol, code revision, seeds, command.
    """
    write_bytes(path, parquet_bytes(table, metadata))


def read_details(path: Path) -> pa.Table:
    """Read details and check them.

    Raises:
        TableError: if the file is missing, damaged, has other columns, or is not what was written.
    """
    if not path.is_file():
        raise TableError(f"no details at {path}; evaluation.run writes them beside its units, *_details.parquet")
    table = read_parquet(path)
    wrong = [
        field.name
        for field in SCHEMA
        if field.name not in table.schema.names or table.schema.field(field.name).type != field.type
    ]
    if wrong:
        raise TableError(f"{path} has no column {wrong[0]} of type {SCHEMA.field(wrong[0]).type}; is it a table?")
    return table.select(SCHEMA.names)
