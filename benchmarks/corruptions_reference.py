"""The fifteen corruptions, one image at a time, in plain numpy, scipy and Pillow.

They share only the constants and the draws with ``evaluation.corruptions``. The tests compare both implementations, and
``benchmarks/corruptions.py`` times both. Images are ``[height, width, 3]`` arrays of 8-bit levels.
"""

import colorsys
import io
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from scipy import ndimage, stats

from evaluation.corruptions import FrostPictures
from evaluation.corruptions.noise import fractions
from evaluation.randomness import integers, keys, normal, uniform

Array = np.ndarray

# A value short of a whole level by less than this counts as that level, as in evaluation.corruptions.
SLACK = 1e-6


class Draws(Protocol):
    """A source of random numbers; its streams are those of ``evaluation.corruptions``."""

    def normal(self, shape: tuple[int, ...], stream: int = 0) -> Array:
        """Standard normal numbers."""
        ...

    def uniform(self, shape: tuple[int, ...], stream: int = 0) -> Array:
        """Numbers in [0, 1)."""
        ...

    def integers(self, shape: tuple[int, ...], high: int, stream: int = 0) -> Array:
        """Whole numbers below ``high``."""
        ...

    def poisson(self, mean: Array) -> Array:
        """Poisson numbers, drawn channel by channel."""
        ...


class KeyedDraws:
    """Draws of one image of a data set."""

    def __init__(self, seed: int, name: str, severity: int, index: int) -> None:
        self.key = keys(seed, name, torch.tensor([severity]), torch.tensor([index]))

    def normal(self, shape: tuple[int, ...], stream: int = 0) -> Array:
        """Standard normal numbers; see :class:`Draws`."""
        return normal(self.key, shape, stream=stream)[0].numpy().astype(np.float64)

    def uniform(self, shape: tuple[int, ...], stream: int = 0) -> Array:
        """Numbers in [0, 1); see :class:`Draws`."""
        return uniform(self.key, shape, stream=stream)[0].numpy().astype(np.float64)

    def integers(self, shape: tuple[int, ...], high: int, stream: int = 0) -> Array:
        """Whole numbers below ``high``; see :class:`Draws`."""
        return integers(self.key, shape, high, stream=stream)[0].numpy()

    def poisson(self, mean: Array) -> Array:
        """Poisson numbers; see :class:`Draws`."""
        fraction = fractions(self.key, (mean.shape[2], *mean.shape[:2]))[0].numpy().transpose(1, 2, 0)
        return np.maximum(stats.poisson.ppf(fraction, mean), 0)


class NumpyDraws:
    """Draws of numpy's own generator, for a fair comparison of times."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def normal(self, shape: tuple[int, ...], stream: int = 0) -> Array:
        """Standard normal numbers; see :class:`Draws`."""
        return self.generator.normal(size=shape)

    def uniform(self, shape: tuple[int, ...], stream: int = 0) -> Array:
        """Numbers in [0, 1); see :class:`Draws`."""
        return self.generator.uniform(size=shape)

    def integers(self, shape: tuple[int, ...], high: int, stream: int = 0) -> Array:
        """Whole numbers below ``high``; see :class:`Draws`."""
        return self.generator.integers(high, size=shape)

    def poisson(self, mean: Array) -> Array:
        """Poisson numbers; see :class:`Draws`."""
        return self.generator.poisson(mean)


def bytes_of(values: Array) -> Array:
    """Numbers in [0, 1] as levels, which are truncated."""
    return (np.clip(values, 0, 1) * 255 + SLACK).astype(np.uint8)


def channels_last(array: Array) -> Array:
    """Move channels last, since draws are made channel by channel."""
    return array.transpose(1, 2, 0)


def gaussian_noise(image: Array, severity: int, draws: Draws) -> Array:
    """Normal noise."""
    std = [0.04, 0.06, 0.08, 0.09, 0.10][severity - 1]
    height, width, channels = image.shape
    return bytes_of(image / 255.0 + std * channels_last(draws.normal((channels, height, width))))


def shot_noise(image: Array, severity: int, draws: Draws) -> Array:
    """Poisson noise."""
    photons = [500, 250, 100, 75, 50][severity - 1]
    return bytes_of(draws.poisson(image.astype(np.float64) * photons / 255) / photons)


def impulse_noise(image: Array, severity: int, draws: Draws) -> Array:
    """Salt and pepper."""
    amount = [0.01, 0.02, 0.03, 0.05, 0.07][severity - 1]
    height, width, channels = image.shape
    hit = channels_last(draws.uniform((channels, height, width), 0)) <= amount
    salt = channels_last(draws.uniform((channels, height, width), 1)) <= 0.5
    result = image.copy()
    result[hit & salt] = 255
    result[hit & ~salt] = 0
    return result


def defocus_kernel(radius: float, sigma: float) -> Array:
    """A disk on a 17x17 grid, smoothed over 3x3."""
    grid = np.arange(-8, 9)
    disk = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(np.float64)
    bell = np.exp(-0.5 * (np.arange(-1, 2) / sigma) ** 2)
    bell /= bell.sum()
    return ndimage.correlate(disk / disk.sum(), np.outer(bell, bell), mode="mirror")


def defocus_blur(image: Array, severity: int, draws: Draws) -> Array:
    """Disk blur."""
    kernel = defocus_kernel(*[(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][severity - 1])
    planes = [ndimage.correlate(image[..., c] / 255.0, kernel, mode="mirror") for c in range(image.shape[2])]
    return bytes_of(np.stack(planes, axis=2))


def glass_blur(image: Array, severity: int, draws: Draws) -> Array:
    """The published loops, with their aliased swap."""
    sigma, rounds = [(0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2)][severity - 1]
    height, width, _ = image.shape
    moved = bytes_of(ndimage.gaussian_filter(image / 255.0, (sigma, sigma, 0), mode="nearest", truncate=4))
    for i in range(rounds):
        steps = draws.integers((2, height, width), 2, i) - 1
        for y in range(height - 1, 1, -1):
            for x in range(width - 1, 1, -1):
                there = y + steps[1, y, x], x + steps[0, y, x]
                moved[y, x], moved[there] = moved[there], moved[y, x]
    return bytes_of(ndimage.gaussian_filter(moved / 255.0, (sigma, sigma, 0), mode="nearest", truncate=4))


def move(levels: Array, radius: int, sigma: float, angle: float) -> Array:
    """ImageMagick's motion blur of an array of levels, by loops over taps; angle in degrees."""
    height, width = levels.shape[:2]
    taps = range(2 * radius + 1)
    weights = np.array([math.exp(-i * i / (2 * sigma * sigma)) for i in taps])
    weights /= weights.sum()
    total = np.zeros(levels.shape)
    reach = 2 * radius
    padded = np.pad(levels, [(reach, reach), (reach, reach)] + [(0, 0)] * (levels.ndim - 2), mode="edge")
    for i in taps:
        x = math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        y = math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        total += weights[i] * padded[reach + y : reach + y + height, reach + x : reach + x + width]
    return np.floor(total + 0.5)


def motion_blur(image: Array, severity: int, draws: Draws) -> Array:
    """Motion blur."""
    radius, sigma = [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)][severity - 1]
    angle = draws.uniform((1,)).item() * 90 - 45
    return move(image, radius, sigma, angle).astype(np.uint8)


def clipped_zoom(image: Array, factor: float) -> Array:
    """Crop the centre and zoom it with scipy."""
    sizes = image.shape[:2]
    crops = [math.ceil(size / factor) for size in sizes]
    starts = [(size - crop) // 2 for size, crop in zip(sizes, crops, strict=True)]
    centre = image[starts[0] : starts[0] + crops[0], starts[1] : starts[1] + crops[1]]
    large = np.asarray(ndimage.zoom(centre, (factor, factor, 1), order=1))
    trims = [(large.shape[i] - sizes[i]) // 2 for i in range(2)]
    return large[trims[0] : trims[0] + sizes[0], trims[1] : trims[1] + sizes[1]]


def zoom_blur(image: Array, severity: int, draws: Draws) -> Array:
    """Mean of zooms."""
    factors = np.arange(1, [1.06, 1.11, 1.16, 1.21, 1.26][severity - 1], 0.01)
    x = image / 255.0
    return bytes_of(np.mean([x, *(clipped_zoom(x, factor) for factor in factors)], axis=0))


def snow(image: Array, severity: int, draws: Draws) -> Array:
    """Flakes and whitening."""
    mean, std, zoom, threshold, radius, sigma, keep = [
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ][severity - 1]
    layer = clipped_zoom(mean + std * channels_last(draws.normal((1, *image.shape[:2]))), zoom)[..., 0]
    layer[layer < threshold] = 0
    angle = draws.uniform((1,), 1).item() * 90 - 135
    layer = move(bytes_of(layer), radius, sigma, angle)[..., None] / 255
    x = image / 255.0
    gray = (x @ np.array([0.299, 0.587, 0.114]))[..., None]
    x = keep * x + (1 - keep) * np.maximum(x, gray * 1.5 + 0.5)
    return bytes_of(x + layer + np.rot90(layer, 2))


def frost(image: Array, severity: int, draws: Draws, pictures: FrostPictures) -> Array:
    """A piece of a picture."""
    image_weight, frost_weight = [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)][severity - 1]
    height, width, _ = image.shape
    picture = pictures.pictures[draws.integers((1,), 5, 0).item()].permute(1, 2, 0).numpy()
    top = draws.integers((1,), picture.shape[0] - height, 1).item()
    left = draws.integers((1,), picture.shape[1] - width, 2).item()
    piece = picture[top : top + height, left : left + width]
    return bytes_of((image_weight * image.astype(np.float64) + frost_weight * piece) / 255)


def diamond_square(size: int, decay: float, draws: Draws) -> Array:
    """Diamond-square point by point: a midpoint is the mean of its four known neighbours on the torus plus noise."""
    heights = np.zeros((size, size))
    step, wobble, level = size, 100.0, 0
    while step >= 2:
        half, points = step // 2, size // step
        squares, on_rows, between = (
            wobble**2 * (2 * draws.uniform((points, points), 3 * level + s) - 1) for s in range(3)
        )

        def mean(places: list[tuple[int, int]]) -> float:
            return sum(heights[y % size, x % size] for y, x in places) / 4

        for i in range(points):
            for j in range(points):
                y, x = i * step, j * step
                corners = [(y, x), (y + step, x), (y, x + step), (y + step, x + step)]
                heights[y + half, x + half] = mean(corners) + squares[i, j]
        for i in range(points):
            for j in range(points):
                y, x = i * step, j * step + half
                heights[y, x] = mean([(y, x - half), (y, x + half), (y - half, x), (y + half, x)]) + on_rows[i, j]
        for i in range(points):
            for j in range(points):
                y, x = i * step + half, j * step
                heights[y, x] = mean([(y, x - half), (y, x + half), (y - half, x), (y + half, x)]) + between[i, j]
        step, wobble, level = half, wobble / decay, level + 1
    heights -= heights.min()
    return heights / heights.max()


def fog(image: Array, severity: int, draws: Draws) -> Array:
    """Plasma noise."""
    amount, decay = [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)][severity - 1]
    height, width, _ = image.shape
    size = 2 ** math.ceil(math.log2(max(height, width)))
    x = image / 255.0
    brightest = x.max()
    haze = diamond_square(size, decay, draws)[:height, :width, None]
    return bytes_of((x + amount * haze) * brightest / (brightest + amount))


def brightness(image: Array, severity: int, draws: Draws) -> Array:
    """Brighten pixel by pixel in hue, saturation, value."""
    raise_by = [0.05, 0.1, 0.15, 0.2, 0.3][severity - 1]
    result = np.empty(image.shape)
    for y, x in np.ndindex(*image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[y, x] / 255.0).tolist())
        result[y, x] = colorsys.hsv_to_rgb(hue, saturation, min(value + raise_by, 1.0))
    return bytes_of(result)


def contrast(image: Array, severity: int, draws: Draws) -> Array:
    """Shrink contrast about the channel means."""
    factor = [0.75, 0.5, 0.4, 0.3, 0.15][severity - 1]
    x = image / 255.0
    mean = x.mean(axis=(0, 1), keepdims=True)
    return bytes_of((x - mean) * factor + mean)


def elastic_transform(image: Array, severity: int, draws: Draws) -> Array:
    """Affine map and displacement, both by scipy."""
    height, width, channels = image.shape
    side = min(height, width)
    alpha, sigma, jitter = [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)][
        severity - 1
    ]
    centre, third = np.array([width // 2, height // 2]), side // 3
    before = np.array([centre + third, [centre[0] + third, centre[1] - third], centre - third], dtype=np.float64)
    after = before + jitter * side * (2 * draws.uniform((3, 2), 0) - 1)
    backwards = np.linalg.solve(np.column_stack([after, np.ones(3)]), before).T
    y, x = np.mgrid[:height, :width].astype(np.float64)
    columns, rows = (fixed_point(row, x, y) for row in backwards)
    warped = [
        ndimage.map_coordinates(image[..., c] / 255.0, [rows, columns], order=1, mode="mirror") for c in range(channels)
    ]
    x_step, y_step = (
        ndimage.gaussian_filter(
            2 * draws.uniform((height, width), stream) - 1, sigma * side, mode="reflect", truncate=3
        )
        * (alpha * side)
        for stream in (1, 2)
    )
    places = [y + y_step, x + x_step]
    return bytes_of(np.stack([ndimage.map_coordinates(w, places, order=1, mode="reflect") for w in warped], axis=2))


def fixed_point(row: Array, x: Array, y: Array) -> Array:
    """OpenCV's source positions of an affine map: 10 binary places while adding, 5 in the end."""
    total = np.rint(row[0] * x * 1024) + np.rint((row[1] * y + row[2]) * 1024)
    return (total.astype(np.int64) + 16 >> 5) / 32


def pixelate(image: Array, severity: int, draws: Draws) -> Array:
    """Pillow's resize."""
    share = [0.95, 0.9, 0.85, 0.75, 0.65][severity - 1]
    height, width, _ = image.shape
    small = Image.fromarray(image).resize((int(width * share), int(height * share)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BOX))


def jpeg_compression(image: Array, severity: int, draws: Draws) -> Array:
    """Pillow's JPEG encoder, i.e. libjpeg."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=[80, 65, 58, 50, 40][severity - 1])
    with Image.open(stream) as picture:
        return np.asarray(picture)


REFERENCES: dict[str, Callable[[Array, int, Draws], Array]] = {
    function.__name__: function
    for function in (
        gaussian_noise,
        shot_noise,
        impulse_noise,
        defocus_blur,
        glass_blur,
        motion_blur,
        zoom_blur,
        snow,
        fog,
        brightness,
        contrast,
        elastic_transform,
        pixelate,
        jpeg_compression,
    )
}
"""All corruptions but :func:`frost`, which takes pictures."""
