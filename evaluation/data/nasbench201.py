"""The three data sets of NAS-Bench-201, read from the files users have: see :mod:`evaluation.data.files`.

Sources: Krizhevsky, 2009 (CIFAR); Chrabaszcz et al., 2017, https://arxiv.org/abs/1707.08819 (ImageNet at 16x16);
splits and normalisation of Dong & Yang, 2020, https://arxiv.org/abs/2001.00326.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.data.files import Batch, read_batches
from evaluation.data.images import Images, ImageSplits

SPLIT_SEED = 1021
"""The seed with which NAS-Bench-201 halved CIFAR-10's training images."""


def cifar10(
    path: str | Path,
    *,
    held_out_of: str = "train",
    num_valid: int = 25_000,
    num_train: int | None = None,
    num_test: int | None = None,
    split_seed: int = SPLIT_SEED,
    resolution: int = 32,
) -> ImageSplits:
    """CIFAR-10: 50,000 training and 10,000 test images of 10 classes.

    The defaults are the benchmark's ``cifar10-valid``: its own halves of the training images to train on and to
    validate on, and all test images. ``held_out_of="test", num_valid=5_000`` trains on all 50,000 instead.

    Args:
        path: folder with ``data_batch_1..5`` and ``test_batch`` (official pickles, or ``.npz``), or with
            ``cifar10_train_1..5.webp``, ``cifar10_test.webp`` and ``cifar10_labels.npz``; also the folder above
            ``cifar-10-batches-py``.
        held_out_of: take the validation images from the ``"train"`` or from the ``"test"`` images.
        num_valid: number of validation images; with 0 there is nothing to select by, which suits work on the test
            images alone.
        num_train: train on so many of the remaining training images; all by default.
        num_test: test on so many of the remaining test images; all by default.
        split_seed: seed of the shuffle that chooses images; the chosen ones stay in the files' order.
        resolution: height and width in pixels, a divisor of 32; smaller images are averages over squares.

    Raises:
        ConfigurationError: if files are missing or damaged, or a number does not fit.
    """
    folder = _folder(path, "cifar-10-batches-py")
    train, test = (
        read_batches(folder, names, prefix="cifar10", size=32, labels="labels", num_labels=10)
        for names in ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"])
    )
    _expect(folder, train, test, 50_000, 10_000)
    mean, std = _in_unit_interval(125.3, 123.0, 113.9), _in_unit_interval(63.0, 62.1, 66.7)
    parts = _split(train, test, held_out_of, num_valid, num_train, num_test, split_seed, resolution)
    return ImageSplits("cifar10", 10, *parts, (mean, std))


def cifar100(
    path: str | Path,
    *,
    held_out_of: str = "test",
    num_valid: int = 5_000,
    num_train: int | None = None,
    num_test: int | None = None,
    split_seed: int = SPLIT_SEED,
    resolution: int = 32,
) -> ImageSplits:
    """CIFAR-100: 50,000 training and 10,000 test images of 100 (fine) classes.

    The defaults train on all training images and halve the test images, as the benchmark does, though not into its own
    halves, whose list has no rule.

    Args:
        path: folder with ``train`` and ``test`` (official pickles, or ``.npz`` with the key ``fine_labels``), or the
            folder above ``cifar-100-python``.
        held_out_of: part that the validation images come from. This and what follows is as in :func:`cifar10`.
        num_valid: number of validation images.
        num_train: number of training images; all by default.
        num_test: number of test images; all by default.
        split_seed: seed of the split.
        resolution: height and width in pixels.

    Raises:
        ConfigurationError: if files are missing or damaged, or a number does not fit.
    """
    folder = _folder(path, "cifar-100-python")
    train, test = (
        read_batches(folder, [name], prefix="cifar100", size=32, labels="fine_labels", num_labels=100)
        for name in ("train", "test")
    )
    _expect(folder, train, test, 50_000, 10_000)
    mean, std = _in_unit_interval(129.3, 124.1, 112.4), _in_unit_interval(68.2, 65.4, 70.4)
    parts = _split(train, test, held_out_of, num_valid, num_train, num_test, split_seed, resolution)
    return ImageSplits("cifar100", 100, *parts, (mean, std))


def imagenet16(
    path: str | Path,
    *,
    num_classes: int = 120,
    held_out_of: str = "test",
    num_valid: int = 3_000,
    num_train: int | None = None,
    num_test: int | None = None,
    split_seed: int = SPLIT_SEED,
    resolution: int = 16,
) -> ImageSplits:
    """ImageNet downsampled to 16x16, its first classes: 151,700 training and 6,000 test images of the benchmark's 120.

    The defaults train on all training images and halve the test images, as the benchmark does, though not into its own
    halves, whose list has no rule.

    Args:
        path: folder with ``train_data_batch_1..10`` and ``val_data`` (official pickles or ``.npz``, labels 1..1000).
        num_classes: keep the images with labels up to this one.
        held_out_of: part that the validation images come from; see :func:`cifar10`.
        num_valid: number of validation images; see :func:`cifar10`.
        num_train: number of training images; see :func:`cifar10`.
        num_test: number of test images; see :func:`cifar10`.
        split_seed: seed of the split; see :func:`cifar10`.
        resolution: height and width in pixels, a divisor of 16; see :func:`cifar10`.

    Raises:
        ConfigurationError: if files are missing or damaged, or a number does not fit.
    """
    if not 1 <= num_classes <= 1_000:
        raise ConfigurationError(f"num_classes={num_classes}: give 1..1000")
    folder = _folder(path, "ImageNet16")

    def read(name: str) -> Batch:
        images, labels = read_batches(
            folder, [name], prefix="imagenet16", size=16, labels="labels", num_labels=1_000, first_label=1
        )
        kept = labels < num_classes  # batch by batch: all thousand classes are a gigabyte
        return images[kept], labels[kept]

    images, labels = zip(*(read(f"train_data_batch_{i}") for i in range(1, 11)), strict=True)
    train = np.concatenate(images), np.concatenate(labels)
    mean, std = _in_unit_interval(122.68, 116.66, 104.01), _in_unit_interval(63.22, 61.26, 65.09)
    parts = _split(train, read("val_data"), held_out_of, num_valid, num_train, num_test, split_seed, resolution)
    return ImageSplits("imagenet16", num_classes, *parts, (mean, std))


def _folder(path: str | Path, below: str) -> Path:
    """The folder of the batches: ``path``, or the official archive's folder in it."""
    folder = Path(path)
    if not folder.is_dir():
        raise ConfigurationError(f"path={path}: no such folder; give the folder of the data set's files")
    return folder / below if (folder / below).is_dir() else folder


def _in_unit_interval(*values: float) -> tuple[float, ...]:
    return tuple(value / 255 for value in values)


def _expect(folder: Path, train: Batch, test: Batch, num_train: int, num_test: int) -> None:
    found = len(train[1]), len(test[1])
    if found != (num_train, num_test):
        raise ConfigurationError(
            f"{folder}: {found[0]} training and {found[1]} test images, expected {num_train} and {num_test}; "
            "fetch the files again"
        )


def _split(
    train: Batch,
    test: Batch,
    held_out_of: str,
    num_valid: int,
    num_train: int | None,
    num_test: int | None,
    seed: int,
    resolution: int,
) -> tuple[Images, Images, Images]:
    """Train, valid and test images; the shuffle's beginning stays where it is, its end is held out."""
    if held_out_of not in ("train", "test"):
        raise ConfigurationError(f"held_out_of={held_out_of}: give train or test")
    parts = {"train": train, "test": test}
    requested = {"train": num_train, "test": num_test}
    orders = {name: _shuffled(len(labels), seed) for name, (_, labels) in parts.items()}
    source = orders[held_out_of]
    if not 0 <= num_valid < len(source):
        raise ConfigurationError(f"num_valid={num_valid}: give 0..{len(source) - 1} of the {held_out_of} images")
    valid = source[len(source) - num_valid :]
    orders[held_out_of] = source[: len(source) - num_valid]
    for name, count in requested.items():
        if count is not None and not 1 <= count <= len(orders[name]):
            raise ConfigurationError(f"num_{name}={count}: give 1..{len(orders[name])}, or null for all")
        orders[name] = orders[name][:count]
    return (
        _take(train, orders["train"], resolution),
        _take(parts[held_out_of], valid, resolution),
        _take(test, orders["test"], resolution),
    )


def _shuffled(n: int, seed: int) -> list[int]:
    """Python's own shuffle, which the benchmark used."""
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return order


def _take(batch: Batch, rows: Sequence[int], resolution: int) -> Images:
    """Images in the files' order, at a lower resolution if asked for."""
    chosen = np.sort(np.asarray(rows, dtype=np.int64))
    pixels = torch.from_numpy(batch[0][chosen])
    size = pixels.shape[-1]
    if resolution < 1 or size % resolution:
        raise ConfigurationError(f"resolution={resolution}: give a divisor of {size}")
    if resolution != size:
        pixels = torch.cat([_shrunk(part, size // resolution) for part in pixels.split(10_000)])
    return Images(pixels, torch.from_numpy(batch[1][chosen]))


def _shrunk(pixels: torch.Tensor, factor: int) -> torch.Tensor:
    """Averages over squares of ``factor`` pixels, rounded to bytes."""
    return F.avg_pool2d(pixels.float(), factor).round().to(torch.uint8)
