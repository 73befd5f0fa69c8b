"""FGSM training from a random start. Source: Wong, Rice & Kolter, 2020, https://arxiv.org/abs/2001.03994."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from evaluation.training.adversarial import AbstractAdversary, Pixels, uniform_start


@dataclass(frozen=True, kw_only=True)
class FGSMRS(AbstractAdversary):
    """Training on the images that one long step from a random start has found: twice the cost of standard training.

    It may overfit catastrophically: from one epoch to the next, accuracy under PGD falls to 0 while that under FGSM
    rises; see :mod:`evaluation.training.robust_validation`.
    """

    relative_step: int | float = 1.25

    @property
    def gradients(self) -> int:
        """One."""
        return 1

    def start(self, images: Pixels, keys: Int[Tensor, " batch"], eps: int | float) -> Pixels:
        """A uniform draw from the ball."""
        return uniform_start(images, keys, eps)
