"""Which candidates of a pool are worth a query."""

import abc

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.pareto import rank


class AbstractSelection(abc.ABC):
    """Chooses rows of a pool by their predicted values."""

    @abc.abstractmethod
    def __call__(
        self, predicted: Float[Tensor, "pool objectives"], n: int, *, generator: torch.Generator
    ) -> Int[Tensor, " n"]:
        """Indices of ``n`` candidates, the most wanted first; ``n`` is at most the pool."""


class TopSelection(AbstractSelection):
    """The paper's rule: the ``n`` best predictions; ties are broken by chance."""

    def __call__(
        self, predicted: Float[Tensor, "pool objectives"], n: int, *, generator: torch.Generator
    ) -> Int[Tensor, " n"]:
        """The first ``n`` in the order of :func:`agnet.pareto.rank`."""
        shuffled = torch.randperm(len(predicted), generator=generator)
        return shuffled[rank(predicted)[shuffled].argsort(stable=True)][:n]


class RandomSelection(AbstractSelection):
    """A uniform draw from the pool: the ablation that a surrogate has to beat."""

    def __call__(
        self, predicted: Float[Tensor, "pool objectives"], n: int, *, generator: torch.Generator
    ) -> Int[Tensor, " n"]:
        """``n`` candidates by chance."""
        return torch.randperm(len(predicted), generator=generator)[:n]


class MixedSelection(AbstractSelection):
    """The best predictions for one share of the batch, chance for the rest: ranking with exploration.

    Args:
        share: fraction of the batch that is taken from the top, in [0, 1].

    Raises:
        ConfigurationError: if the share is outside [0, 1].
    """

    def __init__(self, share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise ConfigurationError(f"selection share must be in [0, 1], got {share}")
        self.share = share

    def __call__(
        self, predicted: Float[Tensor, "pool objectives"], n: int, *, generator: torch.Generator
    ) -> Int[Tensor, " n"]:
        """``ceil(share n)`` from the top, the others from what is left of the pool."""
        order = TopSelection()(predicted, len(predicted), generator=generator)
        top = -int(-self.share * n // 1)
        rest = order[top:]
        chosen = rest[torch.randperm(len(rest), generator=generator)]
        return torch.cat([order[:top], chosen])[:n]
