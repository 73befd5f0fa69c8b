"""Images and labels in one ``.npz`` file."""

from pathlib import Path

import numpy as np
import torch

from agnet.errors import ConfigurationError
from evaluation.data.images import ImageSplits
from evaluation.data.npz import read_npz
from evaluation.data.splitting import SMALLEST, assemble, choose, set_name


def image_npz(
    path: str | Path,
    *,
    name: str | None = None,
    num_valid: int | None = None,
    num_test: int | None = None,
    split_seed: int = 0,
) -> ImageSplits:
    """A user's own arrays: ``images`` and ``labels``, or ``train_images``, ``train_labels`` and so on.

    Images are bytes, or floats in [0, 1], which are kept as they are; ``[n, height, width]``, or with one or three
    channels ``[n, height, width, channels]`` or ``[n, channels, height, width]``; square. Labels are integers from 0,
    ``[n]`` or ``[n, 1]``; those that occur are the classes, in their order.

    Args:
        path: the file. If it sets no validation (``valid_`` or ``val_``) or test images (``test_``) apart, they are
            drawn from the others, each class its share.
        name: begins the columns of tables: letters and digits; by default the file's name.
        num_valid: validation images to draw; a fifth of the images by default.
        num_test: test images to draw, likewise.
        split_seed: seed of the shuffle that draws and orders images.

    Raises:
        ConfigurationError: if the file or its arrays are not as above, or a number does not fit.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigurationError(f"path={path}: no such file; give an .npz with images and labels")
    name = set_name(name, file)
    arrays = read_npz(file)
    parts = {part: _part(file, arrays, prefix) for part, prefix in _prefixes(file, arrays).items()}
    shapes = {(images.shape[1:], images.dtype) for images, _ in parts.values()}
    if len(shapes) > 1:
        kinds = ", ".join(f"{part} {_kind(images)}" for part, (images, _) in parts.items())
        raise ConfigurationError(f"{file}: images of different kinds ({kinds}); save them alike")
    classes = {part: labels for part, (_, labels) in parts.items()}
    chosen = choose(file, classes, num_valid=num_valid, num_test=num_test, seed=split_seed)
    pixels = {
        part: torch.from_numpy(np.ascontiguousarray(parts[choice.source][0][choice.rows]))
        for part, choice in chosen.items()
    }
    return assemble(file, name, chosen, pixels)


def _prefixes(file: Path, arrays: dict[str, np.ndarray]) -> dict[str, str]:
    """What the names of each part's arrays begin with."""
    if "images" in arrays:
        return {"train": ""}
    found = {part: f"{part}_" for part in ("train", "valid", "test") if f"{part}_images" in arrays}
    if "val_images" in arrays:
        if "valid" in found:
            raise ConfigurationError(f"{file} has both valid_images and val_images; remove one")
        found["valid"] = "val_"
    if "train" not in found:
        raise ConfigurationError(
            f"{file} has neither images nor train_images, only {', '.join(sorted(arrays)) or 'nothing'}; rename them"
        )
    return found


def _part(file: Path, arrays: dict[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Images ``[n, channels, size, size]`` and labels ``[n]``."""
    images = _images(file, f"{prefix}images", arrays[f"{prefix}images"])
    key = f"{prefix}labels"
    if key not in arrays:
        raise ConfigurationError(f"{file} has {prefix}images, but no {key}; add them")
    labels = arrays[key]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ConfigurationError(
            f"{file}: {key} is {_kind(labels)} for {len(images)} images; give each its class as an integer"
        )
    if len(labels) and labels.min() < 0:
        raise ConfigurationError(f"{file}: {key} holds {labels.min()}; number the classes from 0")
    return images, labels


def _images(file: Path, key: str, images: np.ndarray) -> np.ndarray:
    """Bytes, or float32 in [0, 1], ``[n, channels, size, size]``."""
    kind = _kind(images)
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[2] != images.shape[3]:
        raise ConfigurationError(
            f"{file}: {key} is {kind}; give [n, size, size], [n, size, size, channels] or [n, channels, size, size] "
            "with 1 or 3 channels"
        )
    if not len(images) or images.shape[-1] < SMALLEST:
        raise ConfigurationError(f"{file}: {key} is {kind}; give images of {SMALLEST}x{SMALLEST} pixels or more")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f" or images.itemsize < 4:
        raise ConfigurationError(f"{file}: {key} is {kind}; give bytes (uint8), or float32 in [0, 1]")
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ConfigurationError(
            f"{file}: {key} ranges over [{low:g}, {high:g}], not [0, 1]; divide levels by 255, do not normalise, and "
            "remove images with NaN"
        )
    return images.astype(np.float32)


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"
