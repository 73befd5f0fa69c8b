"""Sets of candidates from which a model-based search chooses its next batch."""

import abc

import torch

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Archive
from agnet.multiobjective.pareto import hypervolume_rank
from agnet.runtime.representation import ShortRepr
from agnet.spaces.base import AbstractSpace


class AbstractCandidates(ShortRepr, abc.ABC):
    """Gives a model architectures to score."""

    @abc.abstractmethod
    def check(self, space: AbstractSpace) -> None:
        """Refuse a space in which these candidates cannot be found.

        Raises:
            ConfigurationError: if the space does not fit; the message names an alternative.
        """

    @abc.abstractmethod
    def __call__(self, space: AbstractSpace, archive: Archive, n: int, *, rng: torch.Generator) -> list[str]:
        """Distinct unobserved architectures; at least ``n`` unless the space holds no more."""


class WholeSpace(AbstractCandidates):
    """All unobserved architectures of the space."""

    def check(self, space: AbstractSpace) -> None:
        """Refuse a space that cannot be enumerated."""
        if space.size is None:
            raise ConfigurationError(
                f"this optimizer scores the whole space, and {space.name} cannot be enumerated; use "
                "optimizer=bayesian_optimization or optimizer=bananas, which mutate the best"
            )

    def __call__(self, space: AbstractSpace, archive: Archive, n: int, *, rng: torch.Generator) -> list[str]:
        """All unobserved architectures in the space's order; nothing is drawn."""
        return [architecture for architecture in space.enumerate() if architecture not in archive]


class Mutations(AbstractCandidates):
    """Architectures one or two changes away from the best, and some random ones.

    Args:
        parents: number of best architectures, by :func:`agnet.multiobjective.pareto.hypervolume_rank`.
        mutated: number of candidates to seek around these.
        drawn: number of candidates to draw uniformly.
    """

    def __init__(self, parents: int = 16, mutated: int = 1000, drawn: int = 500) -> None:
        self.parents, self.mutated, self.drawn = parents, mutated, drawn

    def check(self, space: AbstractSpace) -> None:
        """Accept any space."""

    def __call__(self, space: AbstractSpace, archive: Archive, n: int, *, rng: torch.Generator) -> list[str]:
        """Mutations, then uniform draws; if mutations are few, more are drawn."""
        known = archive.architectures
        best = hypervolume_rank(archive.outcomes).argsort(stable=True)[: self.parents]
        parents = [known[i] for i in best.tolist()]
        near: dict[str, list[str]] = {}
        pool: dict[str, None] = {}
        for who, first, second, steps in torch.rand(
            2 * self.mutated, 4, generator=rng, dtype=torch.float32, device="cpu"
        ).tolist():
            architecture = parents[int(who * len(parents))]
            for where in (first, second) if steps < 0.5 else (first,):
                if architecture not in near:
                    near[architecture] = space.neighbors(architecture)
                around = near[architecture]
                architecture = around[int(where * len(around))] if around else architecture
            if architecture not in archive:
                pool.setdefault(architecture)
            if len(pool) == self.mutated:
                break
        drawn = max(self.drawn, n - len(pool))
        return [*pool, *space.sample_new(drawn, known={*known, *pool}, rng=rng)]
