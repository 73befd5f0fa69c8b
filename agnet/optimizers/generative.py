"""The base of searches that retrain a generator: checkpoint, archive, random state, pool of the last batch."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.generator import AbstractGenerator
from agnet.multiobjective.outcomes import Archive, Outcomes
from agnet.optimizers.base import AbstractOptimizer
from agnet.spaces.base import AbstractSpace

GeneratorLoader = Callable[[AbstractSpace], tuple[AbstractGenerator, Mapping[str, Any]]]
"""Gives a pretrained generator for a space, and its manifest entry; see
:func:`agnet.generator.checkpoints.load_generator`."""

PROVENANCE = ("sha256", "command", "revision", "seed", "cpu_seconds")


class AbstractGenerativeOptimizer(AbstractOptimizer):
    """Draws uniformly while fewer than ``initial`` cells are known, then proposes from a pool of generated cells.

    Args:
        space: the space searched.
        generator: gives the pretrained generator, which the search retrains.
        seed: seed of everything drawn.
        initial: architectures sampled uniformly before the first proposal.

    Raises:
        ConfigurationError: if there are too few initial architectures.
    """

    def __init__(self, space: AbstractSpace, *, generator: GeneratorLoader, seed: int, initial: int) -> None:
        if initial < 2:
            raise ConfigurationError(f"initial={initial}: a model needs at least 2 architectures to be fitted to")
        self.space, self.seed, self.initial = space, seed, initial
        self.generator, self._manifest = generator(space)
        self._rng = torch.Generator().manual_seed(seed)
        self._archive = Archive()
        self._pool: list[str] = []
        self._predictions: Tensor | None = None
        self._diagnostics: dict[str, float] = {}

    @abc.abstractmethod
    def _propose(self, n: int) -> list[str]:
        """Propose at most ``n`` new architectures; set the pool, its predictions, and the diagnostics."""

    def ask(self, n: int) -> list[str]:
        """Propose ``n`` new architectures: uniform while fewer than ``initial`` are known, generated afterwards.

        If the pool cannot fill the batch, the rest is drawn uniformly from the space.
        """
        self._pool, self._predictions, self._diagnostics = [], None, {}
        chosen = self._propose(n) if len(self._archive) >= self.initial else []
        known = {*self._archive, *chosen}
        return [*chosen, *self.space.sample_new(n - len(chosen), known=known, rng=self._rng)]

    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Observe outcomes; retraining and fitting wait until the next :meth:`ask`."""
        self._archive.add(architectures, outcomes)

    def predictions(self) -> Float[Tensor, "n objectives"] | None:
        """Expected values of :meth:`pool`."""
        return self._predictions

    def pool(self) -> list[str]:
        """Candidates of the last :meth:`ask`."""
        return self._pool

    def diagnostics(self) -> dict[str, float]:
        """Sizes of the pool, and losses of the last :meth:`ask`."""
        return self._diagnostics

    def provenance(self) -> dict[str, Any]:
        """The checkpoint that the search started from, and the cost of its pretraining."""
        return {key: self._manifest[key] for key in PROVENANCE if key in self._manifest}

    def state_dict(self) -> dict[str, Any]:
        """Weights of the generator, random state and data."""
        return {
            "generator": self.generator.state_dict(),
            "random": self._rng.get_state(),
            "archive": self._archive.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        self.generator.load_state_dict(state["generator"])
        self._archive.load_state_dict(state["archive"])
        self._rng.set_state(state["random"])
