"""The image set that needs no download."""

from typing import Any

import numpy as np
import torch

from agnet.errors import ConfigurationError
from evaluation.data.images import Images, ImageSplits

_CLASSES = 10


def digits(*, num_valid: int = 300, num_test: int = 300, split_seed: int = 0) -> ImageSplits:
    """The 1,797 handwritten 8x8 digits that ship with scikit-learn, split once and for all, class-balanced.

    Source: Alpaydin & Kaynak, 1998, UCI Optical Recognition of Handwritten Digits (its test part).

    Args:
        num_valid: images of the validation split.
        num_test: images of the test split; the rest is for training.
        split_seed: seed of the stratified shuffle.

    Raises:
        ConfigurationError: if a split, or the rest, has no image of some digit.
    """
    from sklearn.datasets import load_digits  # here: it takes a second, and other image sets do without
    from sklearn.model_selection import train_test_split

    flat, target = load_digits(return_X_y=True)
    pixels = (np.asarray(flat).reshape(-1, 1, 8, 8) / 16.0).astype(np.float32)
    labels = np.asarray(target).astype(np.int64)
    most = len(labels) - 2 * _CLASSES
    for name, count in (("num_valid", num_valid), ("num_test", num_test)):
        if not _CLASSES <= count <= most:
            raise ConfigurationError(f"dataset.{name}={count}; give {_CLASSES}..{most} of the {len(labels)} digits")
    if num_valid + num_test > len(labels) - _CLASSES:
        raise ConfigurationError(
            f"dataset.num_valid={num_valid}, num_test={num_test} leave too few of the {len(labels)} digits to train "
            f"with; give at most {len(labels) - _CLASSES} together"
        )
    rest, test = train_test_split(np.arange(len(labels)), test_size=num_test, random_state=split_seed, stratify=labels)
    train, valid = train_test_split(rest, test_size=num_valid, random_state=split_seed, stratify=labels[rest])

    def take(rows: Any) -> Images:
        return Images(torch.from_numpy(pixels[rows]), torch.from_numpy(labels[rows]))

    return ImageSplits("digits", _CLASSES, take(train), take(valid), take(test))
