"""Operations of the final DARTS network.

Source: Liu et al., 2019, https://arxiv.org/abs/1806.09055, and its published code, by which two things are decided that
the paper leaves open: pools are followed by no batch normalisation when the final network is trained (they are during
DARTS' own search), and ReLU stands before a convolution.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ReLUConvNorm(nn.Sequential):
    """ReLU, convolution without bias, batch normalisation."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
        )


class FactorizedReduce(nn.Module):
    """Half the resolution by two 1x1 convolutions, of the pixels at even and at odd places, concatenated.

    An odd height or width is followed by a line of zeros, which the published code, made for even ones, does not need.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(
        self, x: Float[Tensor, "batch c_in height width"]
    ) -> Float[Tensor, "batch c_out half_height half_width"]:
        """Half-resolution features."""
        x = self.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))


def _depthwise(channels: int, kernel: int, stride: int, dilation: int) -> list[nn.Module]:
    """ReLU, a convolution of every channel by itself, a 1x1 convolution, batch normalisation."""
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]


def separable(channels: int, kernel: int, stride: int) -> nn.Module:
    """Two depthwise-separable convolutions, the first with the stride."""
    return nn.Sequential(*_depthwise(channels, kernel, stride, 1), *_depthwise(channels, kernel, 1, 1))


def dilated(channels: int, kernel: int, stride: int) -> nn.Module:
    """One depthwise-separable convolution whose kernel has gaps of one pixel."""
    return nn.Sequential(*_depthwise(channels, kernel, stride, 2))


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """The module of an operation; it keeps the number of channels.

    Args:
        name: one of :data:`agnet.spaces.darts.notation.OPERATIONS`.
        channels: channels of input and output.
        stride: 2 on the edges from a reduction cell's inputs, else 1.

    Raises:
        KeyError: if there is no such operation.

    Example:
        >>> tuple(operation("dil_conv_5x5", 4, 2)(torch.zeros(1, 4, 8, 8)).shape)
        (1, 4, 4, 4)
    """
    match name:
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
        case "max_pool_3x3":
            return nn.MaxPool2d(3, stride, padding=1)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    kinds = {"sep_conv": separable, "dil_conv": dilated}
    return kinds[name[:8]](channels, int(name[-1]), stride)
