"""Counter-based random numbers: each belongs to an item and is equal in every batch and on every device.

A *key* is one 64-bit integer per item (an image under an attack at a radius, say). The numbers drawn from a key depend
on the key, the stream and the position alone, so results cannot depend on batch size, order, shards or devices.

Source of the mixing function: Steele, Lea & Flood, 2014, "Fast splittable pseudorandom number generators"
(SplitMix64's finaliser).
"""

import hashlib
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


def _signed(x: int) -> int:
    """A 64-bit pattern as torch's int64 holds it."""
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser: every input bit moves every output bit; wraps modulo 2^64."""
    x = (x ^ _logical_shift(x, 30)) * _FIRST
    x = (x ^ _logical_shift(x, 27)) * _SECOND
    return x ^ _logical_shift(x, 31)


def _logical_shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def keys(seed: int, name: str, *items: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """One key per item.

    Args:
        seed: the run's seed.
        name: name of the attack or corruption that draws.
        items: numbers that each key belongs to, e.g. the images' indices in their data set and the radii's codes.

    Example:
        >>> a = keys(0, "pgd", torch.arange(4))
        >>> bool((keys(0, "pgd", torch.tensor([2])) == a[2]).all())
        True
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    key = torch.full_like(items[0], _signed(int.from_bytes(digest[:8], "little")), dtype=torch.int64)
    for item in items:
        key = _mix((key ^ item) + _GOLDEN)
    return key


def code(value: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """A number's bit pattern, for keys that belong to a radius."""
    return value.double().contiguous().view(torch.int64)


def bits(
    keys: Int[Tensor, " n"], shape: Sequence[int], *, stream: int | Int[Tensor, " n"] = 0
) -> Int[Tensor, " n *shape"]:
    """64 random bits for every key and position.

    Args:
        keys: one key per item; see :func:`keys`.
        shape: shape drawn for each key.
        stream: separates draws from one key, e.g. the iteration, one for all or one per key.
    """
    base = _mix(keys + (torch.as_tensor(stream, device=keys.device) + 1) * _GOLDEN)
    position = torch.arange(math.prod(shape), device=keys.device) * _GOLDEN
    return _mix(base[:, None] + position).view(len(keys), *shape)


def uniform(
    keys: Int[Tensor, " n"], shape: Sequence[int], *, stream: int | Int[Tensor, " n"] = 0
) -> Float[Tensor, " n *shape"]:
    """Float32 numbers uniform in [0, 1), multiples of 2^-24; see :func:`bits`."""
    return _logical_shift(bits(keys, shape, stream=stream), 40).float() * 2.0**-24


def integers(
    keys: Int[Tensor, " n"], shape: Sequence[int], high: int | Int[Tensor, " n"], *, stream: int | Int[Tensor, " n"] = 0
) -> Int[Tensor, " n *shape"]:
    """Integers uniform in ``0..high - 1`` (``high`` up to 2^24; one for all keys or one per key); see :func:`bits`."""
    high = torch.as_tensor(high, device=keys.device)
    high = high if high.ndim == 0 else high.view(-1, *[1] * len(shape))
    return _logical_shift(bits(keys, shape, stream=stream), 32) % high


def signs(
    keys: Int[Tensor, " n"], shape: Sequence[int], *, stream: int | Int[Tensor, " n"] = 0
) -> Float[Tensor, " n *shape"]:
    """-1 or 1 with equal chance; see :func:`bits`."""
    return (bits(keys, shape, stream=stream) < 0).float() * 2 - 1


def normal(
    keys: Int[Tensor, " n"], shape: Sequence[int], *, stream: int | Int[Tensor, " n"] = 0
) -> Float[Tensor, " n *shape"]:
    """Standard normal float32 numbers by Box and Muller's transform; see :func:`bits`."""
    word = bits(keys, shape, stream=stream)
    radius = torch.sqrt(-2 * torch.log((_logical_shift(word, 40).float() + 0.5) * 2.0**-24))
    angle = (word & 0xFFFFFF).float() * (2 * math.pi * 2.0**-24)
    return radius * torch.cos(angle)
