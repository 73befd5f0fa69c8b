"""Records of a comparison's finished runs, query by query."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from agnet.tables.goal import Goal
from agnet.tables.objective import AbstractObjective
from search.comparison.plan import PlannedRun
from search.ground_truth import GroundTruth
from search.history import History, read_queries
from search.loop import HISTORY_FILE
from search.result import Reading


@dataclass(frozen=True)
class Problem:
    """The properties that all runs of one problem share.

    Attributes:
        label: label in the plan.
        objective: measures the columns that the searches see.
        budget: queries of a run.
        report: reads the reported columns.
        exact: the truth in the table; None without a table.
    """

    label: str
    objective: AbstractObjective
    budget: int
    report: Reading
    exact: GroundTruth | None

    @classmethod
    def of(cls, label: str, objective: AbstractObjective, report: Reading, budget: int) -> "Problem":
        """The problem of an objective and a report that a configuration has built."""
        return cls(label, objective, budget, report, GroundTruth.of(objective))

    @property
    def goal(self) -> Goal:
        """Goal of the searches."""
        return self.objective.goal

    @property
    def protocol(self) -> str:
        """Protocol of the limits."""
        return self.objective.protocol

    @property
    def single(self) -> bool:
        """Whether there is one objective."""
        return len(self.goal.names) == 1

    @property
    def optimum(self) -> float | None:
        """The best feasible value of a single objective, in its own unit; None if unknown."""
        if self.exact is None or not self.exact.attainable:
            return None
        return float(self.goal.natural(self.exact.optimum)[0])

    def describe(self) -> str:
        """Objectives, limits and their protocol in one line."""
        known = "looked up, free" if self.protocol == "looked_up" else "learned, known after a query"
        return f"{self.goal} ({known})" if self.goal.limits else str(self.goal)


@dataclass(frozen=True)
class RunRecord:
    """One finished run.

    Attributes:
        cell: the planned run.
        problem: problem of the run.
        history: queries of the run.
        result: content of its ``result.json``.
    """

    cell: PlannedRun
    problem: Problem
    history: History = field(repr=False)
    result: Mapping[str, Any] = field(repr=False)

    @cached_property
    def trajectories(self) -> dict[str, Float[np.ndarray, " queries"]]:
        """Best feasible value of every objective after each query, in its own unit; NaN before the first."""
        outcomes, signs = self.history.outcomes, self.problem.goal.signs.numpy()
        values = np.where(np.array(self.history.feasible)[:, None], outcomes.values.numpy(), -np.inf)
        best = np.maximum.accumulate(values, axis=0)
        natural = np.where(np.isfinite(best), best * signs, np.nan)
        return dict(zip(self.problem.goal.names, natural.T, strict=True))

    @cached_property
    def shares(self) -> Float[np.ndarray, " queries"] | None:
        """Share of the exact hypervolume after each query; None with one objective or without a table."""
        found = self.result.get("hypervolume")
        return None if found is None else np.array(found["share"])

    @cached_property
    def feasible(self) -> Float[np.ndarray, " queries"]:
        """Share of the queries so far that satisfy all limits."""
        kept = np.array(self.history.feasible, dtype=np.float64)
        return kept.cumsum() / np.arange(1, len(kept) + 1)

    @property
    def hit(self) -> int | None:
        """Number of queries until the optimum of a single objective was found; None if it was not."""
        optimum = self.problem.optimum
        if optimum is None:
            return None
        found = np.flatnonzero(np.isclose(self.trajectories[self.problem.goal.names[0]], optimum, rtol=0, atol=1e-9))
        return int(found[0]) + 1 if len(found) else None

    def reported(self, queries: int) -> dict[str, float]:
        """Reported columns of the incumbent after a number of queries; empty if none of them is feasible."""
        index = self.history.incumbents[queries - 1]
        return {} if index is None else self.problem.report(self.history.queries[index].architecture)

    @property
    def spearman(self) -> float:
        """Mean rank correlation of the surrogate over its candidates; NaN without a surrogate."""
        known = [r for r in self.result["surrogate_spearman"] if r is not None]
        return float(np.mean(known)) if known else float("nan")


Finished = Callable[[PlannedRun], Mapping[str, Any] | None]
"""Gives the checked result of a run; None if it has none."""


def read_records(cells: Sequence[PlannedRun], problems: Mapping[str, Problem], finished: Finished) -> list[RunRecord]:
    """Records of the finished runs.

    Args:
        cells: all planned runs.
        problems: problems by label.
        finished: gives the result of a run that is finished.
    """
    return [_record(cell, problems[cell.problem], result) for cell in cells if (result := finished(cell)) is not None]


def _record(cell: PlannedRun, problem: Problem, result: Mapping[str, Any]) -> RunRecord:
    history = History(problem.goal)
    history.extend(read_queries(cell.folder / HISTORY_FILE))
    return RunRecord(cell, problem, history, result)
