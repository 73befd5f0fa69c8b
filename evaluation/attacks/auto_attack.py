"""AutoAttack's standard ensemble: APGD-CE, APGD-T, FAB-T and Square, each on the images that are still robust.

Source: Croce & Hein, 2020, https://arxiv.org/abs/2003.01690, table 2.
"""

from collections.abc import Sequence

from agnet.errors import ConfigurationError
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import PUBLISHED_EPS, AbstractAttack, BatchAttack, Radii, SteppedAttack
from evaluation.attacks.fast_adaptive_boundary import FABT
from evaluation.attacks.square_attack import Square


class Ensemble(AbstractAttack):
    """Attacks run one after another, each on what the ones before have left.

    An image counts as robust if no member fools the model on it. The outcome after every member is reported too: with
    the name ``ensemble_apgd_ce`` after a first member ``apgd_ce``, and so on; after the last it is the ensemble's own.

    Args:
        members: attacks with the same radii and norm.
        name: prefix of the columns.

    Raises:
        ConfigurationError: if there is none, or their radii or norms differ.
    """

    def __init__(self, members: Sequence[SteppedAttack | BatchAttack], *, name: str = "ensemble") -> None:
        if wrong := [member for member in members if not isinstance(member, SteppedAttack | BatchAttack)]:
            raise ConfigurationError(f"attack {name}: member {wrong[0]!r}; give attacks, e.g. [APGD(eps), Square(eps)]")
        if len({(member.eps, member.norm) for member in members}) != 1:
            given = ", ".join(f"{m.name}: eps_255={list(m.eps_255)} norm={m.norm}" for m in members) or "none"
            raise ConfigurationError(f"attack {name}: members {given}; give at least one, all with one eps and norm")
        super().__init__(name, members[0].eps, members[0].norm)
        self.members = tuple(members)

    @property
    def stages(self) -> tuple[str, ...]:
        """Beginnings of the columns: after every member but the last, then the name."""
        names: list[str] = []
        for member in self.members[:-1]:
            name, number = f"{self.name}_{member.name}", 2
            while name in names:
                name, number = f"{self.name}_{member.name}_{number}", number + 1
            names.append(name)
        return (*names, self.name)

    def describe(self) -> dict[str, object]:
        """Settings of all members."""
        return {**super().describe(), "members": [member.describe() for member in self.members]}


class AutoAttack(Ensemble):
    """The standard version, with 100 iterations, 9 targets and 5,000 queries.

    Args:
        eps: radii in pixels, increasing.
        targets: target classes of APGD-T and FAB-T, at most the number of classes less one.
        steps: iterations of APGD and FAB.
        queries: proposals of Square.
        rescale: stretch Square's schedule, which is made for 10,000 proposals, to so many.
        name: prefix of the columns.
    """

    def __init__(
        self,
        eps: Radii = PUBLISHED_EPS,
        *,
        targets: int = 9,
        steps: int = 100,
        queries: int = 5000,
        rescale: bool = False,
        name: str = "autoattack",
    ) -> None:
        members = (
            APGD(eps, "ce", steps),
            APGD(eps, "targeted_dlr", steps, targets=targets),
            FABT(eps, targets, steps),
            Square(eps, queries, rescale=rescale),
        )
        super().__init__(members, name=name)
