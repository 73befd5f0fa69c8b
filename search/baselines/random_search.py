"""Random search: what every other optimizer has to beat."""

from agnet.optimizers.base import ArchiveOptimizer


class RandomSearch(ArchiveOptimizer):
    """Architectures drawn uniformly from the space, without repeats."""

    def propose(self, n: int) -> list[str]:
        """Nothing: all is drawn."""
        return []
