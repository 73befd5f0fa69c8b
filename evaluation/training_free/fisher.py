"""Fisher: how much the loss hangs on every channel."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from evaluation.training_free.layers import LayerCalls


def fisher_information(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Sum of the Fisher information of all channels; to be maximised.

    .. math:: \sum_k n_k \frac{1}{2 B} \sum_i \left( \sum_{hw} a_{ikhw} \frac{\partial L}{\partial a_{ikhw}} \right)^2

    ``a`` are the outputs of the convolutions and linear layers, ``k`` counts all their channels, ``B`` is the number of
    images and ``L`` their mean cross-entropy. As in Abdelfattah et al.'s code a channel counts once for each of the
    ``n_k`` weights that make it.

    Source: Theis et al., 2018, https://arxiv.org/abs/1801.05787; Turner et al., 2020, https://arxiv.org/abs/1906.04113;
    as a measure of architectures: Abdelfattah et al., 2021, https://arxiv.org/abs/2101.08134.

    Args:
        network: a module with convolutions or linear layers; a copy runs, in train mode.
        images: one batch of images.
        labels: true class of every image.

    Raises:
        InvalidInput: if the network has no such layer.
    """
    network = copy.deepcopy(network).train()
    calls = LayerCalls(network)
    loss = F.cross_entropy(network(images), labels)
    outputs = [call.output for call in calls.found()]
    gradients = torch.autograd.grad(loss, outputs, allow_unused=True, materialize_grads=True)
    total = 0.0
    for call, gradient in zip(calls.found(), gradients, strict=True):
        products = (call.output.detach() * gradient).double()
        if isinstance(call.layer, nn.Linear):
            products = products.movedim(-1, 1)
        by_image = products.reshape(*products.shape[:2], -1).sum(dim=2)
        total += call.layer.weight[0].numel() * float(by_image.square().mean(dim=0).sum()) / 2
    return total
