"""Whether it is worth a query to evaluate a cell that is isomorphic to a known one.

In a table that was measured class by class (the robustness dataset) isomorphic cells have equal values, and asking for
a second member is a query lost; in one where every string was trained by itself (NAS-Bench-201's accuracies, any
latency) the best string of the best class has to be found. A search cannot know which, but it can see.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from agnet.archive import Archive
from agnet.pareto import rank
from agnet.spaces.base import AbstractSpace


class Isomorphs:
    """What an archive says about isomorphic cells.

    Args:
        space: whose :meth:`~agnet.spaces.base.AbstractSpace.canonical` names the classes.
        archive: what is known.

    Attributes:
        equal: True where members of a class were seen to have equal outcomes, False where they were seen to differ,
            None where no two were seen. The better half of what is known decides: at the bottom cells are equal
            because nothing works.
    """

    def __init__(self, space: AbstractSpace, archive: Archive) -> None:
        self.space = space
        self._ranks: dict[str, int] = {}
        known = archive.outcomes
        outputs = torch.cat([known.values, known.slacks], dim=1)
        first: dict[str, int] = {}
        self.equal: bool | None = None
        places: list[int] = rank(known).tolist()
        for row, (architecture, place) in enumerate(zip(archive, places, strict=True)):
            key = space.canonical(architecture)
            other = first.setdefault(key, row)
            self._ranks[key] = min(place, self._ranks.get(key, place))
            if other != row and self.equal is not False and 2 * self._ranks[key] < len(archive):
                self.equal = bool((outputs[row] == outputs[other]).all())

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
