"""The protocol: everything that decides the numbers in a table."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from agnet.errors import ConfigurationError
from agnet.runtime.digests import of_arrays
from agnet.tables.columns import ADVERSARIALLY, ATTACK, CLEAN, CORRUPTION, ECE, MEASURE, SPLITS, STATES, Column
from evaluation.attacks.base import AbstractAttack
from evaluation.attacks.evaluate import check_modes
from evaluation.corruptions import CORRUPTIONS, SEVERITIES, CorruptedImages, FrostPictures
from evaluation.data.images import ImageSplits
from evaluation.networks.nasbench201 import NetworkShape
from evaluation.sensitivity.table_measures import MEASURES
from evaluation.training.sgd import Recipe

_NAME = re.compile(r"[a-z][a-z0-9]*")


@dataclass(frozen=True)
class Corruptions:
    """The corrupted images that networks are shown.

    Attributes:
        names: corruptions; each at all five severities.
        num_images: number of images, the first of each split; None for all.
        seed: seed of the corruptions' draws; it has nothing to do with the networks' seeds.
        splits: splits whose images are corrupted.
        frost: pictures of frost; None for procedural frost.
        folder: take the corrupted test images from a folder in CIFAR-C's layout instead of making them.

    Raises:
        ConfigurationError: for unknown names or splits.
    """

    names: tuple[str, ...]
    num_images: int | None = None
    seed: int = 0
    splits: tuple[str, ...] = ("test",)
    frost: FrostPictures | None = None
    folder: CorruptedImages | None = None

    def __post_init__(self) -> None:
        for key, values, choices in (("names", self.names, CORRUPTIONS), ("splits", self.splits, SPLITS)):
            unknown = [value for value in values if value not in choices]
            if unknown or not values or len(set(values)) < len(values):
                raise ConfigurationError(f"corruption.{key}={list(values)}; give distinct ones of {', '.join(choices)}")
        if self.num_images is not None and self.num_images < 1:
            raise ConfigurationError(f"corruption.num_images={self.num_images}; give at least 1, or null for all")
        if self.folder is not None and (self.splits != ("test",) or self.frost is not None):
            raise ConfigurationError("corruption.path holds the test images as they are: splits=[test] and no frost")

    def describe(self) -> dict[str, object]:
        """The settings as plain values."""
        frost = self.frost
        return {
            "names": list(self.names),
            "num_images": self.num_images,
            "seed": self.seed,
            "splits": list(self.splits),
            "frost": None if frost is None else frost.source,
            "made": "here" if self.folder is None else _fingerprint(self.folder, self.names),
        }


def _fingerprint(folder: CorruptedImages, names: Sequence[str]) -> str:
    """A hash of the labels and of some images of every file: whole files are gigabytes."""
    sha = hashlib.sha256(folder.labels.numpy().tobytes())
    for name in names:
        images, _ = folder.images(name, 1)
        sha.update(np.ascontiguousarray(images[:100].numpy()).tobytes())
    return sha.hexdigest()[:16]


@dataclass(frozen=True)
class Sensitivities:
    """Training-free measures, see :func:`evaluation.sensitivity.table_measures.sensitivity`.

    Attributes:
        num_images: the first so many training images.
        projections: None for the exact Jacobian, a number for an estimate.

    Raises:
        ConfigurationError: if a number is not positive.
    """

    num_images: int
    projections: int | None = None

    def __post_init__(self) -> None:
        if self.num_images < 1 or (self.projections is not None and self.projections < 1):
            raise ConfigurationError(
                f"sensitivity.num_images={self.num_images}, projections={self.projections}; give at least 1"
            )


@dataclass(frozen=True)
class Protocol:
    """Settings of making and evaluating the networks of a table.

    Attributes:
        images: the image set: training, validation and test images.
        channels: ``C`` of the networks.
        cells_per_stage: ``N`` of the networks.
        recipe: recipe of the training.
        attacks: attacks with their radii.
        attack_images: number of images by attack, the first of each split; attacks that are not named get all.
        corruptions: corrupted images, if any.
        sensitivities: training-free measures, if any.
        group_size: architectures trained together, always the same ones; it is part of the protocol because rounding,
            which training amplifies, may depend on it.
        group_seed: groups follow each other in the space's order, or in that of a draw with this seed. Then a random
            part of the table, drawn with the same seed, consists of whole groups and costs no more than its share.
        mode: ``"published"`` or ``"worst_case"``, see :func:`evaluation.evaluate`.
        precision: number format of the attacks' search; outcomes are judged in float32 in any case.
        name: begins the table's columns; None for the name of the image set.
        calibration: whether there are columns of the expected calibration error of the clean images.
        networks: digest of the protocol under which the networks are trained that are read here; None to train them.

    Raises:
        ConfigurationError: for settings that no table could be made with.
    """

    images: ImageSplits
    channels: int
    cells_per_stage: int
    recipe: Recipe
    attacks: Sequence[AbstractAttack]
    attack_images: Mapping[str, int] = field(default_factory=dict)
    corruptions: Corruptions | None = None
    sensitivities: Sensitivities | None = None
    group_size: int = 1
    group_seed: int | None = None
    mode: str = "published"
    precision: str = "float32"
    name: str | None = None
    calibration: bool = False
    networks: str | None = None

    def __post_init__(self) -> None:
        if self.group_size < 1:
            raise ConfigurationError(f"group_size={self.group_size}; give at least 1")
        if self.group_seed is not None and self.group_size == 1:
            raise ConfigurationError(f"group_seed={self.group_seed} without groups; give group_size above 1, or null")
        name = self.images.name if self.name is None else self.name
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"name={name}; columns begin with small letters and digits, e.g. cifar10")
        check_modes(self.mode, self.precision)
        if not min(len(getattr(self.images, split)) for split in SPLITS):
            raise ConfigurationError("the data set has no validation or no test images; give num_valid, num_test >= 1")
        if self.image_size % 4:
            raise ConfigurationError(
                f"images of {self.image_size}x{self.image_size} pixels; networks halve them twice: use a multiple of 4"
            )
        names = [attack.name for attack in self.attacks]
        for name, count in self.attack_images.items():
            if name not in names or type(count) is not int or count < 1:
                raise ConfigurationError(
                    f"attack_images: {name}: {count}; give a number from 1 for one of {', '.join(names) or 'none'}"
                )
        _ = self.shape
        self._check_counts()
        if self.corruptions is not None and self.corruptions.folder is not None:
            _check_same_images(self.corruptions.folder, self.images)

    def _check_counts(self) -> None:
        """No more images are asked for than there are, and no wider frames than images."""
        sizes = {part: len(getattr(self.images, part)) for part in ("train", *SPLITS)}
        largest = max(sizes[split] for split in SPLITS)
        asked = [(f"attack_images.{name}", count, largest) for name, count in self.attack_images.items()]
        if self.sensitivities is not None:
            asked.append(("sensitivity.num_images", self.sensitivities.num_images, sizes["train"]))
        if self.corruptions is not None and self.corruptions.num_images is not None:
            most = max(sizes[split] for split in self.corruptions.splits)
            asked.append(("corruption.num_images", self.corruptions.num_images, most))
        if self.recipe.crop_padding > self.image_size:
            raise ConfigurationError(
                f"recipe.crop_padding={self.recipe.crop_padding} pixels around images of {self.image_size}: give fewer"
            )
        for key, count, most in asked:
            if count > most:
                raise ConfigurationError(f"{key}={count}; {self.images.name} has {most} such images: give at most that")

    @property
    def prefix(self) -> str:
        """Beginning of the columns' names; it says whether the networks are trained adversarially."""
        name = self.images.name if self.name is None else self.name
        return name if self.recipe.adversarial is None else f"{name}_{ADVERSARIALLY}"

    @property
    def latency(self) -> str:
        """Name of the column of latencies."""
        return f"{self.prefix}_cpu_latency_ms"

    @property
    def shape(self) -> NetworkShape:
        """Shape of every network."""
        images = self.images
        return NetworkShape(
            images.num_classes, images.in_channels, self.channels, self.cells_per_stage, images.mean, images.std
        )

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""
        return self.images.image_size

    @property
    def columns(self) -> list[str]:
        """Columns of the table, but for those that are counted."""
        names: list[str] = []
        for split in SPLITS:
            levels: list[tuple[Any, ...]] = [(CLEAN, CLEAN)]
            levels += [(CLEAN, CLEAN, 0.0, ECE)] if self.calibration else []
            for attack in self.attacks:
                levels += [(ATTACK, stage, float(eps)) for stage in attack.stages for eps in attack.eps_255]
            if self.corruptions is not None and split in self.corruptions.splits:
                levels += [(CORRUPTION, name, float(s)) for name in self.corruptions.names for s in SEVERITIES]
            names += [Column(self.prefix, split, *level).name for level in levels]
        if self.sensitivities is not None:
            names += [Column(self.prefix, "", MEASURE, key, 0.0, s).name for s in STATES for key in MEASURES]
        return names if self.networks else [*names, self.latency]

    def describe(self) -> dict[str, Any]:
        """The protocol as plain values, for the table's metadata and the folder."""
        images, corruptions, sensitivities = self.images, self.corruptions, self.sensitivities
        return {
            "name": self.prefix,
            "dataset": images.name,
            "images": {part: len(getattr(images, part)) for part in ("train", *SPLITS)},
            "shape": dataclasses.asdict(self.shape),
            "image_size": self.image_size,
            "recipe": self.recipe.describe(),
            "attacks": {attack.name: attack.describe() for attack in self.attacks},
            "attack_images": dict(self.attack_images),
            "corruptions": None if corruptions is None else corruptions.describe(),
            "sensitivities": None if sensitivities is None else dataclasses.asdict(sensitivities),
            "mode": self.mode,
            "precision": self.precision,
            "group_size": self.group_size,
            **({} if self.group_seed is None else {"group_seed": self.group_seed}),
            **({"calibration": True} if self.calibration else {}),
            **({"networks": self.networks} if self.networks else {}),
        }

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Hashes of files beside the image set, whole; the digest has parts of them alone, for they may be large."""
        corruptions = self.corruptions
        if corruptions is None:
            return {}
        hashes = {} if corruptions.folder is None else corruptions.folder.digests(corruptions.names)
        if corruptions.frost is not None:
            hashes["frost pictures"] = of_arrays(*corruptions.frost.pictures)
        return hashes

    @cached_property
    def digest(self) -> str:
        """Hash of the protocol and of the images themselves."""
        sha = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        for images in (self.images.train, self.images.valid, self.images.test):
            sha.update(images.stored.numpy().tobytes() + images.labels.numpy().tobytes())
        return sha.hexdigest()[:16]


def _check_same_images(folder: CorruptedImages, images: ImageSplits) -> None:
    test = images.test
    path: Path = folder.path
    if len(folder) != len(test) or not bool((folder.labels == test.labels).all()):
        raise ConfigurationError(
            f"corruption.path={path} holds {len(folder)} images that are not the {len(test)} test images in their "
            "order; use all test images (dataset.num_test=null), or corrupt them here (corruption.path=null)"
        )
