"""Rank correlation between a surrogate's predictions and true values."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.optimizers.base import AbstractOptimizer
from agnet.tables.objective import Goal, MeasuredObjective, Objective

AT_MOST = 500
"""Largest number of architectures that a model predicts for a diagnostic; a table is looked up for all."""

Truth = Callable[[Sequence[str]], tuple[list[int], Tensor]]
"""Gives measurements that cost nothing: positions of the architectures that have one, and a row for each."""


def free_truth(objective: object) -> Truth | None:
    """A function that measures architectures at no cost, by table lookup or by a free model.

    A table leaves out architectures without a row. If there are more than :data:`AT_MOST` architectures, a model
    measures evenly spaced ones.

    Returns:
        The function, or None if a measurement has a cost.
    """
    if isinstance(objective, Objective):
        table = objective.table

        def truth(architectures: Sequence[str]) -> tuple[list[int], Tensor]:
            rows = list(map(table.rows.get, architectures))
            positions = [i for i, row in enumerate(rows) if row is not None]
            return positions, table.values[[rows[i] for i in positions]]

        return truth
    if isinstance(objective, MeasuredObjective) and objective.free:

        def modelled(architectures: Sequence[str]) -> tuple[list[int], Tensor]:
            positions = list(range(0, len(architectures), max(1, -(-len(architectures) // AT_MOST))))
            return positions, objective([architectures[i] for i in positions])

        return modelled
    return None


def average_ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Ascending ranks from 1; equal values share the mean of their ranks.

    Example:
        >>> average_ranks(torch.tensor([10.0, 30.0, 10.0, 20.0]))
        tensor([1.5000, 4.0000, 1.5000, 3.0000], dtype=torch.float64)
    """
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    means = counts.cumsum(0).double() - (counts.double() - 1) / 2
    return means[inverse]


def spearman(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> float | None:
    """Spearman's rank correlation with ties: Pearson's correlation of the average ranks.

    Returns:
        A number in [-1, 1]; None if undefined: fewer than two values, all equal, or not finite.

    Example:
        >>> spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 30.0, 20.0]))
        0.5
    """
    if len(a) < 2 or not bool((a.isfinite() & b.isfinite()).all()):
        return None
    x, y = average_ranks(a), average_ranks(b)
    x, y = x - x.mean(), y - y.mean()
    scale = (x.square().sum() * y.square().sum()).sqrt().item()
    return None if scale == 0 else max(-1.0, min(1.0, (x @ y).item() / scale))


def surrogate_spearman(optimizer: AbstractOptimizer, goal: Goal, truth: Truth) -> float | None:
    """Rank correlation of an optimizer's predictions with the truth, over the pool of its last ``ask``.

    This is a diagnostic: values looked up here are not queries and never reach the optimizer.

    Returns:
        Mean over the objectives for which it is defined; None without predictions.
    """
    predicted = optimizer.predictions()
    if predicted is None:
        return None
    positions, measured = truth(optimizer.pool())
    if not positions:
        return None
    values = goal.outcomes(measured).values
    shown = predicted if len(positions) == len(predicted) else predicted[torch.tensor(positions)]
    found = [r for r in map(spearman, shown.T, values.T) if r is not None]
    return sum(found) / len(found) if found else None
