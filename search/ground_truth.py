"""The truth in a table: optimum, exact front and its hypervolume, against which a search is judged afterwards."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.multiobjective.pareto import front_index, hypervolume
from agnet.tables.objective import AbstractObjective, Objective
from search.history import History


@dataclass(frozen=True)
class GroundTruth:
    """The truth about an objective that is looked up in a table. No optimizer sees it.

    For hypervolumes, objectives are scaled to [0, 1] by their range over all rows of the table, feasible or not; the
    reference point is the worst corner. Only feasible architectures contribute.

    Attributes:
        objective: the goal and its table.
    """

    objective: Objective

    @classmethod
    def of(cls, objective: AbstractObjective) -> "GroundTruth | None":
        """The truth about an objective; None where not all architectures are known."""
        return cls(objective) if isinstance(objective, Objective) else None

    @cached_property
    def feasible(self) -> Float[Tensor, "n objectives"]:
        """Values of the rows that satisfy all limits, to be maximised."""
        outcomes = self.objective.outcomes
        return outcomes.values[outcomes.feasible]

    @property
    def attainable(self) -> bool:
        """Whether any row satisfies all limits."""
        return len(self.feasible) > 0

    @cached_property
    def optimum(self) -> Float[Tensor, " objectives"]:
        """The best feasible value of every objective, each taken alone."""
        return self.feasible.max(dim=0).values

    @cached_property
    def front(self) -> Float[Tensor, "front objectives"]:
        """Distinct values of the exact Pareto front."""
        distinct = self.feasible.unique(dim=0)
        return distinct[front_index(distinct) == 0]

    @cached_property
    def hypervolume(self) -> float:
        """Hypervolume of the exact front."""
        return self.volume(self.front)

    def volume(self, values: Float[Tensor, "n objectives"]) -> float:
        """Hypervolume of values, in units of the box between the table's worst and best corner."""
        low, high = self._box
        # halves, since the difference of two numbers may be none
        scaled = (values / 2 - low / 2) / (high / 2 - low / 2).clamp(min=torch.finfo(torch.float64).tiny)
        return hypervolume(scaled, torch.zeros_like(low))

    @property
    def worst(self) -> Float[Tensor, " objectives"]:
        """The reference point: the worst value of every objective over all rows."""
        return self._box[0]

    def summary(self) -> dict[str, Any]:
        """Entry of ``result.json``: optima in the columns' own units, and size and hypervolume of the front."""
        summary: dict[str, Any] = {"optimum": self._named(self.optimum)}
        if len(self.optimum) > 1:
            summary |= {"front": len(self.front), "hypervolume": self.hypervolume}
        return summary

    def trajectory(self, history: History) -> dict[str, Any]:
        """Entry of ``result.json``: hypervolume after every query, its share of the exact one, and the reference."""
        low, high = self._box
        outcomes = history.outcomes
        found, trajectory = outcomes.values[:0], []
        for i, feasible in enumerate(history.feasible):
            new = outcomes.values[i : i + 1]
            if feasible and not bool((found >= new).all(dim=1).any()):  # neither dominated nor known
                found = torch.cat([found[~(new >= found).all(dim=1)], new])
                trajectory.append(self.volume(found))
            else:
                trajectory.append(trajectory[-1] if trajectory else 0.0)
        return {
            "reference": self._named(low),
            "ideal": self._named(high),
            "exact": self.hypervolume,
            "found": [round(volume, 8) for volume in trajectory],
            "share": [round(volume / self.hypervolume, 8) if self.hypervolume else 1.0 for volume in trajectory],
        }

    @cached_property
    def _box(self) -> tuple[Tensor, Tensor]:
        values = self.objective.outcomes.values
        return values.min(dim=0).values, values.max(dim=0).values

    def _named(self, values: Float[Tensor, " objectives"]) -> dict[str, float]:
        goal = self.objective.goal
        return dict(zip(goal.names, goal.natural(values).tolist(), strict=True))
