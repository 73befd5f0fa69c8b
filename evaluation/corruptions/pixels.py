"""Convert 8-bit levels to [0, 1] and back as CIFAR-C does, which truncates on the way back.

All arithmetic in between is in float64. Truncation jumps at every integer, and exact integers are common (flat regions,
a weight of 1); what rounding leaves of them depends on the order of summation. A value that misses an integer by less
than ``SLACK`` levels therefore counts as that integer: results do not depend on batch size or device.
"""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

SLACK = 1e-6


def unit(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Levels 0..255 as float64 numbers in [0, 1]."""
    return images.double() / 255


def truncate(values: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Numbers in [0, 1] as levels 0..255; what is outside is clipped, the fraction of a level is dropped.

    Example:
        >>> truncate(torch.tensor([-0.1, 0.999 / 255, 1 / 255, 0.5, 2.0], dtype=torch.float64)).tolist()
        [0, 0, 1, 127, 255]
    """
    return (values.clamp(0, 1) * 255 + SLACK).to(torch.uint8)


def to_levels(images: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Numbers in [0, 1] as the nearest level: the inverse of :func:`unit`."""
    return (images.double() * 255 + 0.5).floor().to(torch.uint8)


def luma(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
    """Gray values, weights .299, .587 and .114 (ITU-R BT.601); images of one channel are gray already."""
    if images.shape[1] == 1:
        return images
    return images[:, :1] * 0.299 + images[:, 1:2] * 0.587 + images[:, 2:] * 0.114


def pick(images: Tensor, rows: Int[Tensor, "n _ _"], columns: Int[Tensor, "n _ _"]) -> Tensor:
    """The pixels at given places, other places for every image, the same for all its channels.

    Args:
        images: ``[n, channels, height, width]``, any type.
        rows: row of the source pixel, ``[n, new height, new width]``; sizes of 1 are repeated.
        columns: column of the source pixel, likewise.
    """
    n, channels, _, width = images.shape
    place = rows * width + columns
    flat = place.view(n, 1, -1).expand(n, channels, -1)
    return images.flatten(2).gather(2, flat).view(n, channels, *place.shape[1:])
