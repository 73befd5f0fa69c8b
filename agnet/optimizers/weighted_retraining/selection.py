"""Select the candidates of a pool that are worth a query."""

import abc

import torch
from jaxtyping import Int
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Outcomes
from agnet.multiobjective.pareto import rank
from agnet.multiobjective.scalarization import chebyshev, draw_weights
from agnet.runtime.representation import ShortRepr


class AbstractSelection(ShortRepr, abc.ABC):
    """Chooses rows of a pool by their predicted outcomes."""

    @abc.abstractmethod
    def __call__(self, predicted: Outcomes, n: int, *, known: Outcomes, rng: torch.Generator) -> Int[Tensor, " n"]:
        """Indices of ``n`` candidates, the most promising first.

        Args:
            predicted: predicted outcomes of the pool.
            n: number of candidates, at most the size of the pool.
            known: observed outcomes, which set the scale.
            rng: source of the draws.
        """


class TopSelection(AbstractSelection):
    """Selects the best predictions; ties are broken at random.

    One objective follows the paper's rule: the ``n`` best of those predicted to satisfy all limits, then those with the
    smallest violations. With several objectives every pick draws its own weights uniformly and takes the best augmented
    Chebyshev value (ParEGO). Picks thus spread along the front, whatever the scales of its objectives.
    """

    def __call__(self, predicted: Outcomes, n: int, *, known: Outcomes, rng: torch.Generator) -> Int[Tensor, " n"]:
        """The first ``n`` in that order."""
        shuffled = torch.randperm(len(predicted), generator=rng, device="cpu")
        objectives = predicted.values.shape[1]
        if objectives == 1:
            return shuffled[rank(predicted)[shuffled].argsort(stable=True)][:n]
        low, high = known.values.min(dim=0).values, known.values.max(dim=0).values
        weights = draw_weights(n, objectives, rng=rng)
        scores = chebyshev(predicted.values, weights, low=low, high=high)[shuffled]
        # rows that satisfy the limits come before all others
        scores = scores - (scores.max() - scores.min() + 1) * predicted.violations[shuffled, None].sign()
        scores = scores - predicted.violations[shuffled, None]
        picks: list[int] = []
        for column in scores.T:
            column[picks] = -torch.inf
            picks.append(int(column.argmax()))
        return shuffled[picks]


class MixedSelection(AbstractSelection):
    """Selects the best predictions for one share of the batch and random candidates for the rest.

    Args:
        share: fraction of the batch that is taken from the top, in [0, 1].

    Raises:
        ConfigurationError: if the share is outside [0, 1].
    """

    def __init__(self, share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise ConfigurationError(f"selection share must be in [0, 1], got {share}")
        self.share = share

    def __call__(self, predicted: Outcomes, n: int, *, known: Outcomes, rng: torch.Generator) -> Int[Tensor, " n"]:
        """``ceil(share n)`` candidates from the top, the others from the rest of the pool."""
        top = TopSelection()(predicted, -int(-self.share * n // 1), known=known, rng=rng)
        left = torch.ones(len(predicted), dtype=torch.bool, device="cpu")
        left[top] = False
        rest = left.nonzero()[:, 0]
        return torch.cat([top, rest[torch.randperm(len(rest), generator=rng, device="cpu")]])[:n]
