"""Watch what the layers of a network compute, whatever calls them."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from agnet.errors import InvalidInput


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        layer: the convolution or linear layer.
        output: output of the layer, to which gradients can be taken.
    """

    layer: nn.Conv2d | nn.Linear
    output: Tensor


class LayerCalls:
    """The calls of a network's convolutions and linear layers, in their order, collected from now on.

    Args:
        network: any module; it keeps the hooks, so give a copy.
    """

    def __init__(self, network: nn.Module) -> None:
        self._name = type(network).__name__
        self._calls: list[Call] = []
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(self._keep)

    def _keep(self, layer: Any, _: object, output: Tensor) -> None:
        self._calls.append(Call(layer, output))

    def found(self) -> list[Call]:
        """The calls so far.

        Raises:
            InvalidInput: if there was none.
        """
        if not self._calls:
            raise InvalidInput(f"{self._name} calls no Conv2d or Linear; choose measures that need none, e.g. ntk")
        return self._calls
