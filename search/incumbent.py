"""The best architecture so far, updated query by query."""

from collections.abc import Sequence

import numpy as np


class IncumbentTracker:
    """Ranks the feasible members of a growing set as :func:`agnet.multiobjective.pareto.rank` does.

    An added value costs O(n) instead of O(n^2).

    Args:
        num_objectives: length of the value vectors; all are maximised.
    """

    def __init__(self, num_objectives: int) -> None:
        self._positions: list[int] = []
        self._count = 0
        self._values = np.empty((0, num_objectives))
        self._rank_sums = np.empty(0, dtype=np.int64)
        """Number of pairs (other value, objective) that are better: the sum of the ranks over the objectives."""
        self._dominated = np.empty(0, dtype=bool)

    def add(self, values: Sequence[float], *, feasible: bool = True) -> int | None:
        """Add a value vector; an infeasible one only takes a position.

        Returns:
            Position of the best feasible vector so far: the non-dominated one with the smallest mean rank, the earliest
            among equals. None if no vector is feasible yet.
        """
        new = np.asarray(values, dtype=np.float64)[None]
        if not np.isfinite(new).all():
            raise ValueError(f"values to rank must be finite, got {list(values)}")
        self._count += 1
        if not feasible:
            return next(iter(self.front()), None)
        self._positions.append(self._count - 1)
        theirs, ours = self._values > new, self._values < new
        self._rank_sums += ours.sum(axis=1)
        self._dominated |= ours.any(axis=1) & ~theirs.any(axis=1)
        self._values = np.concatenate([self._values, new])
        self._rank_sums = np.append(self._rank_sums, theirs.sum())
        self._dominated = np.append(self._dominated, (theirs.any(axis=1) & ~ours.any(axis=1)).any())
        return self.front()[0]

    def front(self) -> list[int]:
        """Positions of the feasible non-dominated vectors, best first; among equals, earliest first."""
        free = np.flatnonzero(~self._dominated)
        ordered = free[np.argsort(self._rank_sums[free], kind="stable")]
        return [self._positions[i] for i in ordered.tolist()]
