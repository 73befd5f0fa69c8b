"""Whether it is worth a query to evaluate a cell that is isomorphic to a known one.

In a table that was measured class by class (the robustness dataset) isomorphic cells have equal values, and asking for
a second member is a query lost; in one where every string was trained by itself (NAS-Bench-201's accuracies, any
latency) the best string of the best class has to be found. A search cannot know which, but it can see, column by
column: of robust accuracy against latency, say, one is known of a known class and the other is not.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.multiobjective.outcomes import Archive
from agnet.multiobjective.pareto import competition_rank, rank
from agnet.spaces.base import AbstractSpace
from agnet.surrogates import Posterior

SETTLED = 1e-4
"""Standard deviation of what is known."""


class Isomorphs:
    """What an archive says about isomorphic cells.

    Args:
        space: whose :meth:`~agnet.spaces.base.AbstractSpace.canonical` names the classes.
        archive: what is known.

    Attributes:
        columns: for every objective, then every limit: True where members of a class were seen to have equal outcomes,
            False where they were seen to differ, None where no two were seen. The better half of a column decides: at
            the bottom cells are equal because nothing works.
    """

    def __init__(self, space: AbstractSpace, archive: Archive) -> None:
        self.space = space
        known = archive.outcomes
        outputs = torch.cat([known.values, known.slacks], dim=1)
        places: list[list[int]] = [competition_rank(column).tolist() for column in outputs.T]
        self._first: dict[str, int] = {}
        self._ranks: dict[str, int] = {}
        self.columns: list[bool | None] = [None] * outputs.shape[1]
        order: list[int] = rank(known).tolist()
        for row, (architecture, place) in enumerate(zip(archive, order, strict=True)):
            key = space.canonical(architecture)
            other = self._first.setdefault(key, row)
            self._ranks[key] = min(place, self._ranks.get(key, place))
            if other == row:
                continue
            for i, column in enumerate(places):
                if self.columns[i] is not False and 2 * min(column[row], column[other]) < len(archive):
                    self.columns[i] = bool(outputs[row, i] == outputs[other, i])

    @property
    def equal(self) -> bool | None:
        """True where all columns are known to be equal, False where one is known to differ, else None."""
        if False in self.columns:
            return False
        return None if None in self.columns else True

    def classes(self, architectures: Sequence[str]) -> Int[Tensor, " n"]:
        """A number for the class of each architecture."""
        numbers: dict[str, int] = {}
        found = [numbers.setdefault(self.space.canonical(a), len(numbers)) for a in architectures]
        return torch.tensor(found, dtype=torch.int64)

    def distinct(self, architectures: Sequence[str]) -> list[str]:
        """The architectures worth a query.

        All of them where members of a class were seen to differ. Otherwise one member of every class that is not known;
        and, where nothing was seen, one of the best of the known classes, whose query will tell.
        """
        if self.equal is False:
            return list(architectures)
        members: dict[str, str] = {}
        for architecture in architectures:
            members.setdefault(self.space.canonical(architecture), architecture)
        known = sorted((key for key in members if key in self._ranks), key=lambda key: self._ranks[key])
        for key in known[0 if self.equal else 1 :]:
            del members[key]
        return list(members.values())

    def settle(
        self, posterior: Posterior, architectures: Sequence[str], transformed: Float[Tensor, "known outputs"]
    ) -> Posterior:
        """Tell a posterior what it need not guess: members of a known class, in the columns that are seen to be equal.

        Args:
            posterior: of the candidates; changed.
            architectures: the candidates.
            transformed: what is known, on the scale of the posterior.
        """
        equal = [i for i, column in enumerate(self.columns) if column]
        if equal:
            places = [self._first.get(self.space.canonical(a), -1) for a in architectures]
            rows = [row for row, place in enumerate(places) if place >= 0]
            known = transformed[[places[row] for row in rows]].to(posterior.mean)
            for i in equal:
                posterior.mean[rows, i], posterior.std[rows, i] = known[:, i], SETTLED
        return posterior
