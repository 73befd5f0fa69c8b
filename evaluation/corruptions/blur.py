"""Blur: out of focus, through glass, in motion, zooming.

Source: Hendrycks & Dietterich, 2019, https://arxiv.org/abs/1903.12261, with the constants of its CIFAR-10-C.
"""

import math
from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from evaluation.corruptions.filters import (
    correlate,
    distinct_zooms,
    gaussian_matrix,
    mirror_centres,
    motion_blur_levels,
    separable,
)
from evaluation.corruptions.pixels import pick, truncate, unit
from evaluation.randomness import integers, uniform

DEFOCUS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
"""Radius of the disk and standard deviation of the smoothing of its rim, in pixels."""

GLASS = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))
"""Standard deviation of the smoothing in pixels, and rounds of moving pixels by at most one."""

MOTION = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))
"""Radius and standard deviation in pixels."""

ZOOM_COUNT = (7, 12, 16, 21, 26)
"""Zoom factors 1.00, 1.01, ...: so many of them."""


def defocus_blur(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Spread every pixel over a disk with a smoothed rim; draws nothing."""
    return truncate(correlate(unit(images), disk(*DEFOCUS[severity - 1]), mirror_centres))


@cache
def disk(radius: float, sigma: float) -> Float[Tensor, "k k"]:
    """A disk on the pixel grid, smoothed by a 3x3 Gaussian; sum 1.

    Args:
        radius: pixels whose centres are no farther off belong to the disk.
        sigma: standard deviation of the Gaussian in pixels.
    """
    reach = math.floor(radius) + 1
    place = torch.arange(-reach, reach + 1, dtype=torch.float64)
    inside = (place[:, None] ** 2 + place**2 <= radius**2).double()
    edge = math.exp(-1 / (2 * sigma**2))
    bell = torch.tensor([edge, 1.0, edge], dtype=torch.float64) / (1 + 2 * edge)
    kernel = torch.zeros_like(inside)
    for y in range(3):
        for x in range(3):
            kernel += bell[y] * bell[x] * inside.roll((y - 1, x - 1), (0, 1))
    return kernel / kernel.sum()


def glass_blur(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Smooth, let each pixel take the value of a neighbour above or to the left, smooth again.

    The published code means to swap neighbours in a scan from the bottom right, but its swap copies: the visited pixel
    takes the value of a pixel that the scan has not reached. A round is therefore one simultaneous gather. The first
    two rows and columns stay. Stream ``r`` of a key belongs to round ``r``: first all column steps, then all row steps.
    """
    sigma, rounds = GLASS[severity - 1]
    height, width = images.shape[-2:]
    rows, columns = (gaussian_matrix(size, sigma, 4.0, "nearest") for size in (height, width))
    moved = truncate(separable(unit(images), rows, columns))
    y = torch.arange(height, device=images.device)[:, None]
    x = torch.arange(width, device=images.device)
    free = (y >= 2) & (x >= 2)
    for i in range(rounds):
        step = (integers(keys, (2, height, width), 2, stream=i) - 1) * free
        moved = pick(moved, y + step[:, 1], x + step[:, 0])
    return truncate(separable(unit(moved), rows, columns))


def motion_blur(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Drag the image along a line at an angle uniform in -45..45 degrees; stream 0 of each key."""
    angles = uniform(keys, (1,))[:, 0].double() * 90 - 45
    return motion_blur_levels(images.double(), angles, *MOTION[severity - 1]).to(torch.uint8)


def zoom_blur(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """The mean of the image and its zooms by 1.00, 1.01, ...; draws nothing."""
    count = ZOOM_COUNT[severity - 1]
    total = sharp = unit(images)
    for times, rows, columns in distinct_zooms(zoom_factors(count), images.shape[-2], images.shape[-1]):
        total = total + times * separable(sharp, rows, columns)
    return truncate(total / (count + 1))


def zoom_factors(count: int) -> tuple[float, ...]:
    """1.00, 1.01, ... to the last bit as ``numpy.arange`` counts them: one of them decides where a crop is rounded."""
    step = (1 + 0.01) - 1
    return tuple(1 + i * step for i in range(count))
