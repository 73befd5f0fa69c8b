"""FGSM training from a noisy start, without projection. Source: de Jorge et al., 2022, https://arxiv.org/abs/2202.01181."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from evaluation.training.adversarial import AbstractAdversary, Pixels, check_above_0, uniform_start


@dataclass(frozen=True, kw_only=True)
class NFGSM(AbstractAdversary):
    """Training on noisy images after one step, which may lie outside the ball; this avoids catastrophic overfitting.

    Attributes:
        noise: bound of the uniform noise as a multiple of eps.
    """

    relative_step: int | float = 1.0
    noise: int | float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_0(noise=self.noise)

    @property
    def gradients(self) -> int:
        """One."""
        return 1

    def start(self, images: Pixels, keys: Int[Tensor, " batch"], eps: int | float) -> Pixels:
        """The noisy image."""
        return uniform_start(images, keys, self.noise * eps)

    def advance(self, point: Pixels, gradient: Pixels, images: Pixels, eps: int | float) -> Pixels:
        """A step along the gradient's sign from the noisy image, kept in [0, 1] alone."""
        return (point + self.relative_step * eps * gradient.sign()).clamp_(0, 1)
