"""CRoZe: how alike a network and its perturbed copy see, weigh and learn the images."""

import copy
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.training_free.gradients import perturbed
from evaluation.training_free.layers import LayerCalls


def consistency(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
    *,
    eps_255: int | float = 2.55,
    radius: int | float = 2.0,
) -> float:
    r"""Sum over the layers of their consistency under perturbation; to be maximised.

    .. math:: \sum_l \left( 1 + \cos(z_l, \hat z_l) \right) \left( 1 + \cos(\theta_l, \hat\theta_l) \right)
        \left| \cos(g_l, \hat g_l) \right|

    ``z`` are a layer's outputs, ``theta`` its weights, ``g`` the gradient of the mean cross-entropy with respect to
    them. Hats mark the perturbed copy: each of its weight tensors has moved up the gradient of the loss by ``radius``
    times its norm, and its images by one step of FGSM. As in the paper's code all parameters have their absolute value
    and normalisations are the identity (here: in evaluation, fresh). In float64, since outputs grow exponentially with
    depth.

    Differences: the paper's code takes each cosine along one axis of the tensors and adds the rest up, and compares the
    features of whole stages; here, as the paper writes it, every layer has one cosine of each kind.

    Source: Ha, Kim & Hwang, 2023, https://arxiv.org/abs/2306.05031, section 4.2.

    Args:
        network: a module with convolutions or linear layers; a copy runs.
        images: images in [0, 1].
        labels: true class of every image.
        eps_255: step of the images in pixels, in units of 1/255.
        radius: step of a weight tensor, as a multiple of its norm.

    Raises:
        ConfigurationError: if a step is negative or no number.
        InvalidInput: if the network has no such layer.
    """
    if not 0 <= radius < math.inf:
        raise ConfigurationError(f"radius={radius}; give a number from 0")
    network, images = copy.deepcopy(network).double().eval(), images.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    moved = _ascended(network, images, labels, radius=radius)
    clean = _traces(network, images, labels)
    adversarial = _traces(moved, perturbed(moved, images, labels, eps_255=eps_255), labels)
    total = 0.0
    for (z, theta, g), (z_hat, theta_hat, g_hat) in zip(clean, adversarial, strict=True):
        total += (1 + _cosine(z, z_hat)) * (1 + _cosine(theta, theta_hat)) * abs(_cosine(g, g_hat))
    return total


def _ascended(network: nn.Module, images: Tensor, labels: Tensor, *, radius: int | float) -> nn.Module:
    """A copy each of whose weight tensors has moved up the gradient of the loss, by so many times its norm."""
    moved = copy.deepcopy(network)
    weights = [weight for weight in moved.parameters() if weight.ndim > 1]
    loss = F.cross_entropy(moved(images), labels)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            if bool(gradient.any()):
                weight += radius * weight.norm() / gradient.norm() * gradient
    return moved


def _traces(network: nn.Module, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Output, weights and gradient of every layer, in the order of their calls; leaves hooks in the network."""
    calls = LayerCalls(network)
    loss = F.cross_entropy(network(images), labels)
    weights = [call.layer.weight for call in calls.found()]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return [
        (call.output.detach(), call.layer.weight.detach(), gradient)
        for call, gradient in zip(calls.found(), gradients, strict=True)
    ]


def _cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of the angle between two tensors, 0 where one is zero."""
    norms = float(a.norm() * b.norm())
    return float((a * b).sum()) / norms if norms > 0 else 0.0
