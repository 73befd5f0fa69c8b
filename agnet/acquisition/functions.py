"""Choose the candidates that are worth a query, given a model's posterior.

With several objectives, every member of a batch draws its own weights and maximises the augmented Chebyshev value
(ParEGO: Knowles, 2006; with optimistic values or samples in place of measured ones: Paria et al., 2019,
https://arxiv.org/abs/1805.12168). Limits enter as probabilities or as samples. After each pick the posterior is
conditioned on it, so that the next member of the batch is chosen elsewhere.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.multiobjective.scalarization import chebyshev, draw_weights
from agnet.runtime.representation import ShortRepr
from agnet.surrogates.base import Posterior
from agnet.surrogates.outcome_transform import OutcomeTransform


@dataclass(frozen=True)
class Criterion:
    """The criterion of one member of a batch: one number for every candidate's objectives, to be maximised.

    Attributes:
        transform: the observed outcomes and their scale.
        weights: weights of the objectives.
        member: number of the pick; the first pick's number is arbitrary.
        chosen: rows that are already in the batch.
    """

    transform: OutcomeTransform
    weights: Float[Tensor, " objectives"]
    member: int = 0
    chosen: Sequence[int] = ()

    def __call__(self, transformed: Float[Tensor, "*rows objectives"]) -> Float[Tensor, "*rows"]:
        """One objective on the transformed scale; for several, the Chebyshev value within their observed range."""
        if transformed.shape[-1] == 1:
            return transformed[..., 0]
        low, high = self.transform.span
        values = self.transform.values(transformed)
        flat = chebyshev(values.flatten(0, -2), self.weights[None], low=low, high=high)
        return flat[:, 0].reshape(values.shape[:-1])

    @cached_property
    def best(self) -> float | None:
        """Highest value among observed rows that satisfy all limits; None if no row does."""
        feasible = self.transform.feasible
        if not bool(feasible.any()):
            return None
        return float(self(self.transform.transformed[feasible, : self.transform.num_objectives]).max())


class AbstractAcquisition(ShortRepr, abc.ABC):
    """Chooses candidates one by one, each by the highest score."""

    def __call__(
        self,
        posterior: Posterior,
        n: int,
        *,
        transform: OutcomeTransform,
        rng: torch.Generator,
        groups: Int[Tensor, " candidates"] | None = None,
    ) -> list[int]:
        """Rows of ``n`` candidates, fewer if there are fewer; ties are broken at random.

        Args:
            posterior: posterior of the candidates; changed in place, as each pick conditions it.
            n: number of candidates to choose.
            transform: the outcomes that the model was fitted to.
            rng: source of the draws.
            groups: group of every candidate; a second member of a group is chosen only after one of every group.
        """
        groups = torch.arange(len(posterior.mean), device="cpu") if groups is None else groups
        waiting = torch.zeros(len(groups), dtype=torch.bool, device="cpu")
        chosen: list[int] = []
        weightings = draw_weights(min(n, len(posterior.mean)), transform.num_objectives, rng=rng)
        for member, weights in enumerate(weightings, start=self.first(rng)):
            scores = self.scores(posterior, Criterion(transform, weights, member, chosen), rng=rng).clone()
            scores[chosen] = -torch.inf
            if not bool(waiting.all()):
                scores[waiting] = -torch.inf
            best = (scores == scores.max()).nonzero()[:, 0]
            row = int(best[torch.randint(len(best), (), generator=rng, device="cpu")])
            posterior.believe(row)
            chosen.append(row)
            waiting |= groups == groups[row]
        return chosen

    def first(self, rng: torch.Generator) -> int:
        """Number of a batch's first pick."""
        del rng
        return 0

    @abc.abstractmethod
    def scores(
        self, posterior: Posterior, criterion: Criterion, *, rng: torch.Generator
    ) -> Float[Tensor, " candidates"]:
        """Score of each candidate, finite; the highest is queried first."""


class UpperConfidenceBound(AbstractAcquisition):
    """Optimistic values: mean plus ``beta`` standard deviations.

    With several values of beta, the members of a batch take them in turn, from a random first one. Some members go
    where the mean is high, others where the model is uncertain, and no single beta has to be right.

    Batches are built as in GP-BUCB (Desautels et al., 2014, https://arxiv.org/abs/1206.6402). With limits, the score is
    the logarithm of the optimistic value's gain over the best observed one, times the probability that all limits are
    satisfied; the gain is softened to stay positive. Until an observed row satisfies the limits, the score is the
    logarithm of that probability alone.

    Args:
        beta: number of standard deviations, or several.

    Raises:
        ConfigurationError: if ``beta`` is an empty list.
    """

    def __init__(self, beta: float | Sequence[float] = 2.0) -> None:
        self.betas = [beta] if isinstance(beta, (int, float)) else list(beta)
        if not self.betas:
            raise ConfigurationError("the acquisition needs at least one beta, e.g. beta=2")

    def beta(self, criterion: Criterion) -> float:
        """The beta of a pick."""
        return self.betas[criterion.member % len(self.betas)]

    def first(self, rng: torch.Generator) -> int:
        """Index of a random beta; nothing is drawn if there is only one."""
        return 0 if len(self.betas) == 1 else int(torch.randint(len(self.betas), (), generator=rng, device="cpu"))

    def scores(
        self, posterior: Posterior, criterion: Criterion, *, rng: torch.Generator
    ) -> Float[Tensor, " candidates"]:
        """The bound itself; with limits, its gain and their probability."""
        objectives = criterion.transform.num_objectives
        mean, std = posterior.mean[:, :objectives], posterior.std[:, :objectives]
        bound = criterion(mean + self.beta(criterion) * std)
        if not criterion.transform.limited:
            return bound
        likely, best = log_feasibility(posterior, criterion.transform), criterion.best
        if best is None:
            return likely
        unit = (criterion(mean + std) - criterion(mean)).mean().clamp(min=1e-9)
        gain = (bound - best) / unit
        return likely + torch.where(gain < -30, gain, torch.nn.functional.softplus(gain).clamp(min=1e-30).log())


class ThompsonSampling(AbstractAcquisition):
    """A draw from the posterior, independent for every candidate and member of a batch (BANANAS).

    Drawn slacks take precedence, as measured ones do (Eriksson & Poloczek, 2021, https://arxiv.org/abs/2002.08526).
    """

    def scores(
        self, posterior: Posterior, criterion: Criterion, *, rng: torch.Generator
    ) -> Float[Tensor, " candidates"]:
        """Drawn values; candidates drawn beyond a limit come last, by the size of the violation."""
        noise = torch.randn(posterior.mean.shape, generator=rng, dtype=torch.float32, device="cpu")
        return _feasible_first(posterior.mean + posterior.std * noise, criterion)


class RandomAcquisition(AbstractAcquisition):
    """Uniform draws that ignore the model: the ablation that a model has to beat. They have no gradient."""

    def scores(
        self, posterior: Posterior, criterion: Criterion, *, rng: torch.Generator
    ) -> Float[Tensor, " candidates"]:
        """Uniform numbers."""
        del criterion
        return torch.rand(len(posterior.mean), generator=rng, dtype=torch.float32, device="cpu")


def log_feasibility(posterior: Posterior, transform: OutcomeTransform) -> Float[Tensor, " candidates"]:
    """Logarithm of the probability that a candidate satisfies all limits, taken as independent; 0 without limits."""
    slack = slice(transform.num_objectives, None)
    z = (posterior.mean[:, slack].double() - transform.thresholds) / posterior.std[:, slack].double()
    return torch.special.log_ndtr(z).sum(dim=1)


def _feasible_first(
    transformed: Float[Tensor, "candidates outputs"], criterion: Criterion
) -> Float[Tensor, " candidates"]:
    objectives = criterion.transform.num_objectives
    values = criterion(transformed[:, :objectives]).double()
    missed = (criterion.transform.thresholds - transformed[:, objectives:]).clamp(min=0).sum(dim=1).double()
    return torch.where(missed > 0, values.min() - 1 - missed, values)
