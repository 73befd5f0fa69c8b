"""The base of all baselines: a random start, and an archive and random state that are the whole state."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from agnet.multiobjective.outcomes import Archive, Outcomes
from agnet.optimizers.base import AbstractOptimizer
from agnet.spaces import AbstractSpace


class AbstractBaseline(AbstractOptimizer):
    """Draws ``initial`` architectures at random, then proposes from the observed outcomes.

    A subclass that keeps more than the archive and the random state extends :meth:`state_dict`.

    Args:
        space: the space searched.
        seed: seed of everything drawn.
        initial: architectures drawn uniformly before the first proposal.
    """

    def __init__(self, space: AbstractSpace, *, seed: int, initial: int = 16) -> None:
        self.space, self.initial = space, initial
        self.rng = torch.Generator().manual_seed(seed)
        self.archive = Archive()

    @abc.abstractmethod
    def propose(self, n: int) -> list[str]:
        """Propose at most ``n`` distinct unobserved architectures; the rest of a batch is drawn uniformly."""

    def ask(self, n: int) -> list[str]:
        """Propose ``n`` unobserved architectures, fewer if the space holds no more."""
        chosen = self.propose(n) if len(self.archive) >= self.initial else []
        known = {*self.archive, *chosen} if chosen else self.archive
        return [*chosen, *self.space.sample_new(n - len(chosen), known=known, rng=self.rng)]

    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Observe outcomes."""
        self.archive.add(architectures, outcomes)

    def state_dict(self) -> dict[str, Any]:
        """Random state and archive."""
        return {"random": self.rng.get_state(), "archive": self.archive.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        self.rng.set_state(state["random"])
        self.archive.load_state_dict(state["archive"])
