"""Scalarization of several objectives: the augmented Chebyshev function of ParEGO.

Source: Knowles, 2006, ParEGO, https://doi.org/10.1109/TEVC.2005.851274. Every Pareto-optimal row maximises the function
for some weights, even where the front is not convex.
"""

import torch
from jaxtyping import Float
from torch import Tensor

RHO = 0.05
"""Share of the weighted sum that is added to the worst objective."""


def draw_weights(n: int, num_objectives: int, *, rng: torch.Generator) -> Float[Tensor, "n objectives"]:
    """Weights drawn uniformly from the simplex; ones for one objective."""
    exponential = (
        -torch.rand(n, num_objectives, generator=rng, dtype=torch.float64, device="cpu").clamp(min=1e-300).log()
    )
    return exponential / exponential.sum(dim=1, keepdim=True)


def chebyshev(
    values: Float[Tensor, "n objectives"],
    weights: Float[Tensor, "weightings objectives"],
    *,
    low: Float[Tensor, " objectives"],
    high: Float[Tensor, " objectives"],
) -> Float[Tensor, "n weightings"]:
    """Scalarised values, to be maximised; 0 for a row that has the highest value everywhere.

    Args:
        values: objectives, all to be maximised.
        weights: weights from the simplex, one row per scalarisation.
        low: values that are scaled to 0.
        high: values that are scaled to 1; if they are not above ``low``, differences are not scaled.

    Example:
        >>> unit = {"low": torch.zeros(2), "high": torch.ones(2)}
        >>> chebyshev(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.5, 0.5]]), **unit)
        tensor([[-0.5250],
                [-0.2750]])
    """
    missing = 1 - (values - low) / torch.where(high > low, high - low, 1)
    weighted = missing[:, None] * weights.to(values)
    return -(weighted.max(dim=2).values + RHO * weighted.sum(dim=2))
