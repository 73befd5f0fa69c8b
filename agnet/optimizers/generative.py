"""What every search with a retrained generator has beside its archive: a checkpoint, and where that came from."""

from collections.abc import Callable, Mapping
from typing import Any

from agnet.errors import ConfigurationError
from agnet.generator.model import AbstractGenerator
from agnet.optimizers.base import ArchiveOptimizer
from agnet.spaces.base import AbstractSpace

GeneratorLoader = Callable[[AbstractSpace], tuple[AbstractGenerator, Mapping[str, Any]]]
"""Gives a pretrained generator for a space, and its manifest entry; see
:func:`agnet.generator.checkpoints.load_generator`."""

PROVENANCE = ("sha256", "command", "revision", "seed", "cpu_seconds")


class AbstractGenerativeOptimizer(ArchiveOptimizer):
    """Proposes from a pool of generated cells.

    Args:
        space: the space searched.
        generator: gives the pretrained generator, to be retrained.
        seed: seed of everything drawn.
        initial: architectures sampled uniformly before the first proposal.

    Raises:
        ConfigurationError: if there are too few initial architectures.
    """

    def __init__(self, space: AbstractSpace, *, generator: GeneratorLoader, seed: int, initial: int) -> None:
        if initial < 2:
            raise ConfigurationError(f"initial={initial}: a model needs at least 2 architectures to be fitted to")
        super().__init__(space, seed=seed, initial=initial)
        self.generator, self._manifest = generator(space)

    def provenance(self) -> dict[str, Any]:
        """Which checkpoint the search started from, and what its pretraining cost."""
        return {key: self._manifest[key] for key in PROVENANCE if key in self._manifest}

    def state_dict(self) -> dict[str, Any]:
        """Weights of the generator, random state and archive."""
        return {"generator": self.generator.state_dict(), **super().state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        super().load_state_dict(state)
        self.generator.load_state_dict(state["generator"])
