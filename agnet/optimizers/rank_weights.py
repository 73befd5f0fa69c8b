"""Rank-based training weights: what makes retraining pull a generator toward what is good."""

from jaxtyping import Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError


def rank_weights(ranks: Int[Tensor, " n"], *, k: float = 1e-2) -> Float[Tensor, " n"]:
    r"""Weights of evaluated architectures by their rank.

    .. math:: w(x) \propto \frac{1}{k N + \operatorname{rank}(x)}, \qquad \sum_x w(x) = 1

    Source: Tripp, Daxberger & Hernandez-Lobato, 2020, https://arxiv.org/abs/2006.09191, equation 2 (their default is
    k = 1e-3; AG-Net's code has 1e-2).

    Args:
        ranks: 0 is best; ties share a rank. See :func:`agnet.multiobjective.pareto.rank`.
        k: ``k -> inf`` gives uniform weights, ``k -> 0`` puts all mass on the best.

    Returns:
        Weights that sum to one, float64.

    Raises:
        ConfigurationError: if ``k`` is not positive.

    Example:
        >>> import torch
        >>> rank_weights(torch.tensor([2, 0, 1]), k=1.0)
        tensor([0.2553, 0.4255, 0.3191], dtype=torch.float64)
    """
    if not k > 0:
        raise ConfigurationError(f"rank weights need k > 0, got {k}")
    weights = 1.0 / (k * len(ranks) + ranks.double())
    return weights / weights.sum()
