"""FGSM: one step along the sign of the input gradient.

Source: Goodfellow, Shlens & Szegedy, 2015, https://arxiv.org/abs/1412.6572.
"""

from evaluation.attacks.base import Radii, Slots, SteppedAttack, broadcast

PUBLISHED_FGSM_EPS = tuple(value / 255 for value in (0.1, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 255))
"""Radii of the published dataset's FGSM, in pixels."""


class FGSM(SteppedAttack):
    """FGSM at several radii. One gradient, at the clean image, serves them all.

    Args:
        eps: radii in pixels, increasing; by default the published dataset's.
        name: prefix of the columns.
    """

    needs_clean_gradient = True
    attacks_misclassified = True
    stops_when_fooled = False

    def __init__(self, eps: Radii = PUBLISHED_FGSM_EPS, *, name: str = "fgsm") -> None:
        super().__init__(name, eps)

    @property
    def evaluations(self) -> int:
        """None: the start is the result."""
        return 0

    def start(self, slots: Slots) -> Slots:
        """The result itself: ``clip(x + eps sign(grad))``."""
        return {"point": (slots["inputs"] + broadcast(slots["eps"]) * slots["clean_sign"]).clamp(0, 1)}
