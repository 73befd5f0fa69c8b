"""The contract between a search loop and whatever proposes architectures."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from agnet.multiobjective.outcomes import Outcomes


class AbstractOptimizer(abc.ABC):
    """Proposes architectures and learns from their values.

    An optimizer sees architecture strings and :class:`~agnet.multiobjective.outcomes.Outcomes`: values that are all
    to be *maximised* and slacks that must not be negative. It never sees a table, a column's name, or a reported
    column. All its randomness comes from the seed it was built with, so that the same calls give the same proposals,
    also after
    :meth:`load_state_dict`.
    """

    @abc.abstractmethod
    def ask(self, n: int) -> list[str]:
        """``n`` distinct architectures that were not told before.

        Fewer are returned only if the space holds no more.
        """

    @abc.abstractmethod
    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Take in what was found of architectures; they need not stem from :meth:`ask`."""

    @abc.abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next proposals: tensors, numbers, strings, lists and dicts only."""

    @abc.abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken from an optimizer built with the same arguments."""

    def diagnostics(self) -> dict[str, float]:
        """Numbers worth logging about the last :meth:`ask`, e.g. the size of the candidate pool."""
        return {}

    def predictions(self) -> Float[Tensor, "n objectives"] | None:
        """What a surrogate predicted for the last :meth:`ask`'s whole candidate pool; None without a surrogate.

        Pairs with :meth:`pool`; only for judging the surrogate afterwards.
        """
        return None

    def pool(self) -> list[str]:
        """Candidates of the last :meth:`ask`, in the order of :meth:`predictions`."""
        return []

    def provenance(self) -> dict[str, Any]:
        """What was made before the search and at what cost, e.g. the pretrained generator's name and hash."""
        return {}
