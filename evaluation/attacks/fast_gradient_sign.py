"""FGSM: one step along the sign of the input gradient.

Source: Goodfellow, Shlens & Szegedy, 2015, https://arxiv.org/abs/1412.6572.
"""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from evaluation.attacks.base import Pixels, Slots, SteppedAttack, broadcast


class FGSM(SteppedAttack):
    """FGSM at several radii for the price of one gradient: it is taken at the clean image.

    Args:
        eps: radii in units of 1/255, increasing; by default the published dataset's.
        name: prefix of the columns.
    """

    needs_clean_gradient = True
    attacks_misclassified = True
    stops_when_fooled = False

    def __init__(
        self, eps: Sequence[int | float] = (0.1, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 255), *, name: str = "fgsm"
    ) -> None:
        super().__init__(name, eps)

    @property
    def evaluations(self) -> int:
        """None: the start is the result."""
        return 0

    def start(
        self,
        inputs: Pixels,
        labels: Int[Tensor, " slots"],
        eps: Float[Tensor, " slots"],
        keys: Int[Tensor, " slots"],
        *,
        attempt: Int[Tensor, " slots"],
        clean_logits: Float[Tensor, "slots classes"],
        clean_sign: Pixels | None,
    ) -> Slots:
        """The result itself: ``clip(x + eps sign(grad))``."""
        assert clean_sign is not None
        return {"point": (inputs + broadcast(eps) * clean_sign).clamp(0, 1)}
