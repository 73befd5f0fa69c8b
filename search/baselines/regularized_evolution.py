"""Regularized evolution: mutate the winners of tournaments, drop the oldest architectures."""

import torch

from agnet.errors import ConfigurationError
from agnet.multiobjective.pareto import hypervolume_rank
from agnet.optimizers.base import ArchiveOptimizer
from agnet.spaces.base import AbstractSpace

ATTEMPTS = 50
"""Tournaments in a row without a new child, after which the rest of a batch is drawn uniformly."""


class RegularizedEvolution(ArchiveOptimizer):
    """Aging evolution: the population consists of the most recent architectures.

    Source: Real et al., 2019, https://arxiv.org/abs/1802.01548, Algorithm 1. Differences: all children of a batch have
    their parents in the same population. If a child has been observed already, another tournament is held. With several
    objectives or limits, :func:`agnet.multiobjective.pareto.hypervolume_rank` decides a tournament.

    Args:
        space: the space searched.
        seed: seed of everything drawn.
        initial: architectures drawn uniformly before the first child.
        population: number of living architectures, the most recent ones.
        tournament: number of architectures drawn with replacement; the best of them has a child.

    Raises:
        ConfigurationError: if the population or the tournament is empty.
    """

    def __init__(
        self, space: AbstractSpace, *, seed: int, initial: int = 16, population: int = 20, tournament: int = 10
    ) -> None:
        for name, value in (("population", population), ("tournament", tournament)):
            if value < 1:
                raise ConfigurationError(f"optimizer.{name}={value} must be at least 1")
        super().__init__(space, seed=seed, initial=initial)
        self.population, self.tournament = population, tournament

    @property
    def alive(self) -> list[str]:
        """The population, oldest first."""
        return self.archive.architectures[-self.population :]

    def propose(self, n: int) -> list[str]:
        """Propose one random neighbour of each tournament's winner."""
        alive = self.alive
        ranks = hypervolume_rank(self.archive.outcomes[slice(-self.population, None)]).tolist()
        chosen: dict[str, None] = {}
        failed = 0 if alive else ATTEMPTS
        while len(chosen) < n and failed < ATTEMPTS:
            drawn = torch.randint(len(alive), (self.tournament,), generator=self.rng, device="cpu").tolist()
            neighbors = self.space.neighbors(alive[min(drawn, key=ranks.__getitem__)])
            child = (
                neighbors[int(torch.randint(len(neighbors), (), generator=self.rng, device="cpu"))]
                if neighbors
                else None
            )
            if child is None or child in self.archive or child in chosen:
                failed += 1
            else:
                chosen[child], failed = None, 0
        return list(chosen)
