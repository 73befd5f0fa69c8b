"""Read images in published formats: official python batches, ``.npz`` batches, lossless WebP sprites.

A batch is one file of images with labels, found in a folder under its official name (``data_batch_1``) in one of three
forms, tried in this order:

- ``NAME``: the official pickle, a dictionary with ``data`` (bytes ``[images, channels * height * width]``, channel by
  channel) and ``labels`` or ``fine_labels``. Pickles can run code, so only arrays, numbers, text and containers are
  rebuilt and anything else is refused;
- ``NAME.npz``: arrays under the same keys, ``data`` optionally as ``[images, height, width, channels]``;
- ``NAME.webp``: a sprite, the images row by row in a near-square grid, with the labels of all batches in
  ``<set>_labels.npz`` under the batches' names.
"""

import io
import pickle
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from agnet.errors import ConfigurationError
from agnet.runtime.reading import read_bytes
from agnet.runtime.unpickling import RestrictedUnpickler
from evaluation.data.npz import read_npz

Batch = tuple[np.ndarray, np.ndarray]
"""Bytes ``[images, channels, height, width]`` and int64 labels ``[images]``."""

UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow raises for damaged image files."""

_LARGEST = 2**30


def read_batches(
    folder: Path, names: Sequence[str], *, prefix: str, size: int, labels: str, num_labels: int, first_label: int = 0
) -> Batch:
    """Batches of a folder, one after the other.

    Args:
        folder: folder with the files.
        names: the batches' official names.
        prefix: beginning of the names of sprites and of their labels file, e.g. ``cifar10``.
        size: height and width of the images in pixels; they have three channels.
        labels: key of the labels.
        num_labels: number of different labels there may be.
        first_label: the smallest label in the files; it becomes 0.

    Raises:
        ConfigurationError: if a file is missing, damaged, refused, or holds other shapes or labels.
    """
    batches = []
    for name in names:
        path, data, target = _read(folder, name, prefix, labels)
        images = _images(path, data, size)
        target = np.asarray(target)
        if target.shape != (len(images),) or target.dtype.kind not in "iu":
            raise ConfigurationError(
                f"{path}: {labels} is {target.dtype}{list(target.shape)} for {len(images)} images; give an integer each"
            )
        target = target.astype(np.int64) - first_label
        if len(target) and not 0 <= int(target.min()) <= int(target.max()) < num_labels:
            low, high = int(target.min()) + first_label, int(target.max()) + first_label
            raise ConfigurationError(
                f"{path}: labels {low}..{high}, expected {first_label}..{first_label + num_labels - 1}; "
                "is it another data set?"
            )
        batches.append((images, target))
    return np.concatenate([images for images, _ in batches]), np.concatenate([target for _, target in batches])


def _read(folder: Path, name: str, prefix: str, labels: str) -> tuple[Path, Any, Any]:
    pickled, zipped, sprite = folder / name, folder / f"{name}.npz", folder / f"{prefix}_{_sprite_name(name)}.webp"
    if pickled.is_file():
        content = _unpickle(pickled)
    elif zipped.is_file():
        content = read_npz(zipped)
    elif sprite.is_file():
        table = folder / f"{prefix}_labels.npz"
        if not table.is_file():
            raise ConfigurationError(f"{table} is missing: it holds the labels of {sprite.name}")
        return sprite, _sprite(sprite), _entry(table, read_npz(table), _sprite_name(name))
    else:
        raise ConfigurationError(
            f"{folder} has none of {pickled.name}, {zipped.name}, {sprite.name}; give path=, the folder of the data set"
        )
    path = pickled if pickled.is_file() else zipped
    return path, _entry(path, content, "data"), _entry(path, content, labels)


def _sprite_name(name: str) -> str:
    """``data_batch_3`` -> ``train_3``, ``test_batch`` -> ``test``; other names as they are."""
    return name.replace("data_batch", "train").replace("test_batch", "test")


def _unpickle(path: Path) -> dict[Any, Any]:
    try:
        data = read_bytes(path, most=_LARGEST)
        content = RestrictedUnpickler(io.BytesIO(data)).load()
    except pickle.UnpicklingError as error:
        raise ConfigurationError(f"{path} is no batch of images: {error}; download the official file again") from error
    except Exception as error:  # a damaged pickle can raise almost anything
        raise ConfigurationError(
            f"{path} is damaged ({type(error).__name__}: {_brief(error)}); download the official file again"
        ) from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} holds a {type(content).__name__}, not a dictionary; is it the official file?")
    return {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _entry(path: Path, content: dict[Any, Any], key: str) -> Any:
    if key not in content:
        raise ConfigurationError(f"{path} has no {key!r}, only {sorted(map(str, content))}; is it another data set?")
    return content[key]


def _sprite(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except UNREADABLE as error:
        raise ConfigurationError(f"{path} cannot be read ({_brief(error)}); fetch it again") from error


def _images(path: Path, data: Any, size: int) -> np.ndarray:
    """Bytes ``[images, 3, size, size]`` from any of the layouts in the module's docstring."""
    data = np.asarray(data)
    if data.dtype == np.uint8:
        if data.ndim == 2 and data.shape[1] == 3 * size * size:
            return data.reshape(-1, 3, size, size)
        if data.ndim == 4 and data.shape[1:] == (size, size, 3):
            return np.ascontiguousarray(data.transpose(0, 3, 1, 2))
        if data.ndim == 4 and data.shape[1:] == (3, size, size):
            return data
        if path.suffix == ".webp" and data.shape[2:] == (3,) and not data.shape[0] % size and not data.shape[1] % size:
            rows, columns = data.shape[0] // size, data.shape[1] // size
            grid = data.reshape(rows, size, columns, size, 3).transpose(0, 2, 4, 1, 3)
            return np.ascontiguousarray(grid).reshape(-1, 3, size, size)
    raise ConfigurationError(
        f"{path}: data is {data.dtype}{list(data.shape)}, expected uint8 images of 3x{size}x{size}; "
        "is it another data set or resolution?"
    )
