"""The contract between a search loop and the optimizer that proposes architectures."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from agnet.multiobjective.outcomes import Outcomes


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
