"""Count the parameters and multiply-accumulates of any network without computing its outputs."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def parameters_of(network: nn.Module, *, without: str | None = None) -> int:
    """Trainable parameters.

    Args:
        network: any module, on any device.
        without: name of a part that is not counted, such as a head that only training needs.

    Example:
        >>> parameters_of(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)))
        116
    """
    return sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if without is None or not name.startswith(f"{without}.")
    )


_POOLS = (nn.MaxPool2d, nn.AvgPool2d)


def multiply_accumulates(
    network: nn.Module, image: Float[Tensor, "1 channels height width"], *, elementwise: bool = False
) -> int:
    """Multiply-accumulates of the convolutions and linear maps (with their biases) for one image, in evaluation mode.

    Papers often print this number as FLOPs. Pools and normalisations are not counted, as in NAS-Bench-201.

    Args:
        network: is set to evaluation; on the meta device nothing is computed.
        image: one image of the size in question, on the network's device.
        elementwise: count two for every normalised value and one for every value of a ReLU or a pool as well, as the
            counter behind several papers does; only modules are seen, not functions.

    Example:
        >>> multiply_accumulates(nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), torch.zeros(1, 6, 10, 10))
        5400
    """
    macs = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal macs
        if isinstance(module, nn.Conv2d):
            macs += output[0].numel() * (module.in_channels // module.groups) * math.prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            macs += module.out_features * (module.in_features + 1)
        elif elementwise and isinstance(module, nn.BatchNorm2d):
            macs += 2 * output[0].numel()
        elif elementwise and isinstance(module, (nn.ReLU, *_POOLS)):
            macs += output[0].numel()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network.eval()(image)
    for hook in hooks:
        hook.remove()
    return macs


def macs_of(
    make: Callable[[], nn.Module], *, in_channels: int = 3, image_size: int = 32, elementwise: bool = False
) -> int:
    """:func:`multiply_accumulates` of a network that is built for it, without memory.

    Args:
        make: builds the network.
        in_channels: channels of the images.
        image_size: their height and width in pixels.
        elementwise: whether element-wise operations count; see :func:`multiply_accumulates`.
    """
    with torch.device("meta"):
        return multiply_accumulates(
            make(), torch.empty(1, in_channels, image_size, image_size), elementwise=elementwise
        )
