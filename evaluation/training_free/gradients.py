"""Gradients that several measures are made of."""

import copy
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError

Images = Float[Tensor, "batch channels height width"]
Labels = Int[Tensor, " batch"]


def of_weights(network: nn.Module, images: Images, labels: Labels) -> list[tuple[Tensor, Tensor]]:
    """Every weight of a layer with the gradient of the mean cross-entropy of a batch; biases and the like left out.

    Args:
        network: any module; a copy runs, in train mode.
        images: one batch of images.
        labels: true class of every image.

    Returns:
        Parameters of two axes or more, each with its gradient, which is zero where the loss ignores the parameter.
    """
    network = copy.deepcopy(network).train()
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    loss = F.cross_entropy(network(images), labels)
    gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return [(weight.detach(), gradient) for weight, gradient in zip(weights, gradients, strict=True)]


def perturbed(network: nn.Module, images: Images, labels: Labels, *, eps_255: int | float) -> Images:
    """Images moved along the sign of the gradient of their cross-entropy and clipped to [0, 1].

    The step of :func:`evaluation.fgsm`, which takes networks in evaluation mode only: an untrained network has no
    statistics, so here its normalisations may take them from the batch.

    Source: Goodfellow et al., 2015, https://arxiv.org/abs/1412.6572.

    Args:
        network: any module, in the mode in which it is to be attacked.
        images: images in [0, 1].
        labels: true class of every image.
        eps_255: length of the step in pixels, in units of 1/255.

    Raises:
        ConfigurationError: if the length is negative or no number.
    """
    if not 0 <= eps_255 < math.inf:
        raise ConfigurationError(f"eps_255={eps_255}; give a number from 0")
    leaf = images.detach().clone().requires_grad_()
    loss = F.cross_entropy(network(leaf), labels, reduction="sum")
    [gradient] = torch.autograd.grad(loss, leaf, allow_unused=True, materialize_grads=True)
    return (images + eps_255 / 255 * gradient.sign()).clamp(0, 1)
