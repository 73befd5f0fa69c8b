"""Fit a model to all observations, score candidates by it, query the best: one class, many baselines.

A model, an acquisition function and a set of candidates make an optimizer; ``conf/optimizer`` lists combinations.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.acquisition.functions import AbstractAcquisition
from agnet.spaces import AbstractSpace
from agnet.surrogates import AbstractModel
from agnet.surrogates.features import FeatureMap
from agnet.surrogates.outcome_transform import OutcomeTransform
from search.baselines.base import AbstractBaseline
from search.baselines.candidates import AbstractCandidates

MAX_SEED = 2**31 - 1


class ModelBasedSearch(AbstractBaseline):
    """Bayesian optimisation and its relatives.

    The model is refitted to all observations at every :meth:`ask`; only archive and random state are kept.

    Args:
        space: the space searched.
        seed: seed of everything drawn.
        model: predicts outcomes with uncertainty.
        acquisition: chooses candidates by the predictions.
        candidates: gives the candidates to score.
        initial: architectures drawn uniformly before the first fit.

    Raises:
        ConfigurationError: if the candidates cannot be found in this space.
    """

    def __init__(
        self,
        space: AbstractSpace,
        *,
        seed: int,
        model: AbstractModel,
        acquisition: AbstractAcquisition,
        candidates: AbstractCandidates,
        initial: int = 16,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial)
        candidates.check(space)
        self.model, self.acquisition, self.candidates = model, acquisition, candidates
        self.features = FeatureMap(space)
        self._pool: list[str] = []
        self._predicted: Float[Tensor, "n objectives"] | None = None

    def ask(self, n: int) -> list[str]:
        """Propose ``n`` unobserved architectures, fewer if the space holds no more."""
        self._pool, self._predicted = [], None
        return super().ask(n)

    def propose(self, n: int) -> list[str]:
        """Propose candidates that the acquisition function chooses one after another."""
        pool = self.candidates(self.space, self.archive, n, rng=self.rng) if len(self.archive) else []
        if not pool:
            return []
        transform = OutcomeTransform(self.archive.outcomes)
        seed = int(torch.randint(MAX_SEED, (), generator=self.rng))
        self.model.fit(self.features(self.archive.architectures), transform.transformed, seed=seed)
        posterior = self.model.predict(self.features(pool))
        self._pool, self._predicted = pool, transform.values(posterior.mean[:, : transform.num_objectives])
        rows = self.acquisition(posterior, n, transform=transform, rng=self.rng)
        return [pool[row] for row in rows]

    def diagnostics(self) -> dict[str, float]:
        """Size of the last pool."""
        return {"pool": float(len(self._pool))} if self._pool else {}

    def predictions(self) -> Float[Tensor, "n objectives"] | None:
        """Expected objectives of the last pool, in their units; None before the first fit."""
        return self._predicted

    def pool(self) -> list[str]:
        """Candidates of the last :meth:`ask`."""
        return self._pool
