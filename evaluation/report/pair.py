"""Two tables of the same cells, side by side: columns of both for every class and for every string they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

import numpy as np
from jaxtyping import Float

from agnet.errors import ConfigurationError, TableError
from agnet.tables.columns import ATTACK, CLEAN, Column, parse_column
from agnet.tables.file import open_table
from agnet.tables.robustness import RobustnessTable
from agnet.tables.table import check_table, column_names, read_table
from evaluation.report.measurements import SPACE, Measurements, Values


@dataclass(frozen=True)
class Side:
    """Columns of one table.

    Attributes:
        name: name of the file.
        columns: their names.
        values: one row per architecture; NaN where it has no value.
        rows: row of every string.
        classes: row of every class of isomorphic cells, named by the lowest id of its members: that of the evaluated
            cell (:attr:`~agnet.tables.robustness.RobustnessTable.evaluated`).
    """

    name: str
    columns: tuple[str, ...]
    values: Float[np.ndarray, "rows columns"]
    rows: Mapping[str, int]
    classes: Mapping[int, int]

    def __repr__(self) -> str:
        return f"Side({self.name!r}, {len(self.rows):,} strings, {len(self.classes):,} classes)"


@dataclass(frozen=True)
class Pair:
    """A table and another one to compare it with.

    Attributes:
        table: the table that is reported on, with those joined to it.
        other: the table named by ``against``.
        datasets: names of the data sets of ``table`` that are reported on.
    """

    table: Side
    other: Side
    datasets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Pair({self.table.name!r} against {self.other.name!r}, {len(self.classes):,} common classes)"

    @cached_property
    def classes(self) -> list[int]:
        """Lowest ids of the classes that both have, ascending."""
        return sorted(self.table.classes.keys() & self.other.classes.keys())

    @cached_property
    def strings(self) -> list[str]:
        """Cells that have a row of their own in both, in the benchmark's order."""
        return [cell for cell in SPACE.enumerate() if cell in self.table.rows and cell in self.other.rows]

    def columns_of(self, dataset: str) -> list[str]:
        """Columns of ``table`` to compare for a data set: its own, and those of no data set that is reported on."""
        others = set(self.datasets) - {dataset}
        return [name for name in self.table.columns if (c := parse_column(name)) is None or c.dataset not in others]

    def by_class(self, side: Side) -> dict[str, Values]:
        """Columns of one of the two over the common classes."""
        return _columns(side, [side.classes[number] for number in self.classes])

    def by_string(self, side: Side) -> dict[str, Values]:
        """Columns of one of the two over the common strings."""
        return _columns(side, [side.rows[cell] for cell in self.strings])


def read_pair(
    found: Sequence[Measurements],
    paths: Sequence[Path],
    against: Path,
    *,
    columns: Sequence[str] | None = None,
    against_columns: Sequence[str] | None = None,
) -> Pair:
    """Read two tables of NAS-Bench-201 cells to compare them.

    Args:
        found: measurements of the data sets of the first table that are reported on.
        paths: its table and those that are joined.
        against: the other table.
        columns: names of columns of ``paths``; None for clean accuracy and that under every attack, as reported on.
        against_columns: names of columns of ``against``; None for the same kinds, of test images where there are both.

    Raises:
        TableError: if ``against`` cannot be read, holds other cells, or shares none with the first table.
        ConfigurationError: if both are one file, or a column is not there.
    """
    if not against.is_file():
        raise TableError(f"no table at {against}; check against (paths are relative to the current folder)")
    if against.samefile(paths[0]):
        raise ConfigurationError(f"against={against} is the file of table; name another table of the same cells")
    reported = {column for data in found for column in data.accuracies if _is_compared(column)}
    own = [name for name in column_names(paths) if parse_column(name) in reported]
    pair = Pair(
        _read(paths, own if columns is None else columns, key="columns"),
        _read([against], against_columns or _compared(against), key="against_columns"),
        tuple(data.dataset for data in found),
    )
    if not pair.classes:
        raise TableError(f"against={against} has no cell of {paths[0]}; name a table that shares some with it")
    return pair


def _is_compared(column: Column | None) -> TypeGuard[Column]:
    """Whether a column is an accuracy on clean or on attacked images."""
    return column is not None and column.kind in (CLEAN, ATTACK) and column.quantity == "accuracy"


def _compared(path: Path) -> list[str]:
    """Columns of a table to compare; those of validation images only where there are none of test images."""
    names = column_names([path])
    parsed = {column: name for name in names if _is_compared(column := parse_column(name))}
    chosen = [name for c, name in parsed.items() if c.split != "valid" or replace(c, split="test") not in parsed]
    if not chosen:
        raise TableError(
            f"against={path} has no clean accuracy and none under an attack; name columns of it with "
            f"against_columns: {', '.join(names) or 'it has none'}"
        )
    return chosen


def _read(paths: Sequence[Path], names: Sequence[str], *, key: str) -> Side:
    available = column_names(paths)
    if missing := [name for name in names if name not in available]:
        raise ConfigurationError(
            f"{key}=[{missing[0]}] is not in {', '.join(map(str, paths))}; it has {', '.join(available)}"
        )
    table = read_table(paths, list(dict.fromkeys(names)), missing="keep")
    file = open_table(paths[0], strict=True)
    whole = RobustnessTable(paths[0], check_table(file.read(), paths[0]), file.metadata)
    evaluated = ((number, whole.architectures[row]) for number, row in whole.evaluated.items())
    classes = {SPACE.isomorphs[number]: table.rows[cell] for number, cell in evaluated if cell in table.rows}
    return Side(paths[0].name, table.columns, table.values.numpy(), table.rows, classes)


def _columns(side: Side, rows: Sequence[int]) -> dict[str, Values]:
    return dict(zip(side.columns, side.values[np.array(rows, dtype=np.int64)].T, strict=True))
