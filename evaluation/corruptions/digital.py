"""Digital corruptions: contrast, elastic distortion, pixelation and JPEG compression.

Source: Hendrycks & Dietterich, 2019, https://arxiv.org/abs/1903.12261, with the constants of its CIFAR-10-C.
"""

from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from evaluation.corruptions import jpeg
from evaluation.corruptions.filters import Fold, gaussian_matrix, mirror_centres, mirror_edges, separable
from evaluation.corruptions.pixels import pick, truncate, unit
from evaluation.randomness import uniform

CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)

ELASTIC = ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
"""Strength and smoothness of the displacement, jitter of the affine map; in units of the image's shorter side."""

PIXELATE = (0.95, 0.9, 0.85, 0.75, 0.65)

JPEG_QUALITY = (80, 65, 58, 50, 40)

_BOX_BITS = 22


def contrast(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Shrink the distance to the mean of each channel; draws nothing."""
    x = unit(images)
    mean = x.mean((2, 3), keepdim=True)
    return truncate((x - mean) * CONTRAST[severity - 1] + mean)


def elastic_transform(
    images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]
) -> UInt8[Tensor, "n c h w"]:
    """A random affine map, then a smooth random displacement of every pixel.

    Streams 0, 1 and 2 of a key: jitter of the map's three points, displacement along rows, along columns.
    """
    strength, smoothness, jitter = ELASTIC[severity - 1]
    height, width = images.shape[-2:]
    side = min(height, width)
    warped = affine(unit(images), uniform(keys, (3, 2)).double() * 2 - 1, jitter * side)
    rows, columns = (gaussian_matrix(size, smoothness * side, 3.0, "reflect") for size in (height, width))
    x_step, y_step = (
        separable(uniform(keys, (height, width), stream=stream).double() * 2 - 1, rows, columns) * (strength * side)
        for stream in (1, 2)
    )
    y = torch.arange(height, device=images.device)[:, None] + y_step
    x = torch.arange(width, device=images.device) + x_step
    return truncate(interpolate(warped, y, x, mirror_edges))


def affine(images: Float[Tensor, "n c h w"], jitter: Float[Tensor, "n 3 2"], reach: float) -> Float[Tensor, "n c h w"]:
    """The affine map that moves three points about the centre by ``jitter``.

    Source positions are rounded to 1/32 pixel as OpenCV's ``warpAffine`` rounds them (fixed point of 10 bits, then 5).

    Args:
        images: the images; mirrored beyond their border.
        jitter: displacements of the points, column then row, in units of ``reach``.
        reach: length of the unit in pixels.
    """
    height, width = images.shape[-2:]
    device = images.device
    third = min(height, width) // 3
    x, y = width // 2, height // 2
    before = torch.tensor([[x + third, y + third], [x + third, y - third], [x - third, y - third]], device=device)
    before = before.double()
    after = before + jitter * reach
    # the inverse map, from ``after`` to ``before``: columns of both triangles' edge vectors
    edges, sources = after[:, :2] - after[:, 2:], before[:2] - before[2:]
    determinant = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    along_x = torch.stack([edges[:, 1, 1], -edges[:, 0, 1]], 1) / determinant[:, None]
    along_y = torch.stack([-edges[:, 1, 0], edges[:, 0, 0]], 1) / determinant[:, None]
    per_x, per_y = along_x @ sources, along_y @ sources
    origin = before[2] - per_x * after[:, 2, :1] - per_y * after[:, 2, 1:]

    def positions(axis: int) -> Tensor:
        across = (per_x[:, axis, None] * torch.arange(width, device=device) * 1024).round()
        down = ((per_y[:, axis, None] * torch.arange(height, device=device) + origin[:, axis, None]) * 1024).round()
        return torch.floor((across[:, None, :] + down[:, :, None] + 16) / 32) / 32

    return interpolate(images, positions(1), positions(0), mirror_centres)


def interpolate(
    images: Float[Tensor, "n c h w"],
    rows: Float[Tensor, "n new_h new_w"],
    columns: Float[Tensor, "n new_h new_w"],
    fold: Fold,
) -> Float[Tensor, "n c new_h new_w"]:
    """Bilinear values at real positions.

    Args:
        images: the images to change.
        rows: position along the height, counted from the first pixel's centre.
        columns: position along the width.
        fold: rule that finds the pixel in place of one beyond the border, e.g.
            :func:`~evaluation.corruptions.filters.mirror_edges`.
    """
    height, width = images.shape[-2:]
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top)[:, None], (columns - left)[:, None]
    y, x = top.long(), left.long()
    y0, y1, x0, x1 = fold(y, height), fold(y + 1, height), fold(x, width), fold(x + 1, width)
    upper = pick(images, y0, x0) * (1 - right) + pick(images, y0, x1) * right
    lower = pick(images, y1, x0) * (1 - right) + pick(images, y1, x1) * right
    return upper * (1 - down) + lower * down


def pixelate(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Shrink and enlarge with Pillow's box filter, bit for bit; draws nothing."""
    share = PIXELATE[severity - 1]
    height, width = images.shape[-2:]
    small = _resize(images.double(), int(height * share), int(width * share))
    return _resize(small, height, width).to(torch.uint8)


def _resize(levels: Float[Tensor, "n c h w"], height: int, width: int) -> Float[Tensor, "n c new_h new_w"]:
    """Along the rows, then along the columns, rounded to whole levels after each."""
    half = 2.0 ** (_BOX_BITS - 1)
    device = levels.device
    wide = torch.floor((levels @ box_matrix(levels.shape[-1], width).to(device).T + half) * 2.0**-_BOX_BITS)
    return torch.floor((box_matrix(levels.shape[-2], height).to(device) @ wide + half) * 2.0**-_BOX_BITS)


@cache
def box_matrix(size: int, new_size: int) -> Float[Tensor, "new_size size"]:
    """Pillow's box filter in units of 2^-22: a new pixel is the mean of the old pixels whose centres it covers."""
    scale = size / new_size
    stretch = max(scale, 1.0)
    matrix = torch.zeros(new_size, size, dtype=torch.float64)
    for row in range(new_size):
        centre = (row + 0.5) * scale
        low = max(int(centre - stretch / 2 + 0.5), 0)
        high = min(int(centre + stretch / 2 + 0.5), size)
        inside = [i for i in range(low, high) if -0.5 < (i - centre + 0.5) / stretch <= 0.5]
        matrix[row, inside] = int(2**_BOX_BITS / len(inside) + 0.5)
    return matrix


def jpeg_compression(
    images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]
) -> UInt8[Tensor, "n c h w"]:
    """Compress as JPEG and decompress; draws nothing."""
    return jpeg.round_trip(images, JPEG_QUALITY[severity - 1])
