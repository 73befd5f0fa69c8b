"""Condition number of the neural tangent kernel: how evenly gradient descent would learn the images."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

SINGULAR = 1e5
"""Value of a kernel without a finite condition number, and the largest value of any."""


def condition_number(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Condition number of the Gram matrix of the images' gradients; to be minimised.

    .. math:: \kappa = \frac{\lambda_{max}(G)}{\lambda_{min}(G)}, \qquad G_{ij} = g_i^T g_j

    ``g_i`` is the gradient of the sum of image ``i``'s logits with respect to all weights (biases and the vectors of
    normalisations left out, for they are shifts that every image shares). Normalisations take their statistics from the
    batch, so one forward pass serves all images.

    Source: Chen, Gong & Wang, 2021, TE-NAS, https://arxiv.org/abs/2102.11535, equation 2.

    Args:
        network: any module; a copy runs, in train mode.
        images: batch of two images or more.
        labels: ignored by this measure.

    Returns:
        The condition number, at most :data:`SINGULAR`, which stands for singular kernels and such that are not numbers.
    """
    return condition(kernel(copy.deepcopy(network).train(), images))


def condition(gram: Float[Tensor, "batch batch"]) -> float:
    """Condition number of a kernel, at most :data:`SINGULAR`."""
    if not bool(gram.isfinite().all()):
        return SINGULAR
    eigenvalues = torch.linalg.eigvalsh(gram)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    return largest / smallest if smallest * SINGULAR > largest else SINGULAR


def kernel(network: nn.Module, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch batch"]:
    """Products of the images' gradients, float64; zero if no weight moves a logit."""
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    sums = network(images).sum(dim=1)
    gradients = torch.autograd.grad(
        sums, weights, torch.eye(len(images), dtype=sums.dtype), is_grads_batched=True, allow_unused=True
    )
    gram = torch.zeros(len(images), len(images), dtype=torch.float64)
    for gradient in gradients:
        if gradient is not None:
            flat = gradient.flatten(1).double()
            gram += flat @ flat.T
    return gram
