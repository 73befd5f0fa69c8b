"""Fit a model to all observations, score candidates by it, query the best: one class, many baselines.

A model, an acquisition function and a set of candidates make an optimizer; ``conf/optimizer`` lists combinations.
"""

import torch

from agnet.acquisition.functions import AbstractAcquisition
from agnet.optimizers.base import ArchiveOptimizer
from agnet.spaces.base import AbstractSpace
from agnet.surrogates.base import AbstractModel
from agnet.surrogates.features import FeatureMap
from agnet.surrogates.outcome_transform import OutcomeTransform
from search.baselines.candidates import AbstractCandidates

MAX_SEED = 2**31 - 1


class ModelBasedSearch(ArchiveOptimizer):
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

    def propose(self, n: int) -> list[str]:
        """Propose candidates that the acquisition function chooses one after another."""
        pool = self.candidates(self.space, self.archive, n, rng=self.rng) if len(self.archive) else []
        if not pool:
            return []
        transform = OutcomeTransform(self.archive.outcomes)
        seed = int(torch.randint(MAX_SEED, (), generator=self.rng, device="cpu"))
        self.model.fit(self.features(self.archive.architectures), transform.transformed, seed=seed)
        posterior = self.model.predict(self.features(pool))
        self._diagnostics = {"pool_size": float(len(pool))}
        self._pool, self._predictions = pool, transform.values(posterior.mean[:, : transform.num_objectives])
        rows = self.acquisition(posterior, n, transform=transform, rng=self.rng)
        return [pool[row] for row in rows]
