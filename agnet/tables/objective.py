"""The goal of a search, the columns it may see, and the columns it may only report.

The last two are different types. An :class:`Objective` knows the columns that a search may see and nothing else. An
optimizer receives only :class:`~agnet.multiobjective.outcomes.Outcomes`. A :class:`Report` knows the other columns
and is read once, when a search is over. Neither holds a reference to the other, so no code path leads from an
optimizer to a test accuracy.
"""

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError, InvalidArchitecture, TaskError
from agnet.multiobjective.outcomes import Outcomes
from agnet.spaces.base import AbstractSpace
from agnet.spaces.subspace import Subspace
from agnet.tables.file import open_table
from agnet.tables.goal import Goal, parse_limits
from agnet.tables.table import Table, column_names, read_table

LEARNED, LOOKED_UP = "learned", "looked_up"
"""Protocols of limits: a limited column is known only after a query, or beforehand for every architecture."""

AT_MOST = 500
"""Largest number of architectures that a model predicts for a diagnostic; a table is looked up for all."""


class AbstractObjective(abc.ABC):
    """Evaluates architectures. A search asks for measurements; everything else may be unknown before a query.

    Attributes:
        goal: columns to maximise and minimise, and limits.
        protocol: ``learned`` or ``looked_up``, see :func:`read_objective`.
    """

    goal: Goal
    protocol: str = LEARNED

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.goal})"

    @abc.abstractmethod
    def __call__(self, architectures: Sequence[str]) -> Float[Tensor, "queries columns"]:
        """Measurements of the goal's columns, in their own units and directions."""

    def look_up(self, architectures: Sequence[str]) -> tuple[list[int], Float[Tensor, "found columns"]] | None:
        """Measurements that cost nothing, for diagnostics beside a search.

        Returns:
            Positions of the architectures that have one, and one row for each; None where measurements have a price.
        """
        del architectures
        return None

    def identity(self) -> dict[str, str]:
        """Digests of what measurements depend on, by name: tables, images, models.

        A run records them; when it is continued or compared, they must be the same.
        """
        return {}

    def restrict(self, space: AbstractSpace, budget: int) -> AbstractSpace:
        """The part of a space that can be evaluated; by default all of it.

        Args:
            space: the whole space searched.
            budget: queries that are planned.
        """
        del budget
        return space


@dataclass(frozen=True, repr=False)
class Objective(AbstractObjective):
    """A goal whose columns are looked up in a table.

    Attributes:
        goal: the objectives and limits of the search.
        table: the goal's columns, and no others, in its order.
        protocol: protocol of the limits, ``learned`` or ``looked_up``.
    """

    goal: Goal
    table: Table
    protocol: str = LEARNED

    def __call__(self, architectures: Sequence[str]) -> Float[Tensor, "queries columns"]:
        """Measurements of the goal's columns.

        Raises:
            TableError: if an architecture has no row.
        """
        return self.table.lookup(architectures)

    def identity(self) -> dict[str, str]:
        """Digest of the searched columns of the table."""
        return {"table": self.table.identity}

    def look_up(self, architectures: Sequence[str]) -> tuple[list[int], Float[Tensor, "found columns"]]:
        """Measurements of the architectures that have a row."""
        rows = list(map(self.table.rows.get, architectures))
        positions = [i for i, row in enumerate(rows) if row is not None]
        return positions, self.table.values[[rows[i] for i in positions]]

    def restrict(self, space: AbstractSpace, budget: int) -> AbstractSpace:
        """The space, or the part of it that has values and, if limits are looked up, satisfies them.

        Raises:
            InvalidArchitecture: if a row is not in the space, however many rows there are.
            ConfigurationError: if the budget exceeds the rows, or nothing keeps limits that are looked up.
        """
        rows = self.candidates()
        if budget > len(rows):
            raise ConfigurationError(
                f"budget={budget} exceeds the {len(rows)} architectures with values of {', '.join(self.goal.columns)}"
                f"{'' if self.protocol == LEARNED else ' that keep the limits'}; "
                "lower budget or add rows to objective.tables"
            )
        if len(rows) == space.size and set(rows) == set(space.enumerate()):
            return space
        try:
            return Subspace(space, rows)
        except InvalidArchitecture as error:
            raise InvalidArchitecture(f"objective.tables have a row that is {error}; correct or drop it") from None

    @property
    def outcomes(self) -> Outcomes:
        """Outcomes of all rows."""
        return self.goal.outcomes(self.table.values)

    def candidates(self) -> list[str]:
        """Architectures that a search may query: those with a row; if limits are looked up, only those within them.

        Raises:
            ConfigurationError: if no row satisfies the limits; the message names the closest.
        """
        rows = list(self.table.rows)
        if self.protocol == LEARNED:
            return rows
        feasible = self.outcomes.feasible.tolist()
        kept = [architecture for architecture, keeps in zip(rows, feasible, strict=True) if keeps]
        if not kept:
            raise ConfigurationError(self.unattainable() + "; loosen objective.constraints")
        return kept

    def unattainable(self) -> str:
        """A message that no row satisfies the limits and which comes closest."""
        closest = int(self.outcomes.violations.argmin())
        shown = dict(zip(self.goal.columns, self.table.values[closest].tolist(), strict=True))
        measured = ", ".join(f"{limit.column} {shown[limit.column]:g}" for limit in self.goal.limits)
        return (
            f"none of the {len(self.table.rows)} architectures keeps {', '.join(map(str, self.goal.limits))}; the "
            f"closest is {list(self.table.rows)[closest]} with {measured}"
        )


@dataclass(frozen=True)
class Report:
    """Columns that are read once, after the search."""

    table: Table | None

    def identity(self) -> dict[str, str]:
        """Digest of the reported columns; empty if there are none."""
        return {} if self.table is None else {"table": self.table.identity}

    def __call__(self, architecture: str) -> dict[str, float]:
        """The reported columns of one architecture, without those that have no value for it."""
        if self.table is None or architecture not in self.table.rows:
            return {}
        values = zip(self.table.columns, self.table.lookup([architecture])[0].tolist(), strict=True)
        return {column: value for column, value in values if not math.isnan(value)}


Measure = Callable[[Sequence[str]], Sequence[Mapping[str, float]]]
"""Gives every column of architectures, by whatever measurement that takes."""


@dataclass(frozen=True, repr=False)
class MeasuredObjective(AbstractObjective):
    """A goal whose columns are measured when they are asked for: by training, or by a benchmark's own model.

    Attributes:
        goal: the objectives and limits of the search.
        measure: function that measures the columns.
        free: whether measuring costs next to nothing, so that diagnostics may measure beside the search.
        inputs: digests of what the measurements depend on, by name.
    """

    goal: Goal
    measure: Measure
    free: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)

    def identity(self) -> dict[str, str]:
        """Digests of what the measurements depend on."""
        return dict(self.inputs)

    def __call__(self, architectures: Sequence[str]) -> Float[Tensor, "queries columns"]:
        """Measurements of the goal's columns.

        Raises:
            TaskError: if a column has no value for one of the architectures.
        """
        rows = self.measure(architectures)
        values = [[_value(row, column) for column in self.goal.columns] for row in rows]
        return torch.tensor(values, dtype=torch.float64, device="cpu").reshape(len(rows), -1)

    def look_up(self, architectures: Sequence[str]) -> tuple[list[int], Float[Tensor, "found columns"]] | None:
        """Measurements where asking is free: of all, or of :data:`AT_MOST` evenly spaced architectures."""
        if not self.free:
            return None
        positions = list(range(0, len(architectures), max(1, -(-len(architectures) // AT_MOST))))
        return positions, self([architectures[i] for i in positions])


@dataclass(frozen=True)
class MeasuredReport:
    """Columns that are measured once, after the search, for the architectures it has found.

    Attributes:
        columns: names of the reported columns.
        measure: function that measures them.
        inputs: digests of what the measurements depend on, by name.
    """

    columns: tuple[str, ...]
    measure: Measure
    inputs: Mapping[str, str] = field(default_factory=dict)

    def identity(self) -> dict[str, str]:
        """Digests of what the measurements depend on; empty if nothing is reported."""
        return dict(self.inputs) if self.columns else {}

    def __call__(self, architecture: str) -> dict[str, float]:
        """The reported columns of one architecture."""
        if not self.columns:
            return {}
        [row] = self.measure([architecture])
        return {column: _value(row, column) for column in self.columns}


def _value(row: Mapping[str, float], column: str) -> float:
    if column not in row:  # e.g. the confidence in wrong predictions of a network that makes none
        raise TaskError(f"{column} has no value for a network that was asked for; optimise another column")
    return row[column]


def measured_objective(
    measure: Measure,
    known: Sequence[str],
    *,
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    report: Sequence[str] = (),
    constraints: Mapping[str, Any] | None = None,
    free: bool = False,
    inputs: Mapping[str, str] | None = None,
) -> tuple[MeasuredObjective, MeasuredReport]:
    """Objective and report of columns that are measured on demand.

    Args:
        measure: function that measures the columns.
        known: names of all columns that exist.
        maximize: columns to maximise.
        minimize: columns to minimise.
        report: columns to measure at the end for the architectures found.
        constraints: limits as in :func:`read_objective`.
        free: whether measuring costs next to nothing; see :class:`MeasuredObjective`.
        inputs: digests of what the measurements depend on, by name.

    Raises:
        ConfigurationError: if there is nothing to optimise, or a column does not exist or has two roles.
    """
    if not maximize and not minimize:
        raise ConfigurationError("nothing to optimise: name columns in objective.maximize or objective.minimize")
    goal = Goal(tuple(maximize), tuple(minimize), parse_limits(constraints or {}))
    for column in (*goal.columns, *report):
        if column not in known:
            raise ConfigurationError(f"no column {column!r} under this protocol; there are {', '.join(known)}")
    repeated = set(goal.columns) & set(report)
    if repeated:
        raise ConfigurationError(f"column {', '.join(sorted(repeated))} is both searched and only reported; drop one")
    inputs = inputs or {}
    return MeasuredObjective(goal, measure, free, inputs), MeasuredReport(tuple(report), measure, inputs)


def read_objective(
    tables: Sequence[str | Path],
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    report: Sequence[str] | str = (),
    constraints: Mapping[str, Any] | None = None,
    protocol: str = LEARNED,
    missing: str = "error",
) -> tuple[Objective, Report]:
    """Objective and report from tables.

    Args:
        tables: Parquet files, joined on ``architecture``.
        maximize: columns to maximise.
        minimize: columns to minimise.
        report: columns to read at the end for the architectures found; ``all`` is every column that is not searched.
        constraints: limits, e.g. ``{"edgegpu_latency_ms": {"max": 4.0}}``; an objective may be limited too.
        protocol: ``learned``: a limited column is known only after a query; ``looked_up``: it is known beforehand at
            no cost, and only architectures that satisfy all limits are ever queried.
        missing: ``error`` refuses rows without a value in a searched column; ``drop`` leaves them out of the search,
            e.g. cells that a device cannot run. With ``drop``, a reported column may have gaps.

    Raises:
        ConfigurationError: if there is nothing to optimise, a column has two roles, or a constraint is malformed.
        TableError: if :func:`agnet.tables.table.read_table` refuses a table.
    """
    for name, value, choices in (("protocol", protocol, (LEARNED, LOOKED_UP)), ("missing", missing, ("error", "drop"))):
        if value not in choices:
            raise ConfigurationError(f"objective.{name}={value}; choose one of {', '.join(choices)}")
    for name, columns in (("maximize", maximize), ("minimize", minimize)):
        if isinstance(columns, str):
            raise ConfigurationError(f"objective.{name}={columns}: write a list of columns, [{columns}]")
    names = [*maximize, *minimize]
    if not names:
        raise ConfigurationError("nothing to optimise: name columns in objective.maximize or objective.minimize")
    files = [open_table(path) for path in tables]  # once, so that whoever replaces one meanwhile does not disturb
    limits = parse_limits(constraints or {})
    searched = {*names, *(limit.column for limit in limits)}
    if isinstance(report, str):
        if report != "all":
            raise ConfigurationError(f"objective.report={report}: write a list of columns, or all")
        report = [column for column in column_names(files) if column not in searched]
    roles = [*names, *report, *(searched - set(names))]
    repeated = sorted({name for name in roles if roles.count(name) > 1})
    if repeated:
        raise ConfigurationError(
            f"column {', '.join(repeated)} appears more than once in objective.maximize, minimize and report (or is "
            "limited and only reported); give each column one role"
        )
    goal = Goal(tuple(maximize), tuple(minimize), limits)
    seen = read_table(files, goal.columns, missing="drop" if missing == "drop" else "error")
    return Objective(goal, seen, protocol), Report(read_table(files, report, missing="keep") if report else None)
