"""Synaptic flow: how much of every weight reaches the output, whatever the images."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def synaptic_flow(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Sum of the synaptic saliencies of all parameters; to be maximised.

    .. math:: \sum_\theta \left| \theta \, \frac{\partial R}{\partial \theta} \right|

    ``R`` is the sum of the logits of an image of ones when every parameter has its absolute value. Normalisations are
    in evaluation: fresh ones are the identity. In float64, since the sum grows exponentially with depth.

    Source: Tanaka et al., 2020, https://arxiv.org/abs/2006.05467; as a measure of architectures: Abdelfattah et al.,
    2021, https://arxiv.org/abs/2101.08134.

    Args:
        network: any module; a copy runs.
        images: only their size counts.
        labels: ignored by this measure.
    """
    network = copy.deepcopy(network).double().eval()
    parameters = list(network.parameters())
    with torch.no_grad():
        for parameter in parameters:
            parameter.abs_()
    flow = network(torch.ones_like(images[:1], dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, parameters, allow_unused=True)
    terms = [(p * g).abs().sum() for p, g in zip(parameters, gradients, strict=True) if g is not None]
    return float(torch.stack(terms).sum().detach())
