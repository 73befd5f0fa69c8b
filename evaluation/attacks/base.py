"""What a robustness table needs of an attack."""

import abc
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError

Model = Callable[[Tensor], Tensor]


class AbstractAttack(abc.ABC):
    """An attack at several radii: one column of the table for each.

    Args:
        eps: L-inf radii in units of 1/255, increasing.

    Raises:
        ConfigurationError: if there is no radius, or one is NaN, negative, above 255, or not in increasing order.
    """

    name: str

    def __init__(self, eps: Sequence[int | float]) -> None:
        if not eps or list(eps) != sorted(set(eps)) or not all(0 <= radius <= 255 for radius in eps):
            raise ConfigurationError(f"attack {self.name}: eps={list(eps)}; give increasing values within 0..255")
        self.eps = tuple(eps)

    @abc.abstractmethod
    def sweep(
        self,
        model: Model,
        inputs: Float[Tensor, "*batch channels height width"],
        labels: Int[Tensor, "*batch"],
        *,
        generator: torch.Generator,
    ) -> Iterator[Float[Tensor, "*batch channels height width"]]:
        """Adversarial images at each radius in turn, every radius independent of the others.

        Args:
            model: logits of images with pixels in [0, 1].
            inputs: clean images; dimension 0 counts images, further batch dimensions hold copies of them (the members
                of a stack), which share their random draws.
            labels: true classes.
            generator: source of random starts.
        """
