"""Random search: what every other optimizer has to beat."""

from search.baselines.base import AbstractBaseline


class RandomSearch(AbstractBaseline):
    """Architectures drawn uniformly from the space, without repeats."""

    def propose(self, n: int) -> list[str]:
        """Nothing: all is drawn."""
        return []
