"""Augment a whole batch on its device; every image has its own draw.

The draws belong to (seed, epoch, image) through :mod:`evaluation.randomness`: they depend neither on the device nor on
the order or size of the batches.
"""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from evaluation.randomness import integers, keys


def augment(
    stored: Float[Tensor, "batch channels height width"] | UInt8[Tensor, "batch channels height width"],
    rows: Int[Tensor, " batch"],
    *,
    flip: bool,
    padding: int,
    seed: int,
    epoch: int,
) -> Float[Tensor, "batch channels height width"] | UInt8[Tensor, "batch channels height width"]:
    """Mirror half of the images, then crop each at a random place of its black frame: NAS-Bench-201's augmentation.

    Args:
        stored: images, as floats or bytes.
        rows: each image's index in its split.
        flip: whether to mirror left and right with probability 1/2.
        padding: width of the black frame in pixels; crops have the images' own size, so 0 is no crop.
        seed: the run's seed.
        epoch: the pass over the images.

    Returns:
        Images in the layout, device and dtype of ``stored``.
    """
    if not flip and not padding:
        return stored
    height, width = stored.shape[-2:]
    key = keys(seed, "augment", rows, torch.full_like(rows, epoch))
    down, right = integers(key, (2,), 2 * padding + 1, stream=0).unbind(1)
    mirrored = integers(key, (), 2, stream=1) * int(flip)
    frame = F.pad(stored, (padding,) * 4)
    across = torch.arange(width, device=rows.device) + right[:, None]
    across = torch.where(mirrored.bool()[:, None], width + 2 * padding - 1 - across, across)
    along = torch.arange(height, device=rows.device) + down[:, None]
    places = (along[:, :, None] * (width + 2 * padding) + across[:, None, :]).flatten(1)
    return frame.flatten(2).gather(2, places[:, None].expand(-1, stored.shape[1], -1)).view_as(stored)
