"""Weather: snow, frost, fog and bright light.

Source: Hendrycks & Dietterich, 2019, https://arxiv.org/abs/1903.12261, with the constants of its CIFAR-10-C.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.corruptions.filters import motion_blur_levels, zoom
from evaluation.corruptions.frost_pictures import FrostPictures
from evaluation.corruptions.pixels import SLACK, luma, truncate, unit
from evaluation.corruptions.plasma import plasma, power_of_two
from evaluation.randomness import integers, normal, uniform


@dataclass(frozen=True)
class Snow:
    """Settings of the snow at one severity.

    Attributes:
        mean: mean of the noise that the flakes come from.
        std: standard deviation of that noise.
        zoom: size of the flakes.
        threshold: noise below it is no flake.
        radius: reach of the flakes' motion in pixels.
        sigma: width of the flakes' motion in pixels.
        keep: share of the image that is not whitened.
    """

    mean: float
    std: float
    zoom: float
    threshold: float
    radius: int
    sigma: float
    keep: float


SNOW = (
    Snow(0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
    Snow(0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
    Snow(0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
    Snow(0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
    Snow(0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
)

FROST = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
"""Weights of the image and of the frost."""

FOG = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))
"""Thickness, and decay of the height map."""

BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)


def snow(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Whiten the image and add falling flakes, once as they are and once upside down.

    Stream 0 of a key is the noise, stream 1 the angle of the fall, uniform in -135..-45 degrees.
    """
    setting = SNOW[severity - 1]
    height, width = images.shape[-2:]
    flakes = normal(keys, (1, height, width)).double() * setting.std + setting.mean
    flakes = zoom(flakes, setting.zoom)
    flakes = torch.where(flakes < setting.threshold, 0, flakes).clamp(max=1)
    angles = uniform(keys, (1,), stream=1)[:, 0].double() * 90 - 135
    layer = motion_blur_levels((flakes * 255 + SLACK).floor(), angles, setting.radius, setting.sigma) / 255
    x = unit(images)
    whitened = setting.keep * x + (1 - setting.keep) * torch.maximum(x, luma(x) * 1.5 + 0.5)
    return truncate(whitened + layer + layer.flip((2, 3)))


def frost(
    images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"], pictures: FrostPictures
) -> UInt8[Tensor, "n c h w"]:
    """Lay a piece of one of the frost pictures over each image; over gray images, a gray piece.

    Streams 0, 1 and 2 of a key choose the picture, the first row and the first column of the piece.

    Raises:
        ConfigurationError: if a picture is not larger than the images.
    """
    height, width = images.shape[-2:]
    shapes = [tuple(picture.shape[1:]) for picture in pictures.pictures]
    for rows, columns in shapes:
        if rows <= height or columns <= width:
            raise ConfigurationError(
                f"a frost picture of {rows}x{columns} pixels after shrinking is not larger than images of "
                f"{height}x{width}; give larger pictures or procedural_frost({max(height, width)})"
            )
    device = images.device
    pixels = torch.cat([picture.flatten(1) for picture in pictures.pictures], dim=1).to(device)
    sizes = torch.tensor(shapes, device=device)
    area = sizes.prod(dim=1)
    chosen = integers(keys, (1,), len(shapes))[:, 0]
    rows, columns = sizes[chosen].unbind(1)
    top = integers(keys, (1,), rows - height, stream=1)[:, 0]
    left = integers(keys, (1,), columns - width, stream=2)[:, 0]
    y = (top[:, None] + torch.arange(height, device=device))[:, :, None]
    x = (left[:, None] + torch.arange(width, device=device))[:, None, :]
    place = (area.cumsum(0) - area)[chosen][:, None, None] + y * columns[:, None, None] + x
    ice = pixels[:, place].transpose(0, 1).double()
    if images.shape[1] == 1:
        ice = luma(ice)
    image_weight, frost_weight = FROST[severity - 1]
    return truncate((image_weight * images.double() + frost_weight * ice) / 255)


def fog(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Add a height map to all channels and scale back by what it may add to the brightest pixel.

    The map has the size of CIFAR-C's for images of 32x32, else the next power of two. Streams: see
    :func:`~evaluation.corruptions.plasma.plasma`.
    """
    amount, decay = FOG[severity - 1]
    height, width = images.shape[-2:]
    haze = plasma(keys, power_of_two(max(height, width)), decay)[:, None, :height, :width]
    x = unit(images)
    brightest = x.amax((1, 2, 3), keepdim=True)
    return truncate((x + amount * haze) * brightest / (brightest + amount))


def brightness(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Raise the value of hue, saturation and value; draws nothing.

    With hue and saturation kept, colours are proportional to the value; black, which has neither, becomes gray.
    """
    x = unit(images)
    value = x.amax(1, keepdim=True)
    raised = (value + BRIGHTNESS[severity - 1]).clamp(max=1)
    return truncate(torch.where(value > 0, x * (raised / value), raised))
