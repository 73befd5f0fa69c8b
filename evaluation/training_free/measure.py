"""A measure with the scale at which it is taken."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from agnet.errors import ConfigurationError
from evaluation.data.images import ImageSplits

Function = Callable[[nn.Module, Tensor, Tensor], float]
"""Network, images ``[batch, channels, height, width]`` and labels to a finite number."""


@dataclass(frozen=True)
class Measure:
    """A measure with the network and the images that it is computed on.

    Attributes:
        function: function that computes the measure.
        direction: ``maximize`` or ``minimize``: whether high or low values are good.
        channels: ``C`` of the networks.
        cells_per_stage: ``N`` of the networks.
        num_images: images in a batch.
        noise: null: training images; a number: standard normal noise of one channel and that height and width instead.
        plane: whether the noise lies in a plane through the origin: neighbours come so close that even networks with
            many rectifiers have several inputs in one region.
        random: whether it depends on weights or images, so that repeating it tells something.

    Raises:
        ConfigurationError: if the direction is none or a count is not positive.
    """

    function: Function
    direction: Literal["maximize", "minimize"]
    channels: int
    cells_per_stage: int = 1
    num_images: int = 16
    noise: int | None = None
    plane: bool = False
    random: bool = True

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise ConfigurationError(f"direction={self.direction}; choose one of maximize, minimize")
        if not callable(self.function):
            raise ConfigurationError(f"function={self.function!r}; give a function of a network, images and labels")
        for name in ("channels", "cells_per_stage", "num_images", "noise"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"{name}={value}; a measure needs at least 1")

    def inputs(
        self, splits: ImageSplits, *, seed: int
    ) -> tuple[Float[Tensor, "n channels height width"], Int[Tensor, " n"]]:
        """The batch of a seed: every seed draws anew; noise has the label 0.

        Raises:
            ConfigurationError: if there are not so many training images.
        """
        rng = torch.Generator().manual_seed(seed)
        if self.noise is not None:
            shape = (1, self.noise, self.noise)
            if self.plane:
                axes = torch.randn(2, *shape, generator=rng)
                noise = torch.einsum("na,achw->nchw", torch.randn(self.num_images, 2, generator=rng), axes)
            else:
                noise = torch.randn(self.num_images, *shape, generator=rng)
            return noise, torch.zeros(self.num_images, dtype=torch.int64)
        if self.num_images > len(splits.train):
            raise ConfigurationError(f"num_images={self.num_images}; {splits.name} has {len(splits.train)}: give fewer")
        return splits.train.batch(torch.randperm(len(splits.train), generator=rng)[: self.num_images])
