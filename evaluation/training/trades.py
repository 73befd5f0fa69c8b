"""TRADES. Source: Zhang et al., 2019, https://arxiv.org/abs/1901.08573."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.randomness import normal
from evaluation.training.adversarial import (
    AbstractAdversary,
    Ask,
    Labels,
    Logits,
    Pixels,
    check_steps,
    for_members,
    summed_cross_entropy,
)

START = 0.001
"""Standard deviation of the noise that the ascent starts with: at the image itself the gradient is zero."""


@dataclass(frozen=True, kw_only=True)
class TRADES(AbstractAdversary):
    """Training on the clean images, and on how far perturbations move the network's answers.

    Attributes:
        steps: steps of the ascent on the divergence.
        beta: weight of the divergence: more of it is more robustness and less clean accuracy.
    """

    steps: int = 10
    beta: int | float = 6.0

    needs_clean_logits: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)
        if not 0 <= self.beta < float("inf"):
            raise ConfigurationError(f"adversarial.beta={self.beta}; give a number from 0, e.g. 6")

    @property
    def gradients(self) -> int:
        """One a step."""
        return self.steps

    def start(self, images: Pixels, keys: Int[Tensor, " batch"], eps: int | float) -> Pixels:
        """The image with a little Gaussian noise."""
        return images + START * for_members(normal(keys, images.shape[-3:]), images)

    def attack_loss(self, logits: Logits, labels: Labels, clean: Logits | None) -> Float[Tensor, ""]:
        """Divergence of the answers at the point from those at the image."""
        assert clean is not None
        return divergence(logits, clean)

    def loss(
        self, network: Ask, images: Pixels, point: Pixels, labels: Labels, *, label_smoothing: float = 0.0
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the clean images, and ``beta`` times the divergence."""
        clean = network(images)
        natural = summed_cross_entropy(clean, labels, label_smoothing=label_smoothing)
        return natural + self.beta * divergence(network(point), clean)


def divergence(logits: Logits, clean: Logits) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence ``sum p log(p / q)`` of ``q`` by the logits from ``p`` by the clean ones, summed."""
    return F.kl_div(logits.log_softmax(-1), clean.log_softmax(-1), reduction="sum", log_target=True)
