"""The NAS-Bench-201 network: one architecture, as the benchmark defines it.

Source: Dong & Yang, 2020, https://arxiv.org/abs/2001.00326, section 2.1: stem, three stages of ``N`` cells with ``C``,
``2C``, ``4C`` channels, a residual reduction block between stages, and a pooled linear classifier. Deviation: the
normalisation of the pixels is part of the network, so that attacks measure eps in pixels.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from agnet.spaces.nasbench201 import EDGES, parse
from evaluation.networks.cost import macs_of, parameters_of

KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True)
class NetworkShape:
    """Everything about a network but its cell.

    Attributes:
        num_classes: outputs of the classifier.
        in_channels: channels of the images.
        channels: ``C``, channels of the stem and of the first stage.
        cells_per_stage: cells per stage, ``N``.
        mean: pixel mean subtracted inside the network, one for all channels or one for each.
        std: pixel standard deviation divided by inside the network, likewise.

    Raises:
        ConfigurationError: if a count is not positive, or the means or deviations are neither one nor ``in_channels``.
    """

    num_classes: int = 10
    in_channels: int = 3
    channels: int = 16
    cells_per_stage: int = 5
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        for name in ("num_classes", "in_channels", "channels", "cells_per_stage"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name}={getattr(self, name)}; a network needs at least 1")
        check_normalization(self.mean, self.std, self.in_channels)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Channels of the three stages."""
        return self.channels, 2 * self.channels, 4 * self.channels


def check_normalization(mean: float | tuple[float, ...], std: float | tuple[float, ...], in_channels: int) -> None:
    """Refuse a normalisation of pixels that does not suit the number of channels.

    Raises:
        ConfigurationError: naming the setting that is out of range.
    """
    for name, value in (("mean", mean), ("std", std)):
        if isinstance(value, tuple) and len(value) != in_channels:
            raise ConfigurationError(f"{name}={value}: give one number, or one for each of {in_channels} channels")


def normalize(
    x: Float[Tensor, "*batch channels height width"], shape: NetworkShape
) -> Float[Tensor, "*batch channels height width"]:
    """Subtract the shape's mean and divide by its standard deviation."""
    return (x - _constant(shape.mean, x.dtype, x.device)) / _constant(shape.std, x.dtype, x.device)


@lru_cache
def _constant(
    value: float | tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> float | Float[Tensor, "channels 1 1"]:
    """A number as it is, one per channel as a tensor that is copied to its device once."""
    if not isinstance(value, tuple):
        return value
    with torch.inference_mode(False):  # the first caller's mode must not decide what later callers may differentiate
        return torch.tensor(value, dtype=dtype, device=device)[:, None, None]


def reaches_output(operations: tuple[str, ...], node: int) -> bool:
    """Whether a cell node feeds the output node through non-zero operations."""
    if node == 3:
        return True
    return any(
        operations[edge] != "none" and reaches_output(operations, target)
        for edge, (source, target) in enumerate(EDGES)
        if source == node
    )


def edges_to_output(operations: tuple[str, ...]) -> list[tuple[int, int, int]]:
    """Edges that can reach a cell's output: position in the string, source, target; in the string's order."""
    return [
        (edge, source, target)
        for edge, (source, target) in enumerate(EDGES)
        if operations[edge] != "none" and reaches_output(operations, target)
    ]


class ReLUConvNorm(nn.Sequential):
    """ReLU, convolution without bias, batch normalisation."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
        )


class NASBench201Cell(nn.Module):
    """Four nodes; node ``j`` is the sum over ``i < j`` of the operation on edge ``(i, j)`` of node ``i``."""

    def __init__(self, operations: tuple[str, ...], channels: int) -> None:
        super().__init__()
        self.operations, self.channels = operations, channels
        self.edges = nn.ModuleList(
            ReLUConvNorm(channels, channels, KERNELS[op]) if op in KERNELS else nn.Identity() for op in operations
        )

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Output of the cell's last node."""
        nodes = [x] + [torch.zeros_like(x) for _ in range(3)]
        for (source, target), op, module in zip(EDGES, self.operations, self.edges, strict=True):
            if op == "none":
                continue
            value = nodes[source]
            if op == "avg_pool_3x3":
                value = F.avg_pool2d(value, 3, stride=1, padding=1, count_include_pad=False)
            nodes[target] = nodes[target] + module(value)
        return nodes[3]


class Reduction(nn.Module):
    """Residual block that halves the resolution and doubles the channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvNorm(c_in, c_out, 3, stride=2)
        self.conv_b = ReLUConvNorm(c_out, c_out, 3)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "batch c_in height width"]
    ) -> Float[Tensor, "batch c_out half_height half_width"]:
        """Half-resolution features."""
        return self.shortcut(F.avg_pool2d(x, 2)) + self.conv_b(self.conv_a(x))


class CellNetwork(nn.Module):
    """A classifier built from one NAS-Bench-201 cell.

    Args:
        architecture: the cell's string.
        shape: widths, depth and classes; the default is the benchmark's CIFAR-10 network.
    """

    def __init__(self, architecture: str, shape: NetworkShape = NetworkShape()) -> None:
        super().__init__()
        operations = parse(architecture)
        self.architecture, self.shape = architecture, shape
        c0, c1, c2 = shape.widths
        self.stem = nn.Sequential(nn.Conv2d(shape.in_channels, c0, 3, padding=1, bias=False), nn.BatchNorm2d(c0))

        def stage(channels: int) -> nn.ModuleList:
            return nn.ModuleList(NASBench201Cell(operations, channels) for _ in range(shape.cells_per_stage))

        self.stages = nn.ModuleList([stage(c0), stage(c1), stage(c2)])
        self.reductions = nn.ModuleList([Reduction(c0, c1), Reduction(c1, c2)])
        self.norm = nn.BatchNorm2d(c2)
        self.classifier = nn.Linear(c2, shape.num_classes)

    def __repr__(self) -> str:
        shape = self.shape
        sizes = f"{shape.channels} channels, {shape.cells_per_stage} cells per stage, {shape.num_classes} classes"
        return f"CellNetwork({self.architecture}, {sizes})"

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of images with pixels in [0, 1]."""
        x = self.stem(normalize(x, self.shape))
        for index, stage in enumerate(self.stages):
            for cell in stage:  # pyright: ignore[reportGeneralTypeIssues]
                x = cell(x)
            if index < 2:
                x = self.reductions[index](x)
        return self.classifier(F.relu(self.norm(x)).mean(dim=(2, 3)))


def count_parameters(architecture: str, shape: NetworkShape) -> int:
    """Trainable parameters, dead edges included, as the benchmark counts them.

    Example:
        >>> count_parameters("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", NetworkShape())
        73306
    """
    with torch.device("meta"):
        return parameters_of(CellNetwork(architecture, shape))


def count_macs(architecture: str, shape: NetworkShape, image_size: int) -> int:
    """Multiply-accumulates of the convolutions and the classifier (with its biases) for one image.

    Pools and normalisations are not counted, as in the benchmark, which prints this number as FLOPs.

    Args:
        architecture: the cell's string.
        shape: the network's shape.
        image_size: height and width of the images in pixels.
    """
    return macs_of(lambda: CellNetwork(architecture, shape), in_channels=shape.in_channels, image_size=image_size)
