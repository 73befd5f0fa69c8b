"""Local search: try the neighbours of the best architecture, move to a better one, restart if there is none."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from agnet.multiobjective.outcomes import Outcomes
from agnet.multiobjective.pareto import front_index, rank
from agnet.optimizers.base import ArchiveOptimizer
from agnet.spaces.base import AbstractSpace


def incumbents(outcomes: Outcomes) -> list[int]:
    """Rows that a local search may explore: the feasible rows that no feasible row is better than.

    Only the first among equals counts, so that the search leaves a plateau by a restart instead of wandering over it.
    With one objective there is one such row. If no row is feasible, it is the first with the smallest violation.

    Example:
        >>> incumbents(Outcomes.unlimited(torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])))
        [0, 1]
    """
    feasible = outcomes.feasible
    if not bool(feasible.any()):
        return [int(outcomes.violations.argmin())] if len(outcomes) else []
    rows = feasible.nonzero()[:, 0]
    first: dict[tuple[float, ...], int] = {}
    for row in rows[front_index(outcomes.values[rows]) == 0].tolist():
        first.setdefault(tuple(outcomes.values[row].tolist()), row)
    return list(first.values())


class LocalSearch(ArchiveOptimizer):
    """Runs of local search, each from the best of ``initial`` uniform draws.

    Source: White et al., 2021, https://arxiv.org/abs/2005.02960, which moves to a neighbour as soon as it is better
    ("query until improvement"). With several objectives this is Pareto local search: a run explores its whole front,
    whose members are taken in random order until none has an unobserved neighbour (Paquete et al., 2004,
    https://doi.org/10.1007/978-3-642-17144-4_7).

    Differences: improvements are seen batch by batch. If the neighbours of the incumbents do not fill a batch,
    neighbours of the run's next best architectures follow. A restart draws as many architectures as the first start,
    not one.

    Args:
        space: the space searched.
        seed: seed of everything drawn.
        initial: architectures drawn uniformly at the start of each run.
    """

    def __init__(self, space: AbstractSpace, *, seed: int, initial: int = 16) -> None:
        super().__init__(space, seed=seed, initial=initial)
        self.start = 0
        """Number of architectures observed before the current run began."""

    def propose(self, n: int) -> list[str]:
        """Propose neighbours of the incumbents in random order; at the start of a run none, i.e. uniform draws."""
        run, outcomes = self.archive.architectures[self.start :], self.archive.outcomes[self.start :]
        if not n or len(run) < max(self.initial, 1):
            return []
        best = incumbents(outcomes)
        chosen = self._neighbors(self._shuffled([run[row] for row in best]), n, [])
        if not chosen:
            self.start = len(self.archive)
            return []
        ranks = rank(outcomes).tolist()
        others = sorted({*range(len(run))} - {*best}, key=lambda row: (ranks[row], row))
        return self._neighbors([run[row] for row in others], n, chosen)

    def state_dict(self) -> dict[str, Any]:
        """Archive, random state, and the start of the current run."""
        return {**super().state_dict(), "start": self.start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        super().load_state_dict(state)
        self.start = int(state["start"])

    def _neighbors(self, architectures: Sequence[str], n: int, chosen: Sequence[str]) -> list[str]:
        """``chosen``, filled up to ``n`` with unobserved neighbours, architecture by architecture in random order."""
        filled = dict.fromkeys(chosen)
        for architecture in architectures:
            if len(filled) == n:
                break
            new = [a for a in self.space.neighbors(architecture) if a not in self.archive and a not in filled]
            filled.update(dict.fromkeys(self._shuffled(new)[: n - len(filled)]))
        return list(filled)

    def _shuffled(self, architectures: Sequence[str]) -> list[str]:
        order: list[int] = torch.randperm(len(architectures), generator=self.rng, device="cpu").tolist()
        return [architectures[i] for i in order]
