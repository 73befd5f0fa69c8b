"""Search one cell of a pair after the other, as the paper searches DARTS."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Archive, Outcomes
from agnet.multiobjective.pareto import rank
from agnet.optimizers.base import AbstractOptimizer
from agnet.spaces.base import AbstractSpace
from agnet.spaces.darts.notation import CELLS
from agnet.spaces.darts.space import DARTS


class CellByCell(AbstractOptimizer):
    """Searches the normal cell beside a random reduction cell, then the reduction cell beside the best normal cell.

    Source: Lukasik, Jung & Keuper, 2022, https://arxiv.org/abs/2203.08734, on NAS-Bench-301. Every cell has its own
    optimizer, which starts from ``initial`` random cells.

    Args:
        space: pairs of DARTS cells, none of them fixed.
        inner: builds the optimizer of one cell from ``space``, ``seed`` and ``initial``.
        queries: number of queries for the normal cell; the reduction cell has the rest.
        seed: seed of everything drawn.
        initial: number of random cells at the start of either turn.

    Raises:
        ConfigurationError: if the space does not consist of pairs, or there are too few queries.
    """

    def __init__(
        self,
        space: AbstractSpace,
        *,
        inner: Callable[..., AbstractOptimizer],
        queries: int = 96,
        seed: int = 0,
        initial: int = 16,
    ) -> None:
        if not isinstance(space, DARTS) or space.fixed:
            raise ConfigurationError(f"space={space.name} has no two cells to search in turn; take space=darts")
        if queries < 1:
            raise ConfigurationError(f"optimizer.queries={queries}; the normal cell needs at least 1")
        self.space, self.queries, self.seed, self.initial, self._inner = space, queries, seed, initial, inner
        self.archive = Archive()
        self._turn = 0
        [pair] = space.sample(1, rng=torch.Generator().manual_seed(seed))
        self._beside = self._other(pair)
        """The fixed cell beside the searched one."""
        self._optimizer = self._begin()

    def _begin(self) -> AbstractOptimizer:
        """The optimizer of this turn's cell, after it has observed known pairs with the fixed cell."""
        cell = DARTS(fixed={CELLS[1 - self._turn]: self._beside})
        optimizer = self._inner(space=cell, seed=self.seed + self._turn, initial=self.initial)
        self._tell(optimizer, self.archive.architectures, self.archive.outcomes)
        return optimizer

    def _other(self, architecture: str) -> str:
        """The cell of a pair that is fixed in this turn."""
        return architecture.split("/")[1 - self._turn]

    def _tell(self, optimizer: AbstractOptimizer, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Tell an optimizer the outcomes of pairs with the fixed cell."""
        rows = [i for i, architecture in enumerate(architectures) if self._other(architecture) == self._beside]
        if rows:
            optimizer.tell([architectures[i] for i in rows], outcomes[torch.tensor(rows, device="cpu")])

    def ask(self, n: int) -> list[str]:
        """Propose ``n`` new pairs with this turn's fixed cell."""
        if self._turn == 0 and len(self.archive) >= self.queries:
            self._turn = 1
            self._beside = self._other(self.archive.architectures[int(rank(self.archive.outcomes).argmin())])
            self._optimizer = self._begin()
        return self._optimizer.ask(n)

    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Observe outcomes; this turn's optimizer learns from those of pairs with the fixed cell."""
        self.archive.add(architectures, outcomes)
        self._tell(self._optimizer, architectures, outcomes)

    def state_dict(self) -> dict[str, Any]:
        """The turn, the fixed cell, the archive, and the state of this turn's optimizer."""
        return {
            "turn": self._turn,
            "beside": self._beside,
            "archive": self.archive.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        self._turn, self._beside = int(state["turn"]), str(state["beside"])
        self.archive = Archive()
        self._optimizer = self._begin()
        self.archive.load_state_dict(state["archive"])
        self._optimizer.load_state_dict(state["optimizer"])

    def diagnostics(self) -> dict[str, float]:
        """Diagnostics of this turn's optimizer, and the turn."""
        return {**self._optimizer.diagnostics(), "turn": float(self._turn)}

    def predictions(self) -> Float[Tensor, "n objectives"] | None:
        """Predictions of this turn's optimizer."""
        return self._optimizer.predictions()

    def pool(self) -> list[str]:
        """Pool of this turn's optimizer."""
        return self._optimizer.pool()

    def provenance(self) -> dict[str, Any]:
        """Provenance of this turn's optimizer: both turns begin with the same checkpoint."""
        return self._optimizer.provenance()
