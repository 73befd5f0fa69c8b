"""NSGA-II: survivors by non-dominated sorting and crowding, children by recombination and mutation."""

from typing import Any

import numpy as np
import torch

from agnet.errors import ConfigurationError
from agnet.optimizers.base import ArchiveOptimizer
from agnet.spaces.base import AbstractSpace

ATTEMPTS = 25
"""Matings in a row without a new child, after which the rest of a batch is drawn uniformly."""


class NSGA2(ArchiveOptimizer):
    """NSGA-II with pymoo's sorting, crowding and handling of limits.

    Source: Deb et al., 2002, https://doi.org/10.1109/4235.996017. Differences: survivors are chosen anew from all
    observed architectures, so the state is the archive alone. A child takes node types and edges from its parents
    (:meth:`~agnet.spaces.base.AbstractSpace.recombine`) and mutates to a neighbour. Observed children are made anew.

    Args:
        space: the space searched.
        seed: seed of everything drawn.
        initial: architectures drawn uniformly before the first child.
        population: number of survivors, among which parents are chosen.
        crossover: probability that a child has two parents.
        mutation: probability that a child moves to one of its neighbours.

    Raises:
        ConfigurationError: if pymoo is not installed, the population is empty, or a probability is outside [0, 1].
    """

    def __init__(
        self,
        space: AbstractSpace,
        *,
        seed: int,
        initial: int = 16,
        population: int = 16,
        crossover: float = 0.9,
        mutation: float = 1.0,
    ) -> None:
        if population < 1:
            raise ConfigurationError(f"optimizer.population={population} must be at least 1")
        for name, value in (("crossover", crossover), ("mutation", mutation)):
            if not 0 <= value <= 1:
                raise ConfigurationError(f"optimizer.{name}={value} must lie within 0 and 1")
        try:
            import pymoo  # noqa: F401 - the search must not fail after the first batch
        except ImportError:
            raise ConfigurationError("optimizer=nsga2 needs pymoo: pip install -e '.[compare]'") from None
        super().__init__(space, seed=seed, initial=initial)
        self.population, self.crossover, self.mutation = population, crossover, mutation

    def survivors(self) -> list[str]:
        """At most ``population`` observed architectures, best first: by violation, front, crowding, then at random."""
        from pymoo.core.population import Population
        from pymoo.core.problem import Problem
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        outcomes = self.archive.outcomes
        if not len(outcomes):
            return []
        values, slacks = outcomes.values.numpy(), outcomes.slacks.numpy()
        rows: Any = Population.new("F", -values, "G", -slacks, "row", np.arange(len(outcomes)))
        problem = Problem(n_var=1, n_obj=values.shape[1], n_ieq_constr=slacks.shape[1])
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.rng, device="cpu")))
        kept = RankAndCrowding().do(problem, rows, n_survive=self.population, random_state=rng)
        order = sorted(kept, key=lambda one: (one.CV[0], one.get("rank") or 0, -(one.get("crowding") or 0.0)))
        observed = self.archive.architectures
        return [observed[one.get("row")] for one in order]

    def propose(self, n: int) -> list[str]:
        """Propose children of the winners of binary tournaments."""
        parents = self.survivors()
        chosen: dict[str, None] = {}
        failed = 0 if parents else ATTEMPTS
        while len(chosen) < n and failed < ATTEMPTS:
            child = self._child(parents)
            if child in self.archive or child in chosen:
                failed += 1
            else:
                chosen[child], failed = None, 0
        return list(chosen)

    def _child(self, parents: list[str]) -> str:
        mother, father = (
            parents[int(pair.min())] for pair in torch.randint(len(parents), (2, 2), generator=self.rng, device="cpu")
        )
        crossed, mutated = (torch.rand(2, generator=self.rng, dtype=torch.float64, device="cpu")).tolist()
        child = mother
        if crossed < self.crossover and mother != father:
            child = self.space.recombine(mother, father, rng=self.rng)
        neighbors = self.space.neighbors(child) if mutated < self.mutation else []
        return (
            neighbors[int(torch.randint(len(neighbors), (), generator=self.rng, device="cpu"))] if neighbors else child
        )
