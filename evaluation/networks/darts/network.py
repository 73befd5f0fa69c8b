"""The final network of a pair of DARTS cells, for small images (CIFAR) and for large ones (ImageNet, mobile setting).

Source: Liu et al., 2019, https://arxiv.org/abs/1806.09055, and its published code. Reduction cells stand at one third
and two thirds of the depth, where the width doubles; an auxiliary head reads the output of the second one while the
network is trained. Deviations: the normalisation of the pixels is part of the network, so that attacks measure eps in
pixels; the last pool and the auxiliary head's take any resolution, and at the published ones do the same.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from agnet.spaces.darts.notation import parse
from evaluation.networks.cost import macs_of, parameters_of
from evaluation.networks.darts.cell import EDGES, DARTSCell
from evaluation.networks.nasbench201 import NetworkShape, check_normalization
from evaluation.randomness import uniform

STEMS = ("cifar", "imagenet")


@dataclass(frozen=True)
class DARTSShape:
    """Everything about a network but its cells.

    Attributes:
        num_classes: outputs of the classifier.
        channels: channels of the first cells' nodes; 36 in the paper for CIFAR-10, 48 for ImageNet.
        cells: depth; 20 for CIFAR-10, 14 for ImageNet.
        stem: ``cifar``, which keeps the resolution, or ``imagenet``, which divides it by eight.
        auxiliary: whether there is an auxiliary head for training.
        in_channels: channels of the images.
        mean: pixel mean subtracted inside the network, one for all channels or one for each.
        std: pixel standard deviation divided by inside the network, likewise.

    Raises:
        ConfigurationError: if a value is outside its range.
    """

    num_classes: int = 10
    channels: int = 36
    cells: int = 20
    stem: str = "cifar"
    auxiliary: bool = True
    in_channels: int = 3
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        for name, least in (("num_classes", 1), ("channels", 1), ("cells", 3), ("in_channels", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name}={getattr(self, name)}; a network needs at least {least}")
        if self.stem not in STEMS:
            raise ConfigurationError(f"stem={self.stem}; give {' or '.join(STEMS)}")
        if self.stem == "imagenet" and self.channels % 2:
            raise ConfigurationError(
                f"channels={self.channels}; stem=imagenet begins with half of them: give an even number"
            )
        check_normalization(self.mean, self.std, self.in_channels)

    @property
    def reductions(self) -> tuple[int, int]:
        """Positions of the two reduction cells."""
        return self.cells // 3, 2 * self.cells // 3


class Logits(NamedTuple):
    """Output of a network with an auxiliary head in training mode.

    Attributes:
        logits: logits of the classifier.
        auxiliary: logits of the auxiliary head.
    """

    logits: Float[Tensor, "batch classes"]
    auxiliary: Float[Tensor, "batch classes"]


class AuxiliaryHead(nn.Module):
    """A second classifier, at two thirds of the depth.

    Args:
        channels: channels of the input.
        num_classes: number of outputs.
        normalize: whether the last convolution is normalised: not in the published ImageNet network, by an oversight
            that its authors kept since their results were obtained with it.
    """

    def __init__(self, channels: int, num_classes: int, *, normalize: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768) if normalize else nn.Identity(),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of features, which are averaged to 2x2: over 5x5 where there are 7x7 or 8x8, as published."""
        x, size = F.relu(x), x.shape[-1]
        x = F.avg_pool2d(x, 5, stride=size - 5) if size in (7, 8) else F.adaptive_avg_pool2d(x, 2)
        return self.classifier(self.features(x).flatten(1))


def _stems(shape: DARTSShape) -> tuple[nn.Module, nn.Module, tuple[int, int]]:
    """What makes the first cell's two inputs, the second from the first, and their channels."""

    def halving(c_in: int, c_out: int) -> list[nn.Module]:
        return [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(c_out)]

    c = shape.channels
    if shape.stem == "cifar":
        wide = 3 * c
        first = nn.Sequential(nn.Conv2d(shape.in_channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide))
        return first, nn.Identity(), (wide, wide)
    first = nn.Sequential(*halving(shape.in_channels, c // 2), nn.ReLU(), *halving(c // 2, c))
    return first, nn.Sequential(nn.ReLU(), *halving(c, c)), (c, c)


class DARTSNetwork(nn.Module):
    """A classifier built from a pair of DARTS cells.

    Args:
        architecture: the pair's string in the space.
        shape: widths, depth and classes; the default is the paper's CIFAR-10 network.

    Attributes:
        drop_path: probability with which the path through an operation is dropped for an image, in training mode;
            whoever trains sets it.

    Raises:
        InvalidArchitecture: if the string is no pair of cells.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: str, shape: DARTSShape = DARTSShape()) -> None:
        super().__init__()
        genes = parse(architecture)
        self.shape, self.drop_path = shape, 0.0
        for name in ("mean", "std"):
            value = torch.tensor(getattr(shape, name), dtype=torch.float32).reshape(-1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        self.stem0, self.stem1, (before, last) = _stems(shape)
        channels, self.cells = shape.channels, nn.ModuleList()
        after_reduction = shape.stem == "imagenet"
        for position in range(shape.cells):
            reduces = position in shape.reductions
            channels *= 2 if reduces else 1
            cell = DARTSCell(
                genes["reduce" if reduces else "normal"],
                before,
                last,
                channels,
                reduces=reduces,
                after_reduction=after_reduction,
            )
            self.cells.append(cell)
            after_reduction, before, last = reduces, last, 4 * channels
            if position == shape.reductions[1] and shape.auxiliary:
                self.auxiliary = AuxiliaryHead(last, shape.num_classes, normalize=shape.stem == "cifar")
        self.classifier = nn.Linear(last, shape.num_classes)

    def __repr__(self) -> str:
        return f"DARTSNetwork({self.shape})"

    def forward(
        self, x: Float[Tensor, "batch channels height width"], keys: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch classes"] | Logits:
        """Logits of images with pixels in [0, 1]; in training mode with an auxiliary head, of both classifiers.

        Args:
            x: images with pixels in [0, 1].
            keys: one key per image (:func:`evaluation.randomness.keys`), to which its dropped paths belong; without
                keys they are drawn from torch's own generator.
        """
        kept = self._kept(x, keys) if self.training and self.drop_path > 0 else None
        before = self.stem0((x - self.mean) / self.std)
        last, auxiliary = self.stem1(before), None
        for position, cell in enumerate(self.cells):
            before, last = last, cell(before, last, None if kept is None else kept[:, position])
            if self.training and self.shape.auxiliary and position == self.shape.reductions[1]:
                auxiliary = self.auxiliary(last)
        logits = self.classifier(last.mean(dim=(2, 3)))
        return logits if auxiliary is None else Logits(logits, auxiliary)

    def _kept(
        self, x: Float[Tensor, "batch channels height width"], keys: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch cells edges"]:
        """Factors of paths: 0, or what keeps the mean."""
        size = (len(self.cells), EDGES)
        drawn = torch.rand(len(x), *size, device=x.device) if keys is None else uniform(keys, size)
        return (drawn >= self.drop_path).float() / (1 - self.drop_path)


def staged_network(architecture: str, shape: NetworkShape) -> DARTSNetwork:
    """The network of a pair of cells at a scale that is told as NAS-Bench-201's: three stages of ``N`` normal cells, a
    reduction cell after the first and after the second, no auxiliary head.

    Raises:
        InvalidArchitecture: if the string is no pair of cells.
    """
    return DARTSNetwork(
        architecture,
        DARTSShape(
            num_classes=shape.num_classes,
            channels=shape.channels,
            cells=3 * shape.cells_per_stage + 2,
            auxiliary=False,
            in_channels=shape.in_channels,
            mean=shape.mean,
            std=shape.std,
        ),
    )


def count_parameters(architecture: str, shape: DARTSShape) -> int:
    """Trainable parameters without the auxiliary head, as papers count them."""
    with torch.device("meta"):
        return parameters_of(DARTSNetwork(architecture, shape), without="auxiliary")


def count_macs(architecture: str, shape: DARTSShape, image_size: int, *, elementwise: bool = False) -> int:
    """Multiply-accumulates for one image; see :func:`evaluation.networks.cost.macs_of`."""
    return macs_of(
        lambda: DARTSNetwork(architecture, shape),
        in_channels=shape.in_channels,
        image_size=image_size,
        elementwise=elementwise,
    )
