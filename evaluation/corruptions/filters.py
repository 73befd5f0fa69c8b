"""Linear filters as matrices over rows and columns, and the motion blur of ImageMagick."""

import math
from collections import Counter
from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from evaluation.corruptions.pixels import pick

Fold = Callable[[Int[Tensor, "*shape"], int], Int[Tensor, "*shape"]]
"""Which pixel of a line of so many stands for one beyond its ends."""


def separable(
    images: Float[Tensor, "*batch h w"], rows: Float[Tensor, "rows h"], columns: Float[Tensor, "columns w"]
) -> Float[Tensor, "*batch rows columns"]:
    """Apply one matrix along the height and one along the width."""
    return rows.to(images.device) @ (images @ columns.to(images.device).T)


@cache
def gaussian_matrix(size: int, sigma: float, truncate: float, border: str) -> Float[Tensor, "size size"]:
    """Gaussian smoothing of a line, as scipy's ``gaussian_filter1d`` does it.

    Args:
        size: pixels of the line.
        sigma: standard deviation in pixels; 0 leaves the line as it is.
        truncate: the kernel ends after so many standard deviations, rounded to whole pixels.
        border: ``"nearest"`` repeats the last pixel, ``"reflect"`` mirrors about the edge of the last pixel.
    """
    fold = {"nearest": clamp_index, "reflect": mirror_edges}[border]
    radius = int(truncate * sigma + 0.5)
    offset = torch.arange(-radius, radius + 1)
    weights = torch.ones(1, dtype=torch.float64)
    if radius:
        weights = torch.exp(-0.5 * (offset.double() / sigma) ** 2)
        weights = weights / weights.sum()
    source = fold(torch.arange(size)[:, None] + offset, size)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, source, weights.expand(size, -1).contiguous())


def clamp_index(index: Int[Tensor, "*shape"], size: int) -> Int[Tensor, "*shape"]:
    """Repeat the last pixel beyond the border: a a a | a b c d | d d d."""
    return index.clamp(0, size - 1)


def mirror_edges(index: Int[Tensor, "*shape"], size: int) -> Int[Tensor, "*shape"]:
    """Mirror about the pixels' outer edges: c b a | a b c d | d c b."""
    index = index % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def mirror_centres(index: Int[Tensor, "*shape"], size: int) -> Int[Tensor, "*shape"]:
    """Mirror about the last pixels' centres (OpenCV's reflect 101): d c b | a b c d | c b a."""
    index = index % (2 * size - 2)
    return torch.minimum(index, 2 * size - 2 - index)


def zoom_steps(factor: float, size: int) -> tuple[int, int]:
    """Pixels that a centre zoom crops, and pixels that it stretches them to before it trims the rest."""
    crop = math.ceil(size / factor)
    return crop, round(crop * factor)


def zoom_matrix(size: int, crop: int, stretched: int) -> Float[Tensor, "size size"]:
    """Crop the centre of a line, stretch it linearly (end points on end points), keep the centre.

    Args:
        size: pixels of the line.
        crop: pixels of the centre.
        stretched: pixels they become, at least ``size``.
    """
    position = torch.arange(size, dtype=torch.float64) + (stretched - size) // 2
    position = position * ((crop - 1) / (stretched - 1))
    low = position.floor().long().clamp(max=crop - 1)
    share = position - low
    start = (size - crop) // 2
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, (start + low)[:, None], (1 - share)[:, None])
    return matrix.scatter_add_(1, (start + low + 1).clamp(max=start + crop - 1)[:, None], share[:, None])


def zoom(images: Float[Tensor, "*batch h w"], factor: float) -> Float[Tensor, "*batch h w"]:
    """Zoom into the centre, linear interpolation."""
    height, width = images.shape[-2:]
    return separable(
        images,
        zoom_matrix(height, *zoom_steps(factor, height)),
        zoom_matrix(width, *zoom_steps(factor, width)),
    )


def distinct_zooms(
    factors: tuple[float, ...], height: int, width: int
) -> list[tuple[int, Float[Tensor, "height height"], Float[Tensor, "width width"]]]:
    """Row and column matrices of several zooms with their counts: on small images near factors give the same zoom."""
    steps = Counter((zoom_steps(factor, height), zoom_steps(factor, width)) for factor in factors)
    return [
        (count, zoom_matrix(height, *rows), zoom_matrix(width, *columns)) for (rows, columns), count in steps.items()
    ]


def motion_weights(radius: int, sigma: float) -> Float[Tensor, " taps"]:
    """Weights of the pixels behind a moving one: half a Gaussian bell of ``2 radius + 1`` pixels, sum 1."""
    weights = torch.exp(-(torch.arange(2 * radius + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def motion_offsets(angles: Float[Tensor, " n"], taps: int) -> tuple[Int[Tensor, "n taps"], Int[Tensor, "n taps"]]:
    """Whole-pixel steps along a line.

    Args:
        angles: directions in degrees, clockwise from that of rising columns.
        taps: number of steps.

    Returns:
        Rows and columns relative to the pixel.
    """
    step = torch.arange(taps, dtype=torch.float64, device=angles.device)
    radians = torch.deg2rad(angles.double())[:, None]

    def whole(position: Tensor) -> Tensor:
        return (position - 0.5).ceil().long()

    return whole(step * radians.sin()), whole(step * radians.cos())


def motion_blur_levels(
    levels: Float[Tensor, "n c h w"], angles: Float[Tensor, " n"], radius: int, sigma: float
) -> Float[Tensor, "n c h w"]:
    """ImageMagick's motion blur of 8-bit pixels, rounded to the nearest level; the last pixel repeats at the border.

    Source: ``MotionBlurImage`` in ImageMagick's MagickCore/effect.c (one-sided kernel, whole-pixel offsets).

    Args:
        levels: whole numbers in 0..255.
        angles: directions of the motion; see :func:`motion_offsets`.
        radius: reach of the blur in pixels.
        sigma: standard deviation in pixels.
    """
    height, width = levels.shape[-2:]
    weights = motion_weights(radius, sigma)
    rows, columns = motion_offsets(angles, len(weights))
    y = torch.arange(height, device=levels.device)[:, None]
    x = torch.arange(width, device=levels.device)
    blurred = torch.zeros_like(levels)
    for tap, weight in enumerate(weights.tolist()):
        if weight < 1e-9:  # so light that all of them together move nothing by 1e-5 levels
            break
        source_rows = clamp_index(rows[:, tap, None, None] + y, height)
        source_columns = clamp_index(columns[:, tap, None, None] + x, width)
        blurred.add_(pick(levels, source_rows, source_columns), alpha=weight)
    return (blurred + 0.5).floor()


def correlate(
    images: Float[Tensor, "n c h w"],
    kernel: Float[Tensor, "k k"],
    fold: Fold,
) -> Float[Tensor, "n c h w"]:
    """Slide a small kernel of odd width over every channel.

    Args:
        images: the images to change.
        kernel: its zeros cost nothing.
        fold: rule that finds the pixel in place of one beyond the border, e.g. :func:`mirror_centres`.
    """
    height, width = images.shape[-2:]
    reach = len(kernel) // 2
    device = images.device
    rows = fold(torch.arange(-reach, height + reach, device=device), height)
    columns = fold(torch.arange(-reach, width + reach, device=device), width)
    padded = images[:, :, rows][:, :, :, columns]
    result = torch.zeros_like(images)
    for y, line in enumerate(kernel.tolist()):
        for x, weight in enumerate(line):
            if weight:
                result.add_(padded[:, :, y : y + height, x : x + width], alpha=weight)
    return result
