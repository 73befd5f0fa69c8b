"""PGD: projected ascent on the cross-entropy with signed steps.

Source: Madry et al., 2018, https://arxiv.org/abs/1706.06083; step size relative to eps, 40 steps and judgement at the
last iterate as in Foolbox 3, which the published robustness dataset used.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.attacks.base import AbstractAttack, Model
from evaluation.attacks.fast_gradient_sign import gradient_sign, per_image


def pgd(
    model: Model,
    inputs: Float[Tensor, "*batch channels height width"],
    labels: Int[Tensor, "*batch"],
    *,
    eps: float | Float[Tensor, "*#batch"],
    steps: int = 40,
    relative_step: float = 1 / 30,
    start: Float[Tensor, "*#batch channels height width"] | None = None,
) -> Float[Tensor, "*batch channels height width"]:
    """Projected gradient descent in the L-inf ball; returns the last iterate.

    Args:
        model: logits of images.
        inputs: images in [0, 1].
        labels: true classes.
        eps: L-inf radius in pixel units, one number or one per sample.
        steps: gradient steps.
        relative_step: step length as a share of eps.
        start: starting point as a share of eps in [-1, 1] per pixel (a uniform draw); None starts at the image. It is
            an argument so that the draw can be tied to the image rather than to the batch.

    Raises:
        ValueError: if ``steps`` is negative.
    """
    if steps < 0:
        raise ValueError(f"steps must be >= 0, got {steps}")
    radius = per_image(eps, inputs)
    low, high = (inputs - radius).clamp(min=0), (inputs + radius).clamp(max=1)
    adversarial = inputs if start is None else torch.clamp(inputs + radius * start, low, high)
    for _ in range(steps):
        step = relative_step * radius * gradient_sign(model, adversarial, labels)
        adversarial = torch.clamp(adversarial + step, low, high)
    return adversarial


class PGD(AbstractAttack):
    """PGD from a uniform random start at several radii, each judged at its last iterate.

    The start is drawn once per image (as a share of eps) and shared by all radii.

    Args:
        eps: radii in units of 1/255, increasing.
        steps: gradient steps.
        relative_step: step length as a share of eps.
    """

    name = "pgd"

    def __init__(self, eps: Sequence[int | float], steps: int = 40, relative_step: float = 1 / 30) -> None:
        super().__init__(eps)
        if steps < 1 or not relative_step > 0:
            raise ConfigurationError(f"attack pgd: steps={steps}, relative_step={relative_step}; both must be positive")
        self.steps, self.relative_step = steps, relative_step

    def sweep(
        self,
        model: Model,
        inputs: Float[Tensor, "*batch channels height width"],
        labels: Int[Tensor, "*batch"],
        *,
        generator: torch.Generator,
    ) -> Iterator[Float[Tensor, "*batch channels height width"]]:
        """PGD images at each radius, from the same random start."""
        copies = inputs.ndim - 4
        start = torch.rand(len(inputs), *[1] * copies, *inputs.shape[-3:], generator=generator) * 2 - 1
        for eps in self.eps:
            yield pgd(
                model,
                inputs,
                labels,
                eps=eps / 255,
                steps=self.steps,
                relative_step=self.relative_step,
                start=start.to(inputs),
            )
