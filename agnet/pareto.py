"""Which of several value vectors are better: non-dominated sorting, and one order for one or many objectives.

All values are maximised.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def dominates(values: Float[Tensor, "n objectives"]) -> Bool[Tensor, "n n"]:
    """Entry ``[i, j]``: ``i`` is at least as good as ``j`` everywhere and better somewhere."""
    a, b = values[:, None], values[None]
    return (a >= b).all(dim=2) & (a > b).any(dim=2)


def front_index(values: Float[Tensor, "n objectives"]) -> Int[Tensor, " n"]:
    """Non-dominated sorting: 0 for the Pareto front, 1 for the front of the rest, and so on.

    Source: Deb et al., 2002, NSGA-II, https://doi.org/10.1109/4235.996017.

    Example:
        >>> front_index(torch.tensor([[2.0, 1.0], [1.0, 2.0], [1.0, 1.0]]))
        tensor([0, 0, 1])
    """
    better = dominates(values)
    index = torch.full((len(values),), -1)
    front = 0
    while bool((index < 0).any()):
        open_rows = index < 0
        dominated = (better & open_rows[:, None]).any(dim=0)
        index[open_rows & ~dominated] = front
        front += 1
    return index


def competition_rank(scores: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """0-based rank, highest first; equal scores share the smallest rank, so row order does not matter.

    Example:
        >>> competition_rank(torch.tensor([70.0, 90.0, 70.0, 80.0]))
        tensor([2, 0, 2, 1])
    """
    return (scores[None, :] > scores[:, None]).sum(dim=1)


def rank(values: Float[Tensor, "n objectives"]) -> Int[Tensor, " n"]:
    """One order of value vectors, 0 is best, ties share a rank.

    With one objective this is :func:`competition_rank`. With several, fronts come in order, and within a front those
    with the smaller mean rank over the objectives: a compromise that no rescaling of an objective changes. The best row
    is always non-dominated.

    Raises:
        ValueError: if a value is not finite.

    Example:
        >>> rank(torch.tensor([[3.0, 1.0], [1.0, 2.0], [2.0, 2.0], [0.0, 0.0]]))
        tensor([1, 2, 0, 3])
    """
    if not bool(values.isfinite().all()):
        raise ValueError("values to rank must be finite")
    if values.shape[1] == 1:
        return competition_rank(values[:, 0])
    mean_rank = torch.stack([competition_rank(column) for column in values.T]).double().mean(dim=0)
    # fronts are integers and a mean rank is below n, so one number orders by (front, mean rank)
    return competition_rank(-(front_index(values) * float(len(values)) + mean_rank))
