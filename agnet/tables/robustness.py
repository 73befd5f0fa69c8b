"""Query a robustness table by network, by attack or corruption, and by level.

Example:
    >>> from agnet.runtime.paths import CHECKPOINT_DIR
    >>> table = RobustnessTable.read(CHECKPOINT_DIR / "nasbench201_digits.parquet")
    >>> table.query(split="test", key="fgsm", level=[8, 16], architectures=[6111]).columns["level"].tolist()
    [8.0, 16.0]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import Column, parse_column
from agnet.tables.file import open_table
from agnet.tables.table import KEY, check_table

ISOMORPH = "isomorph"
"""Column with the id of the network that was evaluated in a row's place."""

Id = str | int | np.integer
"""An architecture: its string, or its id in NAS-Bench-201 as a number or as text."""


@dataclass(frozen=True)
class Answer:
    """Values in tidy form, one row each.

    Attributes:
        columns: arrays of equal length: ``architecture``, ``isomorph`` (id of the network that was evaluated in its
            place), ``dataset``, ``split``, ``key``, ``level``, ``quantity``, ``value``; ``pandas.DataFrame`` and
            ``pyarrow.table`` accept them directly.
    """

    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["value"])

    def __repr__(self) -> str:
        return f"Answer(values: {len(self):,})"


@dataclass(frozen=True)
class RobustnessTable:
    """A table whose columns are named as :mod:`agnet.tables.columns` says.

    Attributes:
        path: the file, for messages.
        table: content of the file.
        metadata: the table's stored metadata: how it was made.
    """

    path: Path
    table: pa.Table
    metadata: Mapping[str, str]

    def __repr__(self) -> str:
        return f"RobustnessTable({str(self.path)!r}, {self.table.num_rows:,} rows, {self.table.num_columns} columns)"

    @classmethod
    def read(cls, path: Path | str) -> "RobustnessTable":
        """Read a table and check it against the hashes stored with it, if there are any.

        Raises:
            TableError: for a missing, damaged or changed file, or one without robustness columns.
        """
        path = Path(path)
        file = open_table(path, strict=True)
        found = cls(path, table := check_table(file.read(), path), file.metadata)
        if not found.known:
            raise TableError(
                f"{path} has no column such as cifar10_test_pgd_eps1 or cifar10_clean, only "
                f"{', '.join(table.column_names[:8])}; agnet/tables/columns.py says how they are named"
            )
        return found

    @cached_property
    def known(self) -> tuple[Column, ...]:
        """The table's robustness columns, in order; others, such as ``parameters``, are left out."""
        return tuple(c for c in map(parse_column, self.table.column_names) if c is not None)

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """Strings of all rows."""
        return tuple(self.table[KEY].to_pylist())

    @cached_property
    def isomorphs(self) -> np.ndarray:
        """For every row, the id of the network that was evaluated; -1 where the column holds no whole number."""
        if ISOMORPH in self.table.column_names:
            numbers = self.table[ISOMORPH].to_numpy().astype(np.float64)
            return np.where(numbers == np.floor(numbers), numbers, -1).astype(np.int64)
        isomorphs = NASBench201().isomorphs
        return np.array([isomorphs[own] for own in self._ids], dtype=np.int64)

    @cached_property
    def _ids(self) -> list[int]:
        """The benchmark's id of every row's own string."""
        ids = {architecture: number for number, architecture in enumerate(NASBench201().enumerate())}
        if (strange := next((a for a in self.architectures if a not in ids), None)) is not None:
            raise TableError(f"{self.path}: not a NAS-Bench-201 cell: {strange!r}; this is made for NAS-Bench-201")
        return [ids[architecture] for architecture in self.architectures]

    @cached_property
    def evaluated(self) -> dict[int, int]:
        """The id of the evaluated network of every class, with the row that has its values.

        That is the network's own row, or the first row of its class where it has none.

        Raises:
            TableError: if a row is no cell of NAS-Bench-201, or the column ``isomorph`` does not name one member for
                each class.
        """
        lowest_ids, count = NASBench201().isomorphs, len(NASBench201().enumerate())
        of_class: dict[int, int] = {}
        rows: dict[int, int] = {}
        for row, (own, chosen) in enumerate(zip(self._ids, self.isomorphs.tolist(), strict=True)):
            lowest = lowest_ids[own]
            known = of_class.setdefault(lowest, chosen)
            if not 0 <= chosen < count or lowest_ids[chosen] != lowest or known != chosen:
                raise TableError(
                    f"{self.path}: column {ISOMORPH!r} is {self.table[ISOMORPH][row].as_py()} for "
                    f"{self.architectures[row]!r}: not the one id that stands for its class, whose lowest is {lowest}; "
                    "correct the column or drop it"
                )
            if own == chosen:
                rows[chosen] = row
            else:
                rows.setdefault(chosen, row)
        return rows

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {architecture: row for row, architecture in enumerate(self.architectures)}

    def representative(self, architecture: Id) -> str:
        """The string of the network that was evaluated in an architecture's place.

        Args:
            architecture: its string, or its id.

        Raises:
            TableError: if it has no row.
        """
        return NASBench201().enumerate()[int(self.isomorphs[self._row(architecture)])]

    def query(
        self,
        *,
        dataset: str | Sequence[str] | None = None,
        split: str | Sequence[str] | None = None,
        key: str | Sequence[str] | None = None,
        level: int | float | Sequence[int | float] | None = None,
        quantity: str | Sequence[str] = "accuracy",
        architectures: Id | Iterable[Id] | None = None,
    ) -> Answer:
        """Select values by the parts of their columns' names; each part is one value, several, or None for all.

        Args:
            dataset: beginning of the columns, e.g. ``cifar10``.
            split: ``valid`` or ``test``; empty in tables of a single set of images.
            key: ``clean``, an attack, a corruption, or a measure.
            level: radii in units of 1/255, or severities; 0 for ``clean`` and measures.
            quantity: ``accuracy`` (percent), ``confidence_right``, ``confidence_wrong``, or, of measures,
                ``initialised`` and ``trained``.
            architectures: strings or ids.

        Raises:
            TableError: if the table lacks a requested value; the message names those it has.
        """
        columns = self.known
        for name, values in (("dataset", dataset), ("split", split), ("key", key), ("level", level)):
            columns = self._only(columns, name, values)
        columns = self._only(columns, "quantity", quantity)
        rows = np.arange(len(self.architectures)) if architectures is None else self._chosen(architectures)
        names = np.array(self.architectures, dtype=object)[rows]
        count = len(rows)
        values = [self.table[column.name].to_numpy().astype(np.float64)[rows] for column in columns]
        parts = ("dataset", "split", "key", "level", "quantity")
        return Answer(
            {
                "architecture": np.tile(names, len(columns)),
                "isomorph": np.tile(self.isomorphs[rows], len(columns)),
                **{part: np.repeat(np.array([getattr(c, part) for c in columns]), count) for part in parts},
                "value": np.concatenate(values),
            }
        )

    def _only(self, columns: tuple[Column, ...], name: str, values: Any) -> tuple[Column, ...]:
        """Columns whose part ``name`` is one of the values."""
        if values is None:
            return columns
        given = [values] if np.ndim(values) == 0 else list(values)
        if not given:
            raise TableError(f"{self.path}: no {name} given; leave it out for all there are")
        there = list(dict.fromkeys(getattr(column, name) for column in columns))
        unknown = [value for value in given if value not in there]
        if unknown:
            raise TableError(
                f"{self.path}: no {name} {unknown[0]!r} among the columns asked for; there is "
                f"{', '.join(map(_shown, there))}"
            )
        return tuple(column for column in columns if getattr(column, name) in given)

    def _chosen(self, architectures: Id | Iterable[Id]) -> np.ndarray:
        given = [architectures] if isinstance(architectures, str | int | np.integer) else architectures
        return np.array([self._row(architecture) for architecture in given], dtype=np.int64)

    def _row(self, architecture: Id) -> int:
        if not isinstance(architecture, str) or architecture.isdecimal():
            cells = NASBench201().enumerate()
            if not 0 <= int(architecture) < len(cells):
                raise TableError(f"no architecture has the id {architecture}; ids are 0..{len(cells) - 1}")
            architecture = cells[int(architecture)]
        if architecture not in self._rows:
            raise TableError(f"{self.path}: no row for {architecture!r} among {len(self._rows)}")
        return self._rows[architecture]


def _shown(value: str | float) -> str:
    return repr(value) if isinstance(value, str) else f"{value:g}"
