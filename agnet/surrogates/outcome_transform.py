"""The scale on which models learn: every column of the outcomes is warped to be nearly normal.

Accuracies have a long lower tail (broken cells at ten percent) and, under attack, a long upper one. On standardised
values a Gaussian process would spend its flexibility on these tails.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agnet.multiobjective.outcomes import Outcomes

TAIL = 0.2
"""Share of the distinct values whose slope extrapolates beyond the best and the worst."""


FARTHEST = 1e100
"""Number of spreads beyond which values count as equally far away, so that squares stay finite."""


def _unit(low: Float[Tensor, "*columns"]) -> Float[Tensor, "*columns"]:
    """One, or a number that is large enough to make a difference."""
    return (low.abs() * 2.0**-40).clamp(min=1)


@dataclass(frozen=True)
class Warp:
    """An increasing, piecewise linear map from values to a transformed scale, and back.

    Attributes:
        values: knots, in increasing order.
        transformed: increasing images of the knots.
    """

    values: Float[Tensor, " knots"]
    transformed: Float[Tensor, " knots"]

    @classmethod
    def fitted(cls, values: Float[Tensor, " n"]) -> "Warp":
        """Average of two scales: normal scores of ranks, and values with the lower tail compressed to its logarithm.

        Ranks alone lose how far the best are ahead; compressed values alone leave outliers in the upper tail. The
        transformed mean is 0 and the spread 1, unless all values are equal.
        """
        knots, inverse, counts = torch.unique(values.double(), return_inverse=True, return_counts=True)
        if len(knots) == 1:
            unit = _unit(knots[0])
            return cls(
                torch.stack([knots[0] - unit, knots[0] + unit]),
                torch.tensor([-1.0, 1.0], dtype=torch.float64, device="cpu"),
            )
        below = counts.cumsum(dim=0) - counts
        scores = torch.special.ndtri((below + counts.float() / 2) / len(values))
        quartiles = torch.quantile(values.double(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64, device="cpu"))
        spread = (quartiles[2] - quartiles[0]) / 1.349  # for a normal distribution, this is the standard deviation
        robust = (knots - quartiles[1]) / (spread if spread > 0 else values.double().std())
        robust = robust.clamp(min=-FARTHEST, max=FARTHEST)
        compressed = torch.where(robust < -1, -1 - torch.log(-robust.clamp(max=-1)), robust)
        transformed = _standardised(scores, inverse) + _standardised(compressed, inverse)
        return cls(knots, _standardised(transformed, inverse))

    @cached_property
    def forward(self) -> "_PiecewiseLinear":
        """The map from values to transformed ones."""
        return _PiecewiseLinear(self.values, self.transformed)

    @cached_property
    def backward(self) -> "_PiecewiseLinear":
        """The map from transformed values to values."""
        return _PiecewiseLinear(self.transformed, self.values)


class OutcomeTransform:
    """Outcomes on the scale that a model learns: objectives first, then slacks.

    Args:
        outcomes: all observed outcomes.

    Attributes:
        outcomes: the outcomes, with columns of extreme numbers scaled; see
            :meth:`~agnet.multiobjective.outcomes.Outcomes.tamed`.
    """

    def __init__(self, outcomes: Outcomes) -> None:
        self._given = outcomes
        self.outcomes = outcomes = outcomes.tamed()
        self.num_objectives = outcomes.values.shape[1]
        columns = [*outcomes.values.T, *outcomes.slacks.T]
        self.warps = [Warp.fitted(column) for column in columns]
        self.transformed = torch.stack(
            [warp.forward(c.double()) for warp, c in zip(self.warps, columns, strict=True)], dim=1
        )
        zero = torch.zeros((), dtype=torch.float64, device="cpu")
        limits = [warp.forward(zero) for warp in self.warps[self.num_objectives :]]
        self.thresholds: Float[Tensor, " limits"] = (
            torch.stack(limits) if limits else torch.zeros(0, dtype=torch.float32, device="cpu")
        )
        """Transformed slack at which a limit is just satisfied."""

    @property
    def limited(self) -> bool:
        """Whether there are limits."""
        return len(self.thresholds) > 0

    @cached_property
    def feasible(self) -> Bool[Tensor, " n"]:
        """Whether each outcome satisfies all limits."""
        return self.outcomes.feasible

    @cached_property
    def span(self) -> tuple[Float[Tensor, " objectives"], Float[Tensor, " objectives"]]:
        """Lowest and highest values of the objectives.

        They are taken over the rows that satisfy all limits. If an objective does not vary among these, e.g. because
        there is only one, its range is that of all rows. If it does not vary at all, the two are one unit apart.
        """
        known = self.outcomes.values
        low, high = known.min(dim=0).values, known.max(dim=0).values
        high = torch.where(high > low, high, low + _unit(low))
        if bool(self.feasible.any()):
            kept = known[self.feasible]
            lowest, highest = kept.min(dim=0).values, kept.max(dim=0).values
            varies = highest > lowest
            low, high = torch.where(varies, lowest, low), torch.where(varies, highest, high)
        return low, high

    def natural(self, transformed: Float[Tensor, "n outputs"]) -> Outcomes:
        """Transformed outputs, objectives and slacks, as outcomes in their own units."""
        columns = [warp.backward(column) for warp, column in zip(self.warps, transformed.T, strict=True)]
        rows = torch.stack(columns, dim=1)
        return Outcomes(rows[:, : self.num_objectives], rows[:, self.num_objectives :]).untamed(self._given)

    def values(self, transformed: Float[Tensor, "*rows objectives"]) -> Float[Tensor, "*rows objectives"]:
        """Transformed objectives on the scale of :attr:`outcomes`."""
        return torch.stack([self.warps[i].backward(transformed[..., i]) for i in range(self.num_objectives)], dim=-1)


def _standardised(knots: Float[Tensor, " knots"], inverse: Tensor) -> Float[Tensor, " knots"]:
    """Knots shifted and scaled such that the rows they stand for have mean 0 and spread 1."""
    rows = knots[inverse]
    return (knots - rows.mean()) / rows.std(correction=0)


class _PiecewiseLinear:
    """Linear interpolation between knots; beyond the ends the mean slope of the outer :data:`TAIL` of the knots."""

    def __init__(self, knots: Float[Tensor, " knots"], images: Float[Tensor, " knots"]) -> None:
        outer = max(1, int(TAIL * (len(knots) - 1)))
        self.knots, self.images = knots, images
        self.slopes = (images[1:] - images[:-1]) / (knots[1:] - knots[:-1])
        self.lower = (images[outer] - images[0]) / (knots[outer] - knots[0])
        self.upper = (images[-1] - images[-1 - outer]) / (knots[-1] - knots[-1 - outer])

    def __call__(self, at: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        knots, images = self.knots, self.images
        at = at.to(knots)
        left = torch.searchsorted(knots, at.contiguous()).clamp(1, len(knots) - 1) - 1
        inside = images[left] + self.slopes[left] * (at - knots[left])
        result = torch.where(at > knots[-1], images[-1] + self.upper * (at - knots[-1]), inside)
        return torch.where(at < knots[0], images[0] + self.lower * (at - knots[0]), result)
