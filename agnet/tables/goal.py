"""The goal of a search: which columns to maximise and minimise, and which limits to satisfy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Outcomes

ROUNDING = 1e-9
"""Part of a bound by which rounding may move a measurement: 57 of 200 images are stored as 28.499999999999996 %."""


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
        """Distance of measurements to the bound as a fraction of it (of 1 for a bound of 0); negative beyond it.

        A measurement that is beyond the bound by less than rounding can explain is on it.
        """
        distance = self.bound - measured if self.upper else measured - self.bound
        slack = distance / (abs(self.bound) or 1.0)
        return torch.where((slack < 0) & (slack >= -ROUNDING), 0.0, slack)

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

    def __str__(self) -> str:
        parts = [f"max {c}" for c in self.maximize] + [f"min {c}" for c in self.minimize]
        return ", ".join(parts) + (f" subject to {', '.join(map(str, self.limits))}" if self.limits else "")

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
        return torch.tensor([1.0] * len(self.maximize) + [-1.0] * len(self.minimize), dtype=torch.float64, device="cpu")

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


def parse_limits(constraints: Mapping[str, Any], key: str = "objective.constraints") -> tuple[Limit, ...]:
    """Limits from ``{column: {min: number, max: number}}``.

    Args:
        constraints: bounds of every column.
        key: configuration key of the bounds, for the message.

    Raises:
        ConfigurationError: if a bound is malformed; the message names it.
    """
    if not isinstance(constraints, Mapping):
        raise ConfigurationError(f"{key}={constraints}: write {{COLUMN: {{max: NUMBER}}}}")
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
