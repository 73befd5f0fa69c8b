"""The contract between a search loop and the optimizer that proposes architectures."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.multiobjective.outcomes import Archive, Outcomes
from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace


class AbstractOptimizer(abc.ABC):
    """Proposes architectures and learns from their values.

    An optimizer sees architecture strings and :class:`~agnet.multiobjective.outcomes.Outcomes`: values that are all to
    be *maximised* and slacks that must not be negative. It never sees a table, a column's name, or a reported column.
    All its randomness comes from the seed it was built with, so the same calls give the same proposals, also after
    :meth:`load_state_dict`.
    """

    @abc.abstractmethod
    def ask(self, n: int) -> list[str]:
        """Propose ``n`` distinct architectures that have not been observed; fewer only if the space holds no more."""

    @abc.abstractmethod
    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Observe outcomes of architectures, which need not come from :meth:`ask`."""

    @abc.abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All state that determines the next proposals: tensors, numbers, strings, lists and dicts only."""

    @abc.abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict` of an optimizer built with the same arguments."""

    def diagnostics(self) -> dict[str, float]:
        """Numbers worth logging about the last :meth:`ask`, e.g. the size of the candidate pool."""
        return {}

    def predictions(self) -> Float[Tensor, "n objectives"] | None:
        """A surrogate's predictions for the whole candidate pool of the last :meth:`ask`; None without a surrogate.

        Rows are those of :meth:`pool`; they serve only to judge the surrogate afterwards.
        """
        return None

    def pool(self) -> list[str]:
        """Candidates of the last :meth:`ask`, in the order of :meth:`predictions`."""
        return []

    def provenance(self) -> dict[str, Any]:
        """Inputs made before the search and their cost, e.g. the pretrained generator's name and hash."""
        return {}


class ArchiveOptimizer(AbstractOptimizer):
    """An optimizer that keeps what it observed in an archive: random architectures first, proposals afterwards.

    A subclass implements :meth:`propose`. One that remembers more than the archive and the random state extends
    :meth:`state_dict` and :meth:`load_state_dict`.

    Args:
        space: the space searched.
        seed: seed of everything drawn.
        initial: architectures drawn uniformly before the first proposal.
    """

    def __init__(self, space: AbstractSpace, *, seed: int, initial: int = 16) -> None:
        self.space, self.seed, self.initial = space, seed, initial
        self.rng = torch.Generator().manual_seed(seed)
        self.archive = Archive()
        self._pool: list[str] = []
        self._predictions: Tensor | None = None
        self._diagnostics: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space.name}, seed={self.seed}, {len(self.archive)} observed)"

    @abc.abstractmethod
    def propose(self, n: int) -> list[str]:
        """At most ``n`` distinct architectures that were not observed; :meth:`ask` draws the missing ones uniformly.

        A subclass with a surrogate sets ``_pool``, ``_predictions`` and ``_diagnostics``, which are empty before.
        """

    @with_gradients
    def ask(self, n: int) -> list[str]:
        """``n`` architectures that were not observed; fewer if the space holds no more."""
        self._pool, self._predictions, self._diagnostics = [], None, {}
        chosen = self.propose(n) if len(self.archive) >= self.initial else []
        known = {*self.archive, *chosen} if chosen else self.archive
        return [*chosen, *self.space.sample_new(n - len(chosen), known=known, rng=self.rng)]

    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Add outcomes to the archive; whatever has to be fitted waits until the next :meth:`ask`."""
        self.archive.add(architectures, outcomes)

    def state_dict(self) -> dict[str, Any]:
        """Random state and archive."""
        return {"random": self.rng.get_state(), "archive": self.archive.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.rng.set_state(state["random"])
        self.archive.load_state_dict(state["archive"])

    def diagnostics(self) -> dict[str, float]:
        """Numbers about the last proposal, e.g. the size of the pool and training losses."""
        return self._diagnostics

    def predictions(self) -> Float[Tensor, "n objectives"] | None:
        """Expected objectives of :meth:`pool`, in their units; None without a surrogate or before its first fit."""
        return self._predictions

    def pool(self) -> list[str]:
        """Candidates of the last :meth:`ask`."""
        return self._pool
