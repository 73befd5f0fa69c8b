"""Decide whether a cell that is isomorphic to a known one is worth a query.

Some tables were measured class by class (the robustness dataset): isomorphic cells have equal values, and a query of a
second member is wasted. In others every string was trained by itself (NAS-Bench-201's accuracies, any latency), and
the search has to find the best string of the best class. A search cannot know which kind it has, but it can observe
this column by column. With robust accuracy and latency, for instance, a known class fixes the first but not the second.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.multiobjective.outcomes import Archive
from agnet.multiobjective.pareto import competition_rank, rank
from agnet.spaces.base import AbstractSpace
from agnet.surrogates.base import Posterior

SETTLED = 1e-4
"""Standard deviation of a value that is known."""


class Isomorphs:
    """Evidence from an archive about isomorphic cells.

    Args:
        space: space whose :meth:`~agnet.spaces.base.AbstractSpace.canonical` names the classes.
        archive: everything observed so far.

    Attributes:
        columns: one entry per objective, then one per limit: True if observed members of a class have equal outcomes,
            False if they differ, None if no two were observed. Only the better half of a column counts, since cells at
            the bottom are equal because they all fail.
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
        """True if all columns are known to be equal, False if one is known to differ, else None."""
        if False in self.columns:
            return False
        return None if None in self.columns else True

    def classes(self, architectures: Sequence[str]) -> Int[Tensor, " n"]:
        """A number for the class of each architecture."""
        numbers: dict[str, int] = {}
        found = [numbers.setdefault(self.space.canonical(a), len(numbers)) for a in architectures]
        return torch.tensor(found, dtype=torch.int64, device="cpu")

    def distinct(self, architectures: Sequence[str]) -> list[str]:
        """The architectures worth a query.

        If members of a class were observed to differ, all of them are. Otherwise one member of every unknown class is.
        If no two members were observed, so is one member of the best known class, whose query will decide.
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
        """Set a posterior to the known values of known classes, in the columns observed to be equal.

        Args:
            posterior: posterior of the candidates; changed in place.
            architectures: strings of the candidates.
            transformed: observed outcomes on the scale of the posterior.
        """
        equal = [i for i, column in enumerate(self.columns) if column]
        if equal:
            places = [self._first.get(self.space.canonical(a), -1) for a in architectures]
            rows = [row for row, place in enumerate(places) if place >= 0]
            known = transformed[[places[row] for row in rows]].to(posterior.mean)
            for i in equal:
                posterior.mean[rows, i], posterior.std[rows, i] = known[:, i], SETTLED
        return posterior
