"""Rank correlation between a surrogate's predictions and true values."""

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.optimizers.base import AbstractOptimizer
from agnet.tables.objective import AbstractObjective


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
        A number in [-1, 1]; None where it is undefined: fewer than two values, all equal, or not finite.

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


def surrogate_spearman(optimizer: AbstractOptimizer, objective: AbstractObjective) -> float | None:
    """Rank correlation of an optimizer's predictions with the truth, over the pool of its last ``ask``.

    A diagnostic: what is looked up here is no query and never reaches the optimizer.

    Returns:
        Mean over the objectives for which it is defined; None without predictions, or where measurements have a price.
    """
    predicted = optimizer.predictions()
    if predicted is None:
        return None
    found = objective.look_up(optimizer.pool())
    if found is None or not found[0]:
        return None
    positions, measured = found
    values = objective.goal.outcomes(measured).values
    shown = predicted if len(positions) == len(predicted) else predicted[torch.tensor(positions, device="cpu")]
    defined = [r for r in map(spearman, shown.T, values.T) if r is not None]
    return sum(defined) / len(defined) if defined else None
