"""The fifteen corruptions by name."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.corruptions import blur, digital, noise, weather
from evaluation.corruptions.frost_pictures import FrostPictures, procedural_frost
from evaluation.corruptions.pixels import to_levels
from evaluation.randomness import keys

Corruption = Callable[[UInt8[Tensor, "n c h w"], int, Int[Tensor, " n"]], UInt8[Tensor, "n c h w"]]
"""8-bit images, severity and one key per image give 8-bit images."""

SEVERITIES = (1, 2, 3, 4, 5)

_SELF_CONTAINED: dict[str, Corruption] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}

CORRUPTIONS: tuple[str, ...] = (*list(_SELF_CONTAINED)[:8], "frost", *list(_SELF_CONTAINED)[8:])
"""Names in the order of the paper, which are CIFAR-C's file names."""

_SMALLEST = 8
_VALUES_AT_A_TIME = {"cpu": 160_000, "cuda": 16_000_000}  # what caches hold; what keeps a GPU busy


def corrupt(
    images: UInt8[Tensor, "n c h w"] | Float[Tensor, "n c h w"],
    name: str,
    severity: int,
    *,
    seed: int,
    indices: Int[Tensor, " n"] | None = None,
    frost: FrostPictures | None = None,
) -> UInt8[Tensor, "n c h w"]:
    """Corrupt images as CIFAR-C does.

    What is drawn for an image depends on ``seed``, ``name``, ``severity`` and its index alone, so the result does not
    depend on the batch.

    Args:
        images: one or three channels, at least 8x8 pixels; 8-bit levels, or numbers in [0, 1], which are taken to the
            nearest level. The constants are those for 32x32; they stay as they are at other sizes, where a blur of so
            many pixels means something else.
        name: one of :data:`CORRUPTIONS`.
        severity: severity from 1 to 5.
        seed: seed of all draws.
        indices: the images' places in their data set; null counts from 0.
        frost: pictures of frost (:func:`~evaluation.corruptions.frost_pictures.read_frost`); None for procedural frost.

    Returns:
        Levels on the device of ``images``.

    Raises:
        ConfigurationError: for unknown names and severities, pixels outside [0, 1], or images of other shapes.

    Example:
        >>> gray = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
        >>> corrupt(gray, "brightness", 4, seed=0).unique().tolist()
        [151]
    """
    corruption = by_name(name, max(images.shape[2:]), frost)
    if severity not in SEVERITIES:
        raise ConfigurationError(f"severity={severity!r}; give one of {', '.join(map(str, SEVERITIES))}")
    levels = _checked(images)
    if indices is None:
        indices = torch.arange(len(images))
    indices = indices.to(device=images.device, dtype=torch.int64)
    drawn = keys(seed, name, torch.full_like(indices, severity), indices)
    result = torch.empty_like(levels)
    values = _VALUES_AT_A_TIME.get(levels.device.type, _VALUES_AT_A_TIME["cuda"])
    chunk = max(values // levels[:1].numel(), 1) if len(levels) else 1
    for first in range(0, len(levels), chunk):
        part = slice(first, first + chunk)
        result[part] = corruption(levels[part], severity, drawn[part])
    return result


def by_name(name: str, size: int = 32, frost: FrostPictures | None = None) -> Corruption:
    """The function behind a name.

    Args:
        name: one of :data:`CORRUPTIONS`.
        size: height or width, whichever is greater, of the images; procedural frost needs it.
        frost: null is procedural frost.

    Raises:
        ConfigurationError: for any other name.
    """
    if name == "frost":
        return partial(weather.frost, pictures=frost or procedural_frost(size))
    if name not in _SELF_CONTAINED:
        raise ConfigurationError(f"no corruption {name!r}; give one of {', '.join(CORRUPTIONS)}")
    return _SELF_CONTAINED[name]


def _checked(images: Tensor) -> UInt8[Tensor, "n c h w"]:
    channels, height, width = images.shape[1:]
    if channels not in (1, 3):
        raise ConfigurationError(f"images of {channels} channels; give 1 (gray) or 3 (red, green, blue)")
    if min(height, width) < _SMALLEST:
        raise ConfigurationError(f"images of {height}x{width} pixels; give {_SMALLEST}x{_SMALLEST} or larger")
    if images.dtype == torch.uint8:
        return images.contiguous()
    if not bool(((images >= 0) & (images <= 1)).all()):
        low, high = float(images.min()), float(images.max())
        raise ConfigurationError(f"pixels from {low} to {high}; give numbers in [0, 1] or 8-bit levels (uint8)")
    return to_levels(images).contiguous()
