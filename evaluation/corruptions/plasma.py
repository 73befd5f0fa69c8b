"""Random height maps by the diamond-square algorithm on a torus.

Source: Fournier, Fussell & Carpenter, 1982, "Computer rendering of stochastic models", as CIFAR-C's fog uses it.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from evaluation.randomness import uniform


def plasma(keys: Int[Tensor, " n"], size: int, decay: float) -> Float[Tensor, "n size size"]:
    """Height maps in [0, 1], smallest value 0, greatest 1.

    From a coarse grid to a fine one, the middle of four known points (corners of a square, then of a diamond) becomes
    their mean plus a number uniform in -w^2..w^2; w starts at 100 and is divided by ``decay`` at every level (the
    square is in the published code). Opposite borders are neighbours. At level ``k``, stream 3k of a key belongs to the
    squares, 3k + 1 to the diamonds on grid rows, 3k + 2 to those between them.

    Args:
        keys: one map each.
        size: a power of two, at least 2.
        decay: the greater, the smoother.
    """
    heights = torch.zeros(len(keys), size, size, dtype=torch.float64, device=keys.device)
    step, wobble, level = size, 100.0, 0
    while step >= 2:
        half, points = step // 2, size // step

        def around(total: Tensor, stream: int, points: int = points, wobble: float = wobble) -> Tensor:
            noise = uniform(keys, (points, points), stream=stream).double() * 2 - 1
            return total / 4 + wobble**2 * noise

        corners = heights[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        middles = around(pairs + pairs.roll(-1, 2), 3 * level)
        heights[:, half::step, half::step] = middles
        beside = corners + corners.roll(-1, 2) + middles + middles.roll(1, 1)
        below = pairs + middles + middles.roll(1, 2)
        heights[:, ::step, half::step] = around(beside, 3 * level + 1)
        heights[:, half::step, ::step] = around(below, 3 * level + 2)
        step, wobble, level = half, wobble / decay, level + 1
    heights = heights - heights.amin((1, 2), keepdim=True)
    return heights / heights.amax((1, 2), keepdim=True)


def power_of_two(size: int) -> int:
    """The smallest power of two that is at least ``size``."""
    return 1 << (size - 1).bit_length()
