"""Augment photographs and small images by random numbers that the caller hands in.

Sources: DeVries & Taylor, 2017, https://arxiv.org/abs/1708.04552 (cutout); Szegedy et al., 2015,
https://arxiv.org/abs/1409.4842, section 6 (crops of random area and shape). Strengths as in DARTS' published code.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from PIL import Image, ImageEnhance
from torch import Tensor

from evaluation.randomness import integers, keys

ATTEMPTS = 10
"""Crops that are tried before the largest central one is taken."""

DRAWS = 4 * ATTEMPTS + 9
"""Numbers that :func:`photograph` uses."""


def cutout(
    pixels: Float[Tensor, "batch channels height width"],
    rows: Int[Tensor, " batch"],
    *,
    length: int,
    fill: float | Sequence[float],
    seed: int,
    epoch: int,
) -> Float[Tensor, "batch channels height width"]:
    """Replace a square around a random pixel of every image; what lies outside of the image is lost.

    Args:
        pixels: batch of images.
        rows: each image's index in its split, to which the place belongs.
        length: side of the square, 0 for none.
        fill: value of the hidden pixels, for all channels or each; normalisation makes the mean pixel zero.
        seed: the run's seed.
        epoch: the pass over the images.
    """
    if not length:
        return pixels
    height, width = pixels.shape[-2:]
    key = keys(seed, "cutout", rows, torch.full_like(rows, epoch))
    hidden = torch.ones(len(rows), 1, 1, dtype=torch.bool, device=pixels.device)
    for axis, size in enumerate((height, width)):
        begin = integers(key, (1,), size, stream=axis) - length // 2
        place = torch.arange(size, device=pixels.device)
        inside = (place >= begin) & (place < begin + length)
        hidden = hidden & (inside[:, :, None] if axis == 0 else inside[:, None, :])
    value = torch.as_tensor(fill, dtype=pixels.dtype, device=pixels.device).reshape(-1, 1, 1)
    return torch.where(hidden[:, None], value, pixels)


def photograph(image: Image.Image, size: int, numbers: Sequence[float]) -> Image.Image:
    """A training view of a photograph: a random crop, mirrored or not, with its colours changed.

    Args:
        image: one RGB image.
        size: height and width of the view in pixels.
        numbers: :data:`DRAWS` numbers, uniform in [0, 1).
    """
    crop, flip, colours = numbers[: 4 * ATTEMPTS], numbers[4 * ATTEMPTS], numbers[4 * ATTEMPTS + 1 :]
    view = random_crop(image, size, crop)
    if flip < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return jitter(view, colours)


def random_crop(image: Image.Image, size: int, numbers: Sequence[float]) -> Image.Image:
    """A crop of 8 to 100 % of the area and an aspect ratio of 3/4 to 4/3, resized to a square.

    Args:
        image: image of any size.
        size: side of the square in pixels.
        numbers: four for every attempt, uniform in [0, 1): area, ratio, place down and to the right.
    """
    width, height = image.size
    for area, shape, down, right in zip(*(numbers[i::4] for i in range(4)), strict=True):
        target = width * height * (0.08 + 0.92 * area)
        ratio = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * shape)
        w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(right * (width - w + 1)), int(down * (height - h + 1))
            break
    else:
        w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        left, top = (width - w) // 2, (height - h) // 2
    return image.crop((left, top, left + w, top + h)).resize((size, size), Image.Resampling.BILINEAR)


def jitter(image: Image.Image, numbers: Sequence[float]) -> Image.Image:
    """Change brightness, contrast and saturation by up to 40 % and hue by up to a fifth of the circle, in any order.

    Args:
        image: one RGB image.
        numbers: eight, uniform in [0, 1): what changes how much, then the order.
    """
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for change in sorted(range(4), key=lambda i: numbers[4 + i]):
        if change < 3:
            image = enhancers[change](image).enhance(0.6 + 0.8 * numbers[change])
        else:
            image = _turn_hue(image, round((0.4 * numbers[3] - 0.2) * 256))
    return image


def _turn_hue(image: Image.Image, steps: int) -> Image.Image:
    """Hue turned by 256ths of the circle."""
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + steps) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def centre(image: Image.Image, size: int) -> Image.Image:
    """The view of a photograph that is judged: the middle, after its shorter side became 8/7 of the view's.

    Args:
        image: image of any size.
        size: height and width of the view in pixels: 224 of 256 as usual.
    """
    width, height = image.size
    short = round(size * 8 / 7)
    scale = short / min(width, height)
    w, h = max(short, round(width * scale)), max(short, round(height * scale))
    left, top = (w - size) // 2, (h - size) // 2
    return image.resize((w, h), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
