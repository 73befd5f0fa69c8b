"""PGD adversarial training. Source: Madry et al., 2018, https://arxiv.org/abs/1706.06083."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from evaluation.training.adversarial import (
    AbstractAdversary,
    Pixels,
    check_steps,
    uniform_start,
)


@dataclass(frozen=True, kw_only=True)
class PGDTraining(AbstractAdversary):
    """Training on the images that projected gradient ascent on the cross-entropy has found.

    Attributes:
        steps: steps of the ascent.
        random_start: start at a uniform draw from the ball, or at the image.
    """

    steps: int = 7
    random_start: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)

    @property
    def gradients(self) -> int:
        """One a step."""
        return self.steps

    def start(self, images: Pixels, keys: Int[Tensor, " batch"], eps: int | float) -> Pixels:
        """A uniform draw from the ball, or the image."""
        return uniform_start(images, keys, eps) if self.random_start else images
