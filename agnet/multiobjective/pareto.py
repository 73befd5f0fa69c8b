"""Which of several outcomes are better: non-dominated sorting, hypervolume, and one order for one or many objectives.

All values are maximised. Outcomes that keep every limit come before those that do not, and of those the smaller
violation comes first, whatever their values (Deb, 2000, https://doi.org/10.1016/S0045-7825(99)00389-8).
"""

from collections.abc import Callable

import moocore
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.multiobjective.outcomes import Outcomes

MARGIN = 0.1
"""How far below the worst values :func:`hypervolume_rank` has its reference point, as a share of their range."""


def front_index(values: Float[Tensor, "n objectives"]) -> Int[Tensor, " n"]:
    """Non-dominated sorting: 0 for the Pareto front, 1 for the front of the rest, and so on.

    Source: Deb et al., 2002, NSGA-II, https://doi.org/10.1109/4235.996017.

    Example:
        >>> front_index(torch.tensor([[2.0, 1.0], [1.0, 2.0], [1.0, 1.0]]))
        tensor([0, 0, 1])
    """
    if not len(values):
        return torch.zeros(0, dtype=torch.int64, device="cpu")
    return torch.from_numpy(moocore.pareto_rank(_array(values), maximise=True).astype(np.int64))


def hypervolume(values: Float[Tensor, "n objectives"], reference: Float[Tensor, " objectives"]) -> float:
    """Volume that is dominated by some row and dominates the reference point.

    Example:
        >>> hypervolume(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.zeros(2))
        4.0
    """
    if not len(values):
        return 0.0
    return float(moocore.hypervolume(_array(values), ref=_array(reference), maximise=True))


def contributions(
    values: Float[Tensor, "n objectives"], reference: Float[Tensor, " objectives"]
) -> Float[Tensor, " n"]:
    """Hypervolume that would be lost without a row and its equals, among rows that do not dominate each other.

    Example:
        >>> contributions(torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.zeros(2))
        tensor([1., 2.], dtype=torch.float64)
    """
    if not len(values):
        return torch.zeros(0, dtype=torch.float64, device="cpu")
    distinct, inverse = torch.unique(values, dim=0, return_inverse=True)
    lost = moocore.hv_contributions(_array(distinct), ref=_array(reference), maximise=True)
    return torch.from_numpy(lost)[inverse]


def competition_rank(scores: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """0-based rank, highest first; equal scores share the smallest rank, so row order does not matter.

    Example:
        >>> competition_rank(torch.tensor([70.0, 90.0, 70.0, 80.0]))
        tensor([2, 0, 2, 1])
    """
    return (scores[None, :] > scores[:, None]).sum(dim=1)


def rank(outcomes: Outcomes) -> Int[Tensor, " n"]:
    """One order of outcomes, 0 is best, ties share a rank: the order in which a search names its best.

    With one objective this is :func:`competition_rank` of the feasible. With several, fronts come in order, and within
    a front those with the smaller mean rank over the objectives: a compromise that no rescaling of an objective
    changes. The best feasible row is always non-dominated.

    Raises:
        ValueError: if a number is not finite.

    Example:
        >>> rank(Outcomes.unlimited(torch.tensor([[3.0, 1.0], [1.0, 2.0], [2.0, 2.0], [0.0, 0.0]])))
        tensor([1, 2, 0, 3])
    """
    return _rank(outcomes, lambda values: mean_rank(values) / (len(values) + 1))


def pareto_rank(outcomes: Outcomes) -> Int[Tensor, " n"]:
    """Like :func:`rank`, but a whole front shares a rank: no member is preferred to another.

    Raises:
        ValueError: if a number is not finite.

    Example:
        >>> pareto_rank(Outcomes.unlimited(torch.tensor([[3.0, 1.0], [1.0, 2.0], [2.0, 2.0], [0.0, 0.0]])))
        tensor([0, 2, 0, 3])
    """
    return _rank(outcomes, lambda values: values.new_zeros(len(values)))


def hypervolume_rank(outcomes: Outcomes) -> Int[Tensor, " n"]:
    """Like :func:`rank`, but within a front those come first that contribute most to its hypervolume.

    It asks for a wide, even front. Values are scaled to their range; the reference point of a front lies a little
    (:data:`MARGIN`) below the worst values of all feasible rows, so that the ends of a front count.

    Raises:
        ValueError: if a number is not finite.

    Example:
        >>> hypervolume_rank(Outcomes.unlimited(torch.tensor([[3.0, 1.0], [1.0, 2.0], [2.0, 2.0], [0.0, 0.0]])))
        tensor([1, 2, 0, 3])
    """

    def badness(values: Float[Tensor, "feasible objectives"]) -> Float[Tensor, " feasible"]:
        low, high = values.min(dim=0).values, values.max(dim=0).values
        # halves, since the difference of two numbers may be none
        scaled = (values / 2 - low / 2) / (high / 2 - low / 2).clamp(min=torch.finfo(torch.float64).tiny)
        reference = torch.full_like(low, -MARGIN)
        fronts, lost = front_index(values), torch.zeros(len(values), dtype=torch.float64, device="cpu")
        for front in range(int(fronts.max()) + 1):
            lost[fronts == front] = contributions(scaled[fronts == front], reference)
        return 1 - lost / (lost.max() + 1)

    return _rank(outcomes, badness)


def _rank(
    outcomes: Outcomes, badness: Callable[[Float[Tensor, "feasible objectives"]], Float[Tensor, " feasible"]]
) -> Int[Tensor, " n"]:
    """Feasible rows by front and then by ``badness``, which is within [0, 1]; the others by violation."""
    if not bool(outcomes.values.isfinite().all() and outcomes.slacks.isfinite().all()):
        raise ValueError("values to rank must be finite")
    feasible, values = outcomes.feasible, outcomes.values.double()
    order = -outcomes.violations.double()
    if bool(feasible.any()):
        shown = values[feasible]
        if shown.shape[1] == 1:
            order[feasible] = 1.0 + competition_rank(-shown[:, 0]).double()
        else:
            behind = 2.0 * front_index(shown) + badness(shown)
            order[feasible] = 1.0 + behind.max() - behind
    return competition_rank(order)


def mean_rank(values: Float[Tensor, "n objectives"]) -> Float[Tensor, " n"]:
    """Mean over the objectives of the 0-based ranks: the rank sum of TE-NAS, up to a factor; small is good.

    A row with the smallest mean rank is non-dominated, so it is also the first of :func:`rank`.

    Source: Chen, Gong & Wang, 2021, TE-NAS, https://arxiv.org/abs/2102.11535, section 3.3.

    Example:
        >>> mean_rank(torch.tensor([[3.0, 1.0], [1.0, 2.0], [2.0, 2.0]]))
        tensor([1.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    return torch.stack([competition_rank(column) for column in values.T]).double().mean(dim=0)


def _array(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().double().numpy())
