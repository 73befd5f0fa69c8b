"""The goal of a search, the columns it may see, and the columns it may only report.

The last two are different types. An :class:`Objective` knows the columns that a search may see and nothing else. An
optimizer receives only :class:`~agnet.multiobjective.outcomes.Outcomes`. A :class:`Report` knows the other columns
and is read once, when a search is over. Neither holds a reference to the other, so no code path leads from an
optimizer to a test accuracy.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError, TaskError
from agnet.multiobjective.outcomes import Outcomes
from agnet.tables.table import Table, column_names, read_table

LEARNED, LOOKED_UP = "learned", "looked_up"
"""Protocols of limits: a limited column is known only after a query, or beforehand for every architecture."""


@dataclass(frozen=True)
class Limit:
    """One bound on a column.

    Attributes:
        column: name of the bounded column.
        bound: the largest or smallest allowed value, itself included, in the column's unit.
        upper: whether the bound is an upper one.
    """

    column: str
    bound: float
    upper: bool

    def slack(self, measured: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Distance of measurements to the bound as a fraction of it (of 1 for a bound of 0); negative beyond it."""
        distance = self.bound - measured if self.upper else measured - self.bound
        return distance / (abs(self.bound) or 1.0)

    def measured(self, slack: float) -> float:
        """The measurement with a given slack: the inverse of :meth:`slack`."""
        distance = slack * (abs(self.bound) or 1.0)
        return self.bound - distance if self.upper else self.bound + distance

    def __str__(self) -> str:
        return f"{self.column} {'<=' if self.upper else '>='} {self.bound:g}"


@dataclass(frozen=True)
class Goal:
    """Columns to maximise and to minimise, and limits to satisfy.

    Attributes:
        maximize: columns to maximise.
        minimize: columns to minimise.
        limits: bounds on these or on other columns.
    """

    maximize: tuple[str, ...] = ()
    minimize: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Objectives, in the order of their values."""
        return (*self.maximize, *self.minimize)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that a search sees: the objectives, then those that are only limited."""
        return tuple(dict.fromkeys([*self.names, *(limit.column for limit in self.limits)]))

    @property
    def signs(self) -> Float[Tensor, " objectives"]:
        """+1 for an objective that is maximised, -1 for one that is minimised."""
        return torch.tensor([1.0] * len(self.maximize) + [-1.0] * len(self.minimize), dtype=torch.float64)

    def outcomes(self, measured: Float[Tensor, "n columns"]) -> Outcomes:
        """Measurements as an optimizer observes them.

        Args:
            measured: values of :attr:`columns`, in their own units and directions.
        """
        position = {column: i for i, column in enumerate(self.columns)}
        slacks = [limit.slack(measured[:, position[limit.column]]) for limit in self.limits]
        return Outcomes(
            measured[:, : len(self.names)] * self.signs,
            torch.stack(slacks, dim=1) if slacks else measured.new_zeros(len(measured), 0),
        )

    def natural(self, values: Float[Tensor, "*n objectives"]) -> Float[Tensor, "*n objectives"]:
        """Convert values between maximisation and the objectives' own directions; the map is its own inverse."""
        return values * self.signs


@dataclass(frozen=True)
class Objective:
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

    def __call__(self, architecture: str) -> dict[str, float]:
        """The reported columns of one architecture, without those that have no value for it."""
        if self.table is None or architecture not in self.table.rows:
            return {}
        values = zip(self.table.columns, self.table.lookup([architecture])[0].tolist(), strict=True)
        return {column: value for column, value in values if not math.isnan(value)}


Measure = Callable[[Sequence[str]], Sequence[Mapping[str, float]]]
"""Gives every column of architectures, by whatever measurement that takes."""


@dataclass(frozen=True)
class MeasuredObjective:
    """A goal whose columns are measured on demand: by training, or by a benchmark's own model.

    Attributes:
        goal: the objectives and limits of the search.
        measure: function that measures the columns.
        free: whether measuring costs next to nothing, so that diagnostics may measure beside the search.
    """

    goal: Goal
    measure: Measure
    free: bool = False

    def __call__(self, architectures: Sequence[str]) -> Float[Tensor, "queries columns"]:
        """Measurements of the goal's columns.

        Raises:
            TaskError: if a column has no value for one of the architectures.
        """
        rows = self.measure(architectures)
        values = [[_value(row, column) for column in self.goal.columns] for row in rows]
        return torch.tensor(values, dtype=torch.float64).reshape(len(rows), -1)


@dataclass(frozen=True)
class MeasuredReport:
    """Columns that are measured once, after the search, for the architectures it has found.

    Attributes:
        columns: names of the reported columns.
        measure: function that measures them.
    """

    columns: tuple[str, ...]
    measure: Measure

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
    return MeasuredObjective(goal, measure, free), MeasuredReport(tuple(report), measure)


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
    limits = parse_limits(constraints or {})
    searched = {*names, *(limit.column for limit in limits)}
    if isinstance(report, str):
        if report != "all":
            raise ConfigurationError(f"objective.report={report}: write a list of columns, or all")
        report = [column for column in column_names(tables) if column not in searched]
    roles = [*names, *report, *(searched - set(names))]
    repeated = sorted({name for name in roles if roles.count(name) > 1})
    if repeated:
        raise ConfigurationError(
            f"column {', '.join(repeated)} appears more than once in objective.maximize, minimize and report (or is "
            "limited and only reported); give each column one role"
        )
    goal = Goal(tuple(maximize), tuple(minimize), limits)
    seen = read_table(tables, goal.columns, missing="drop" if missing == "drop" else "error")
    return Objective(goal, seen, protocol), Report(read_table(tables, report, missing="keep") if report else None)


def parse_limits(constraints: Mapping[str, Any], key: str = "objective.constraints") -> tuple[Limit, ...]:
    """Limits from ``{column: {min: number, max: number}}``.

    Args:
        constraints: bounds of every column.
        key: configuration key of the bounds, for the message.

    Raises:
        ConfigurationError: if a bound is malformed; the message names it.
    """
    limits = []
    for column, bounds in constraints.items():
        shown = f"{key}: {column}: {bounds}"
        if not isinstance(bounds, Mapping) or not bounds or set(bounds) - {"min", "max"}:
            raise ConfigurationError(f"{shown}: write {{{column}: {{min: NUMBER, max: NUMBER}}}}, one of them or both")
        for bound in bounds.values():
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
                raise ConfigurationError(f"{shown}: {bound!r} is not a finite number")
        if "min" in bounds and "max" in bounds and bounds["min"] > bounds["max"]:
            raise ConfigurationError(f"{shown}: min exceeds max, so nothing can keep it; correct one of them")
        limits += [Limit(column, float(bounds[side]), side == "max") for side in ("min", "max") if side in bounds]
    return tuple(limits)
