"""What a search maximises, and what it may only report.

The two are different types. An :class:`Objective` knows the columns a search may see and nothing else; an optimizer is
handed its values alone. A :class:`Report` knows the other columns and is read once, when a search is over. Neither
holds a reference to the other, so no code path leads from an optimizer to a test accuracy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.tables import Table, read_table


@dataclass(frozen=True)
class Objective:
    """Columns to maximise or minimise, looked up in a table.

    Attributes:
        table: the objective's columns, and no others.
        signs: +1 for a column that is maximised, -1 for one that is minimised.
    """

    table: Table
    signs: Float[Tensor, " objectives"]

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, in the order of the values."""
        return self.table.columns

    @property
    def maximized(self) -> tuple[bool, ...]:
        """Whether a column is maximised."""
        return tuple((self.signs > 0).tolist())

    def __call__(self, architectures: Sequence[str]) -> Float[Tensor, "queries objectives"]:
        """Values as an optimizer sees them: every column to be maximised.

        Raises:
            TableError: if an architecture has no row.
        """
        return self.table.lookup(architectures) * self.signs

    def natural(self, values: Float[Tensor, "queries objectives"]) -> list[dict[str, float]]:
        """Values of :meth:`__call__` back in the columns' own units and directions."""
        return [dict(zip(self.names, row, strict=True)) for row in (values * self.signs).tolist()]


@dataclass(frozen=True)
class Report:
    """Columns that are read once, after the search."""

    table: Table | None

    def __call__(self, architecture: str) -> dict[str, float]:
        """The reported columns of one architecture."""
        if self.table is None:
            return {}
        return dict(zip(self.table.columns, self.table.lookup([architecture])[0].tolist(), strict=True))


def read_objective(
    tables: Sequence[str | Path],
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    report: Sequence[str] = (),
) -> tuple[Objective, Report]:
    """Objective and report from tables.

    Args:
        tables: Parquet files, joined on ``architecture``.
        maximize: columns to maximise.
        minimize: columns to minimise.
        report: columns to read at the end for the architectures found.

    Raises:
        ConfigurationError: if there is nothing to optimise, or a column is named twice.
        TableError: see :func:`agnet.tables.read_table`.
    """
    names = [*maximize, *minimize]
    if not names:
        raise ConfigurationError("nothing to optimise: name columns in objective.maximize or objective.minimize")
    everything = [*names, *report]
    repeated = sorted({name for name in everything if everything.count(name) > 1})
    if repeated:
        raise ConfigurationError(
            f"column {', '.join(repeated)} appears more than once in objective.maximize, minimize and report; "
            "give each column one role"
        )
    signs = torch.tensor([1.0] * len(maximize) + [-1.0] * len(minimize), dtype=torch.float64)
    seen = read_table(tables, names)
    return Objective(seen, signs), Report(read_table(tables, report) if report else None)
