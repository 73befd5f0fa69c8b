"""Choose by the hypervolume that a candidate would add to the front at its optimistic values.

Source: Ponweiser et al., 2008, SMS-EGO, https://doi.org/10.1007/978-3-540-87700-4_78. Differences: several values of
beta, and batches, whose earlier members count as measured at their means.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.acquisition.functions import Criterion, UpperConfidenceBound, log_feasibility
from agnet.multiobjective.pareto import MARGIN, front_index, hypervolume
from agnet.surrogates.base import Posterior

FAINT = 1e-6
"""Weight of the Chebyshev value beside the hypervolume: orders candidates that add none and gives them a gradient."""

SHORTLIST = 128
"""Candidates whose hypervolume is computed with more than two objectives; the others keep their Chebyshev values."""


class OptimisticHypervolume(UpperConfidenceBound):
    """The upper confidence bound for one objective; for several, the hypervolume that the bound would add.

    Objectives are scaled to their observed range; the reference point lies a little below it. With limits, the score is
    multiplied by the probability that all are satisfied. Until an observed row satisfies them, that probability is the
    score.

    Args:
        beta: number of standard deviations for one objective, or several, which a batch takes in turn.
        front_beta: the same for several objectives, where a batch spreads along the front anyway.

    Raises:
        ConfigurationError: if one of them is empty.
    """

    def __init__(self, beta: float | Sequence[float] = 2.0, front_beta: float | Sequence[float] = 2.0) -> None:
        super().__init__(beta)
        self._front = UpperConfidenceBound(front_beta)

    def beta(self, criterion: Criterion) -> float:
        """The beta of a pick."""
        several = criterion.transform.num_objectives > 1
        return self._front.beta(criterion) if several else super().beta(criterion)

    def first(self, rng: torch.Generator) -> int:
        """A number that selects a random beta of either list."""
        return super().first(rng) * len(self._front.betas) + self._front.first(rng)

    def scores(
        self, posterior: Posterior, criterion: Criterion, *, rng: torch.Generator
    ) -> Float[Tensor, " candidates"]:
        """Logarithm of the added hypervolume; with more than two objectives only the Chebyshev value has a gradient."""
        transform = criterion.transform
        if transform.num_objectives == 1 or criterion.best is None:
            return super().scores(posterior, criterion, rng=rng)
        objectives = slice(0, transform.num_objectives)
        transformed = posterior.mean[:, objectives] + self.beta(criterion) * posterior.std[:, objectives]
        known = transform.outcomes[transform.feasible].values
        low, high = transform.span

        def scaled(values: Float[Tensor, "n objectives"]) -> Float[Tensor, "n objectives"]:
            return (values - low) / (high - low)

        chosen = transform.values(posterior.mean[list(criterion.chosen)][:, objectives])
        front = scaled(torch.cat([known, chosen.detach().to(known)]))
        front = front[front_index(front) == 0]
        hoped = scaled(transform.values(transformed))
        merit = criterion(transformed)
        added = improvement(hoped, front, merit, reference=-MARGIN)
        return log_feasibility(posterior, transform) + torch.log(added + FAINT * torch.exp(merit))


def improvement(
    values: Float[Tensor, "n objectives"],
    front: Float[Tensor, "front objectives"],
    merit: Float[Tensor, " n"],
    *,
    reference: float,
) -> Float[Tensor, " n"]:
    """Hypervolume that each row alone would add to a front.

    Args:
        values: rows, to be maximised.
        front: rows that do not dominate each other.
        merit: order in which rows are examined if there are too many for all.
        reference: every coordinate of the reference point.

    Example:
        >>> front = torch.tensor([[1.0, 3.0], [2.0, 1.0]])
        >>> improvement(torch.tensor([[2.0, 2.0], [1.0, 1.0], [3.0, 0.5]]), front, torch.zeros(3), reference=0.0)
        tensor([1.0000, 0.0000, 0.5000])
    """
    if values.shape[1] == 2:
        first, order = front[:, 0].sort()
        edge = torch.full((1,), reference, dtype=torch.float32, device="cpu").to(front)
        left, floor = torch.cat([edge, first]), torch.cat([front[order, 1], edge])
        right = torch.cat([first, torch.full((1,), torch.inf, dtype=torch.float32, device="cpu").to(front)])
        width = (torch.minimum(values[:, :1], right) - left).clamp(min=0)
        return (width * (values[:, 1:] - floor).clamp(min=0)).sum(dim=1)
    corner = torch.full((values.shape[1],), reference, dtype=torch.float32, device="cpu").to(front)
    rows = merit.detach().topk(min(SHORTLIST, len(values))).indices
    before = hypervolume(front, corner)
    after = [hypervolume(torch.cat([front, values[[row]].detach().to(front)]), corner) for row in rows.tolist()]
    added = values.new_zeros(len(values))
    added[rows] = (torch.tensor(after, dtype=torch.float64, device="cpu") - before).clamp(min=0).to(values)
    return added
