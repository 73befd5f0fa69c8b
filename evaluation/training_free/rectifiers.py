"""Find which rectifiers of a network are open, at the place where the framework computes them."""

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from agnet.errors import InvalidInput

_RECTIFIERS = (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)


class _Signs(TorchDispatchMode):
    """Collects where the inputs of all rectifiers are positive; also of those that work in place."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _RECTIFIERS:
            self.found.append((args[0] > 0).flatten(1))
        return func(*args, **(kwargs or {}))


def open_rectifiers(
    network: nn.Module, images: Float[Tensor, "batch channels height width"]
) -> Bool[Tensor, "batch rectifiers"]:
    """Whether each rectifier's input is positive, rectifiers in the order of their calls.

    ``nn.ReLU``, ``F.relu``, ``torch.relu`` and their in-place forms count; ``relu6``, ``gelu`` and others do not.

    Args:
        network: a copy runs, in train mode: normalisations take their statistics from the images.
        images: one batch of images.

    Raises:
        InvalidInput: if the network calls no rectifier.
    """
    with torch.no_grad(), _Signs() as signs:
        copy.deepcopy(network).train()(images)
    if not signs.found:
        raise InvalidInput(f"{type(network).__name__} calls no ReLU; choose measures that need none, e.g. ntk, synflow")
    return torch.cat(signs.found, dim=1)
