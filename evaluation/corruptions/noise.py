"""Noise: Gaussian, shot and impulse noise, drawn for every pixel and channel by itself.

Source: Hendrycks & Dietterich, 2019, https://arxiv.org/abs/1903.12261, with the constants of its CIFAR-10-C.
"""

from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from evaluation.corruptions.pixels import truncate, unit
from evaluation.randomness import bits, normal, uniform

GAUSSIAN_STD = (0.04, 0.06, 0.08, 0.09, 0.10)
SHOT_PHOTONS = (500, 250, 100, 75, 50)
IMPULSE_SHARE = (0.01, 0.02, 0.03, 0.05, 0.07)

_FRACTION_BITS = 40


def gaussian_noise(
    images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]
) -> UInt8[Tensor, "n c h w"]:
    """Add normal numbers; stream 0 of each key."""
    noise = normal(keys, images.shape[1:])
    return truncate(unit(images) + noise.double() * GAUSSIAN_STD[severity - 1])


def shot_noise(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Count photons: Poisson numbers whose mean is the pixel times ``SHOT_PHOTONS``; stream 0 of each key."""
    photons = SHOT_PHOTONS[severity - 1]
    counts = poisson(images, photons, fractions(keys, tuple(images.shape[1:])))
    return truncate(counts.double() / photons)


def impulse_noise(images: UInt8[Tensor, "n c h w"], severity: int, keys: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Salt and pepper: a share of the values becomes 0 or 255, half each.

    Stream 0 of a key says where, stream 1 says which.
    """
    shape = images.shape[1:]
    hit = uniform(keys, shape, stream=0) <= IMPULSE_SHARE[severity - 1]
    salt = (uniform(keys, shape, stream=1) <= 0.5).to(torch.uint8) * 255
    return torch.where(hit, salt, images)


def fractions(keys: Int[Tensor, " n"], shape: tuple[int, ...]) -> Float[Tensor, " n *shape"]:
    """Float64 numbers uniform in [0, 1), multiples of 2^-40: the far tail of a Poisson law needs them so fine."""
    word = bits(keys, shape)
    return ((word >> (64 - _FRACTION_BITS)) & ((1 << _FRACTION_BITS) - 1)).double() * 2.0**-_FRACTION_BITS


def poisson(levels: UInt8[Tensor, "*shape"], photons: int, fraction: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Poisson numbers of mean ``levels / 255 * photons`` by inverse transform.

    There are only 256 means. The distribution functions of all stand in one ascending table, that of level ``v`` raised
    by ``v``, so that one binary search serves every pixel.

    Args:
        levels: 8-bit values of the pixels.
        photons: mean count of a white pixel.
        fraction: numbers in [0, 1) of at most 40 bits.
    """
    table = _distributions(photons).to(levels.device)
    place = torch.searchsorted(table.flatten(), levels.double() + fraction, right=True)
    return place - levels.long() * table.shape[1]


@cache
def _distributions(photons: int) -> Float[Tensor, "256 counts"]:
    mean = torch.arange(256, dtype=torch.float64)[:, None] * photons / 255
    count = torch.arange(int(photons + 9 * photons**0.5) + 20, dtype=torch.float64)
    mass = torch.exp(torch.xlogy(count, mean) - mean - torch.lgamma(count + 1))
    table = mass.cumsum(dim=1).clamp(max=1)
    table[:, -1] = 1
    return table + torch.arange(256, dtype=torch.float64)[:, None]
