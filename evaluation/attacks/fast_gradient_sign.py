"""FGSM: one step along the sign of the input gradient.

Source: Goodfellow, Shlens & Szegedy, 2015, https://arxiv.org/abs/1412.6572.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from evaluation.attacks.base import AbstractAttack, Model


def gradient_sign(
    model: Model, inputs: Float[Tensor, "*batch channels height width"], labels: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch channels height width"]:
    """Sign of the gradient of the cross-entropy with respect to each image.

    Args:
        model: logits of images; see :mod:`evaluation.attacks`.
        inputs: images in [0, 1].
        labels: true classes.

    Returns:
        -1, 0 or 1 for every value; detached.
    """
    inputs = inputs.detach().requires_grad_()
    logits = model(inputs)
    loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum")
    return torch.autograd.grad(loss, inputs)[0].sign()


def per_image(eps: float | Tensor, inputs: Tensor) -> Tensor:
    """Radius as a tensor that broadcasts over the channels, rows and columns of each image.

    Raises:
        ValueError: if an eps is negative or not finite.
    """
    radius = torch.as_tensor(eps, dtype=inputs.dtype, device=inputs.device)
    if not bool((radius >= 0).all()) or not bool(radius.isfinite().all()):
        raise ValueError(f"eps must be finite and >= 0 (pixel units, e.g. 8 / 255), got {eps}")
    return radius if radius.ndim == 0 else radius[..., None, None, None]


def fgsm(
    model: Model,
    inputs: Float[Tensor, "*batch channels height width"],
    labels: Int[Tensor, "*batch"],
    *,
    eps: float | Float[Tensor, "*#batch"],
) -> Float[Tensor, "*batch channels height width"]:
    """Fast gradient sign method: ``clip(x + eps sign(grad))``.

    Args:
        model: logits of images.
        inputs: images in [0, 1].
        labels: true classes.
        eps: L-inf radius in pixel units, one number or one per sample.

    Raises:
        ValueError: if an eps is negative or not finite.
    """
    radius = per_image(eps, inputs)
    return (inputs + radius * gradient_sign(model, inputs, labels)).clamp(0, 1)


class FGSM(AbstractAttack):
    """FGSM at several radii for the price of one gradient: it is taken at the clean image."""

    name = "fgsm"

    def sweep(
        self,
        model: Model,
        inputs: Float[Tensor, "*batch channels height width"],
        labels: Int[Tensor, "*batch"],
        *,
        generator: torch.Generator,
    ) -> Iterator[Float[Tensor, "*batch channels height width"]]:
        """FGSM images at each radius; the generator is not used."""
        sign = gradient_sign(model, inputs, labels)
        for eps in self.eps:
            yield (inputs + eps / 255 * sign).clamp(0, 1)
