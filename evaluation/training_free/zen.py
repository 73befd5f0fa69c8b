"""Zen-Score: how far the features move when the image moves a little, whatever the normalisations hide."""

import copy
import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from agnet.errors import InvalidInput

STEP = 0.01
"""Length of the perturbation, in the noise's standard deviations, as in the paper."""

LEAST = 1e-12
"""Features count as moving by at least this: a network that nothing passes gets a low number instead of -inf."""


class _Pooled(TorchDispatchMode):
    """Keeps the last map of features that is averaged over all of its pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features: Tensor | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.mean.dim and args[0].ndim == 4 and {axis % 4 for axis in args[1]} == {2, 3}:
            self.features = args[0].detach()
        return result


def zen_score(
    network: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> float:
    r"""Zen-Score of a network; to be maximised.

    .. math:: \log \operatorname{mean}_i \| f(x_i) - f(x_i + \alpha e_i) \|_1 + \sum_l \log \bar\sigma_l

    ``f`` are the features before the global average, with weights drawn from the standard normal distribution; ``x``
    and ``e`` are standard normal noise, ``alpha`` is :data:`STEP`. The second sum gives back what the normalisations
    divide by: ``sigma_l`` squared is the mean over the channels of the variance of normalisation ``l``'s input.

    Every layer's weights are scaled to a root mean square of one, which makes the paper's of normal ones. As in the
    paper's code the norm is that of absolute values. Unlike there, a normalisation that the features do not depend on,
    or whose input is constant, does not count.

    Source: Lin et al., 2021, https://arxiv.org/abs/2102.01063, algorithm 1.

    Args:
        network: a module that averages a map of features over its pixels; a copy runs, in train mode.
        images: noise; the first half is ``x``, the second half ``e``.
        labels: ignored by this measure.

    Raises:
        InvalidInput: if there is no pair of images, or the network averages no map of features.
    """
    if len(images) < 2:
        raise InvalidInput(f"{len(images)} images; the Zen-Score compares pairs, give 2 or more")
    network = copy.deepcopy(network).train()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight /= module.weight.square().mean().sqrt().clamp(min=LEAST)
    half = len(images) // 2
    x, e = images[:half], images[half : 2 * half]
    with torch.no_grad():
        moved, _ = _features(network, x + STEP * e)
    normalized: list[tuple[Tensor, float]] = []

    def keep(_: object, inputs: tuple[Tensor], output: Tensor) -> None:
        variance = inputs[0].detach().double().var(dim=(0, 2, 3), correction=0).mean()
        normalized.append((output, float(variance)))

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(keep)
    features, logits = _features(network, x)
    distance = (features.double() - moved.double()).abs().flatten(1).sum(dim=1).mean()
    score = float(distance.clamp(min=LEAST).log())
    if normalized:
        used = torch.autograd.grad(logits.sum(), [output for output, _ in normalized], allow_unused=True)
        for gradient, (_, variance) in zip(used, normalized, strict=True):
            if gradient is not None and variance > 0:
                score += math.log(variance) / 2
    return score


def _features(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The map of features before the last global average, without a graph, and the logits.

    Raises:
        InvalidInput: if there is no such map.
    """
    with _Pooled() as pooled:
        logits = network(images)
    if pooled.features is None:
        raise InvalidInput(f"{type(network).__name__} averages no map of features; choose measures that need none")
    return pooled.features, logits
