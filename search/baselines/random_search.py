"""Random search: the baseline that every other optimizer has to beat."""

from agnet.optimizers.base import ArchiveOptimizer


class RandomSearch(ArchiveOptimizer):
    """Architectures drawn uniformly from the space, without repeats."""

    def propose(self, n: int) -> list[str]:
        """Propose none, so that the whole batch is drawn uniformly."""
        return []
