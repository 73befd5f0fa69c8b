"""Random search: what every other optimizer has to beat."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.optimizer import AbstractOptimizer
from agnet.spaces import AbstractSpace

_DRAWS = 256  # at least so many at a time: nearly exhausted spaces reject most of them


class RandomSearch(AbstractOptimizer):
    """Architectures drawn uniformly from the space, without repeats.

    Args:
        space: the space searched.
        seed: seed of the draws.
        initial: ignored; the first proposals are like all others.
    """

    def __init__(self, space: AbstractSpace, *, seed: int, initial: int = 16) -> None:
        self.space = space
        self._random = torch.Generator().manual_seed(seed)
        self._told: dict[str, None] = {}

    def ask(self, n: int) -> list[str]:
        """``n`` architectures that were not told, fewer if the space holds no more."""
        size = self.space.size
        if size is not None:
            n = min(n, size - len(self._told))
        chosen: dict[str, None] = {}
        while len(chosen) < n:
            for architecture in self.space.sample(max(n - len(chosen), _DRAWS), generator=self._random):
                if architecture not in self._told and len(chosen) < n:
                    chosen.setdefault(architecture)
        return list(chosen)

    def tell(self, architectures: Sequence[str], values: Float[Tensor, "n objectives"]) -> None:
        """Remember what needs no second proposal; the values are ignored."""
        self._told.update(dict.fromkeys(architectures))

    def state_dict(self) -> dict[str, Any]:
        """Random state and what was told."""
        return {"random": self._random.get_state(), "told": list(self._told)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self._random.set_state(state["random"])
        self._told = dict.fromkeys(state["told"])
