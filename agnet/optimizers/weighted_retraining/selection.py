"""Which candidates of a pool are worth a query."""

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
        """Indices of ``n`` candidates, the most wanted first.

        Args:
            predicted: outcomes of the pool.
            n: at most the size of the pool.
            known: outcomes that were told; they set the scale.
            rng: source of the draws.
        """


class TopSelection(AbstractSelection):
    """The best predictions; ties are broken by chance.

    With one objective, the paper's rule: the ``n`` best of those predicted to keep all limits, then those that miss
    them by the least. With several objectives every pick has weights of its own, drawn uniformly, and takes the best
    augmented Chebyshev value (ParEGO): picks spread along the front, however its objectives are scaled.
    """

    def __call__(self, predicted: Outcomes, n: int, *, known: Outcomes, rng: torch.Generator) -> Int[Tensor, " n"]:
        """The first ``n`` in that order."""
        shuffled = torch.randperm(len(predicted), generator=rng)
        objectives = predicted.values.shape[1]
        if objectives == 1:
            return shuffled[rank(predicted)[shuffled].argsort(stable=True)][:n]
        low, high = known.values.min(dim=0).values, known.values.max(dim=0).values
        weights = draw_weights(n, objectives, rng=rng)
        scores = chebyshev(predicted.values, weights, low=low, high=high)[shuffled]
        # whatever keeps the limits comes before whatever does not
        scores = scores - (scores.max() - scores.min() + 1) * predicted.violations[shuffled, None].sign()
        scores = scores - predicted.violations[shuffled, None]
        picks: list[int] = []
        for column in scores.T:
            column[picks] = -torch.inf
            picks.append(int(column.argmax()))
        return shuffled[picks]


class RandomSelection(AbstractSelection):
    """A uniform draw from the pool: the ablation that a surrogate has to beat."""

    def __call__(self, predicted: Outcomes, n: int, *, known: Outcomes, rng: torch.Generator) -> Int[Tensor, " n"]:
        """``n`` candidates by chance."""
        return torch.randperm(len(predicted), generator=rng)[:n]


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

    def __call__(self, predicted: Outcomes, n: int, *, known: Outcomes, rng: torch.Generator) -> Int[Tensor, " n"]:
        """``ceil(share n)`` from the top, the others from what is left of the pool."""
        top = TopSelection()(predicted, -int(-self.share * n // 1), known=known, rng=rng)
        left = torch.ones(len(predicted), dtype=torch.bool)
        left[top] = False
        rest = left.nonzero()[:, 0]
        return torch.cat([top, rest[torch.randperm(len(rest), generator=rng)]])[:n]
