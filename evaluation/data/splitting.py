"""Split a user's own images. Every split has every class; what the files do not set apart is drawn by class."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.data.images import Images, ImageSplits

PARTS = ("train", "valid", "test")
SMALLEST = 8
"""Height and width in pixels of the smallest images."""


@dataclass(frozen=True)
class Chosen:
    """The images of a split.

    Attributes:
        source: the part of the files they are in, ``train`` where they were drawn from it.
        rows: their places in that part, in random order.
        labels: their classes, ``0..classes - 1``.
    """

    source: str
    rows: list[int]
    labels: np.ndarray


def set_name(name: str | None, path: Path) -> str:
    """The name that begins the columns of tables, by default that of the file or folder.

    Raises:
        ConfigurationError: unless it is letters and digits, a letter first; an underscore would end it in a column.
    """
    found = (path.stem if name is None else name).lower()
    if not re.fullmatch("[a-z][a-z0-9]*", found):
        origin = " (the path's)" if name is None else ""
        raise ConfigurationError(
            f"name={found}{origin}: it begins the names of columns; give letters a-z and digits, a letter first"
        )
    return found


def choose(
    where: Path, classes: Mapping[str, np.ndarray], *, num_valid: int | None, num_test: int | None, seed: int
) -> dict[str, Chosen]:
    """The images of each of :data:`PARTS`.

    Args:
        where: the files, for messages.
        classes: name or number of every image's class, for each part that the files set apart; ``train`` is one.
        num_valid: validation images to draw from ``train``, by default a fifth of it.
        num_test: test images to draw, likewise. They are drawn first and do not depend on ``num_valid``.
        seed: seed of the shuffles.

    Raises:
        ConfigurationError: if there is one class, if one has no images in a split, or if a number does not fit.
    """
    known = np.unique(classes["train"])
    if len(known) < 2:
        raise ConfigurationError(f"{where}: one class, {known[0]}; give images of two or more")
    for part, found in classes.items():
        for lacking, there in ((np.setdiff1d(known, found), part), (np.setdiff1d(found, known), "train")):
            if len(lacking):
                raise ConfigurationError(
                    f"{where}: class {lacking[0]} has no {there} images; add some, or remove the class everywhere"
                )
    labels = {part: np.searchsorted(known, found) for part, found in classes.items()}
    orders = {part: _shuffled(len(found), seed) for part, found in classes.items()}
    sources = {part: part if part in classes else "train" for part in PARTS}
    fifth = len(labels["train"]) // 5
    for part, num in (("test", num_test), ("valid", num_valid)):
        if part not in classes:
            num = fifth if num is None else num
            orders[part], orders["train"] = _drawn(where, part, num, orders["train"], labels["train"], known)
        elif num is not None:
            raise ConfigurationError(f"num_{part}={num}: {where} has {part} images, all of which are used; give null")
    return {part: Chosen(sources[part], orders[part], labels[sources[part]][orders[part]]) for part in PARTS}


def _shuffled(n: int, seed: int) -> list[int]:
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return order


def _drawn(
    where: Path, part: str, num: int, order: Sequence[int], labels: np.ndarray, names: np.ndarray
) -> tuple[list[int], list[int]]:
    """Rows drawn, each class its share to one image, and rows left, both in the given order."""
    if not 0 < num < len(order):
        raise ConfigurationError(f"num_{part}={num}: give 1..{len(order) - 1} of the {len(order)} images of {where}")
    counts = np.bincount(labels[order], minlength=len(names))
    shares, rests = np.divmod(num * counts, len(order))
    shares[np.argsort(-rests, kind="stable")[: num - shares.sum()]] += 1
    for name, count, share in zip(names, counts, shares, strict=True):
        if not 0 < share < count:
            raise ConfigurationError(
                f"{where}: num_{part}={num} of {len(order)} images takes {share} of the {count} of class {name}, and "
                "every split needs some; change the number, add images, or remove the class"
            )
    drawn, left = list[int](), list[int]()
    for row in order:
        shares[labels[row]] -= 1
        (drawn if shares[labels[row]] >= 0 else left).append(row)
    return drawn, left


Pixels = UInt8[Tensor, "images channels size size"] | Float[Tensor, "images channels size size"]


def assemble(where: Path, name: str, chosen: Mapping[str, Chosen], pixels: Mapping[str, Pixels]) -> ImageSplits:
    """The image set, with mean and deviation of each channel over the training pixels.

    Args:
        where: the files, for messages.
        name: the data set's name.
        chosen: the choice that :func:`choose` made.
        pixels: the images of each split, in that order.

    Raises:
        ConfigurationError: if a channel is the same everywhere.
    """
    train = pixels["train"]
    scale = 255 if train.dtype == torch.uint8 else 1
    total = torch.zeros(2, train.shape[1], dtype=torch.float64, device="cpu")
    for part in train.split(1_000):
        levels = part.double()
        total += torch.stack([levels.sum(dim=(0, 2, 3)), levels.square().sum(dim=(0, 2, 3))])
    mean, square = total / (train.numel() // train.shape[1])
    std = (square - mean.square()).clamp(min=0).sqrt()
    for channel, value in enumerate(std.tolist()):
        if value < 1e-6 * scale:
            raise ConfigurationError(f"{where}: channel {channel} is the same in all pixels; leave it out")
    # six digits: the sums of floats depend on their order in the last ones, and tables are bound to these numbers
    mean, std = (tuple(round(x / scale, 6) for x in values.tolist()) for values in (mean, std))
    images = {part: Images(pixels[part], torch.from_numpy(chosen[part].labels)) for part in PARTS}
    num_classes = int(chosen["train"].labels.max()) + 1
    return ImageSplits(name, num_classes, images["train"], images["valid"], images["test"], (mean, std))
