"""Training and test images, batch by batch: small ones from memory, photographs from disk.

Every augmentation belongs to (seed, epoch, image): neither resuming, nor workers, nor the number of processes change
it.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from agnet.errors import ConfigurationError, TaskError, UnreadableFile
from agnet.runtime.digests import of_file, of_json
from evaluation.data.augment import augment
from evaluation.data.files import UNREADABLE
from evaluation.data.folders import class_files, class_folders
from evaluation.data.images import ImageSplits, in_unit_interval
from evaluation.randomness import keys, uniform
from evaluation.training.transforms import DRAWS, centre, cutout, photograph

Batch = tuple[Float[Tensor, "batch channels height width"], Int[Tensor, " batch"]]
"""Pixels in [0, 1] and labels, on the device that is asked for."""

_HASHED_BYTES = 2**30
"""Sets of photographs up to this size are hashed whole; ImageNet would take minutes."""

Normalization = tuple[float | tuple[float, ...], float | tuple[float, ...]]


class AbstractStream(ABC):
    """Source of the images that final networks are trained and tested on.

    Attributes:
        name: name of the image set.
        num_classes: labels are ``0..num_classes - 1``.
        in_channels: channels of the images.
        image_size: their height and width in pixels.
        normalization: mean pixel and standard deviation.
        num_train: images to train on.
        num_test: images to judge by.
    """

    name: str
    num_classes: int
    in_channels: int
    image_size: int
    normalization: Normalization
    num_train: int
    num_test: int

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """All that a training's result depends on, as plain values."""

    @abstractmethod
    def batches(
        self, rows: Int[Tensor, "steps batch"], *, seed: int, epoch: int, device: torch.device
    ) -> Iterator[Batch]:
        """Augmented training images.

        Args:
            rows: indices of training images, a batch in each row.
            seed: the run's seed.
            epoch: the pass over the images.
            device: device of the returned batch.
        """

    @abstractmethod
    def test(self, rows: range, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Test images as they are, the last batch smaller where it must be."""


class ArrayStream(AbstractStream):
    """Images in memory, augmented on the device.

    Args:
        images: the set; its validation images are not used.
        flip: mirror half of the images, chosen anew in every epoch.
        crop_padding: crop every image at a random place of a black frame of so many pixels, chosen anew; 0 for none.
        cutout: side of a square that is replaced by the mean pixel, at a place chosen anew; 0 for none.
    """

    def __init__(self, images: ImageSplits, *, flip: bool = True, crop_padding: int = 4, cutout: int = 16) -> None:
        if min(crop_padding, cutout) < 0:
            raise ConfigurationError(f"stream.crop_padding={crop_padding}, stream.cutout={cutout}: give 0 or more")
        if max(crop_padding, cutout) > 4 * images.image_size:
            raise ConfigurationError(
                f"stream.crop_padding={crop_padding}, stream.cutout={cutout}: give at most {4 * images.image_size}, "
                "four times the size of the images"
            )
        self.flip, self.crop_padding, self.cutout = flip, crop_padding, cutout
        self._images = images
        self.name, self.num_classes, self.in_channels = images.name, images.num_classes, images.in_channels
        self.image_size, self.normalization = images.image_size, (images.mean, images.std)
        self.num_train, self.num_test = len(images.train), len(images.test)

    def describe(self) -> dict[str, Any]:
        """Settings as plain values; the images as a hash."""
        sha = hashlib.sha256()
        for part in (self._images.train, self._images.test):
            for values in (part.stored, part.labels):
                sha.update(values.cpu().contiguous().numpy().tobytes())
        settings = {"flip": self.flip, "crop_padding": self.crop_padding, "cutout": self.cutout}
        return {"name": self.name, **settings, "images": sha.hexdigest()}

    def batches(
        self, rows: Int[Tensor, "steps batch"], *, seed: int, epoch: int, device: torch.device
    ) -> Iterator[Batch]:
        """Augmented batches of training images, one per step."""
        self._images = self._images.to(device)
        train, fill = self._images.train, self.normalization[0]
        for chosen in rows.to(device):
            stored = augment(
                train.stored[chosen], chosen, flip=self.flip, padding=self.crop_padding, seed=seed, epoch=epoch
            )
            pixels = in_unit_interval(stored)
            yield (
                cutout(pixels, chosen, length=self.cutout, fill=fill, seed=seed, epoch=epoch),
                train.labels[chosen],
            )

    def test(self, rows: range, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Batches of test images, in order."""
        self._images = self._images.to(device)
        for begin in range(0, len(rows), batch_size):
            yield self._images.test.batch(torch.tensor(rows[begin : begin + batch_size], device=device))


class FolderStream(AbstractStream):
    """Photographs in folders, read while training: ``path/train/CLASS/*.JPEG``, ``path/val/CLASS/*.JPEG``.

    Classes are numbered in sorted order of their folders' names, as usual for ImageNet.

    Args:
        path: folder of ``train`` and ``val`` (or ``valid``, or ``test``).
        size: height and width of the views in pixels.
        workers: processes that read and augment, for every process that trains; 0 reads in that one.
        name: name of the image set in results.

    Raises:
        ConfigurationError: if folders are missing or differ in their classes.
    """

    normalization = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # of ImageNet, as usual

    def __init__(self, path: str | Path, *, size: int = 224, workers: int = 4, name: str = "imagenet") -> None:
        folder = Path(path).expanduser()
        if size < 8 or workers < 0:
            raise ConfigurationError(f"stream.size={size}, stream.workers={workers}: give at least 8 pixels, 0 workers")
        parts = [folder / part for part in ("train", "val", "valid", "test") if (folder / part).is_dir()]
        if len(parts) < 2 or parts[0].name != "train":
            raise ConfigurationError(
                f"stream.path={path} needs the folders train and val, with a folder of images for every class; give "
                "the folder above them"
            )
        classes = [[place.name for place in class_folders(part)] for part in parts[:2]]
        if classes[0] != classes[1]:
            odd = sorted(set(classes[0]) ^ set(classes[1]))
            raise ConfigurationError(
                f"{parts[0]} and {parts[1]} have different classes: {', '.join(odd[:3])} in one only; the official "
                "validation images come in one folder and must be sorted into their classes' folders"
            )
        self.name, self.image_size, self.workers = name, size, workers
        self.num_classes, self.in_channels = len(classes[0]), 3
        self._train, self._test = (_Photographs(part, classes[0], size) for part in parts[:2])
        self.num_train, self.num_test = len(self._train), len(self._test)

    def describe(self) -> dict[str, Any]:
        """Settings as plain values; the files as a hash of their names and sizes, of a small set also of their content.

        Raises:
            ConfigurationError: if a file cannot be read.
        """
        files = [part.folder / os.fsdecode(file) for part in (self._train, self._test) for file in part.files]
        names, sizes = [*self._train.files.tolist(), *self._test.files.tolist()], []
        try:
            sizes = [file.stat().st_size for file in files]
            content = [of_file(file) for file in files] if sum(sizes) <= _HASHED_BYTES else []
        except (OSError, UnreadableFile) as error:
            raise ConfigurationError(f"{self.name}: a file cannot be read ({error}); replace or remove it") from error
        digest = of_json([[name.hex() for name in names], sizes, content])
        return {"name": self.name, "size": self.image_size, "files": digest}

    def batches(
        self, rows: Int[Tensor, "steps batch"], *, seed: int, epoch: int, device: torch.device
    ) -> Iterator[Batch]:
        """Augmented batches of training images, one per step.

        Raises:
            ConfigurationError: if a file cannot be read.
        """
        self._train.draw = (seed, epoch)
        yield from self._read(self._train, rows.tolist(), device)

    def test(self, rows: range, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Batches of test images, in order.

        Raises:
            ConfigurationError: if a file cannot be read.
        """
        chosen = list(rows)
        groups = [chosen[begin : begin + batch_size] for begin in range(0, len(chosen), batch_size)]
        yield from self._read(self._test, groups, device)

    def _read(self, images: "_Photographs", groups: list[list[int]], device: torch.device) -> Iterator[Batch]:
        cuda = device.type == "cuda"
        loader = DataLoader(
            images, batch_sampler=groups, num_workers=self.workers, collate_fn=_collate, pin_memory=cuda
        )
        for found in _living(loader):
            if isinstance(found, ConfigurationError):
                raise found
            stored, labels = (values.to(device, non_blocking=cuda) for values in found)
            yield in_unit_interval(stored), labels


def _living(loader: DataLoader) -> Iterator[Any]:
    """What a loader gives; a reading process that was killed, or had no shared memory left, becomes one line."""
    batches = iter(loader)
    while True:
        try:
            found = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            raise TaskError(
                f"a process that reads images has ended ({str(error).splitlines()[0]}); the same command continues, "
                "with stream.workers=0 in one process"
            ) from error
        yield found


class _Photographs(Dataset):
    """Files by index: bytes ``[3, size, size]`` and label, or an error message.

    Names are kept in one array: a list of a million would be copied, bit by bit, into every worker.

    Attributes:
        draw: seed and epoch of the augmentation; without it images are as the test wants them.
    """

    draw: tuple[int, int] | None = None

    def __init__(self, folder: Path, classes: Sequence[str], size: int) -> None:
        self.folder, self.size = folder, size
        files = class_files(folder)
        self.files = np.array([os.fsencode(f"{file.parent.name}/{file.name}") for file in files])
        numbers = {name: number for number, name in enumerate(classes)}
        self.labels = np.array([numbers[file.parent.name] for file in files])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int] | ConfigurationError:
        file = self.folder / os.fsdecode(self.files[row])
        try:
            with Image.open(file) as opened:
                image = opened.convert("RGB")
        except UNREADABLE as error:
            return ConfigurationError(f"{file} cannot be read ({error}); replace or remove it")
        if self.draw is None:
            view = centre(image, self.size)
        else:
            seed, epoch = self.draw
            key = keys(seed, "photograph", torch.tensor([row]), torch.tensor([epoch]))
            view = photograph(image, self.size, uniform(key, (DRAWS,))[0].tolist())
        return np.asarray(view).transpose(2, 0, 1), int(self.labels[row])


def _collate(
    items: Sequence[tuple[np.ndarray, int] | ConfigurationError],
) -> tuple[UInt8[Tensor, "batch 3 height width"], Int[Tensor, " batch"]] | ConfigurationError:
    """A batch, or the first thing that is wrong: raised by a worker, it would reach the user in a traceback's midst."""
    good = []
    for item in items:
        if isinstance(item, ConfigurationError):
            return item
        good.append(item)
    images, labels = zip(*good, strict=True)
    return torch.from_numpy(np.stack(images)), torch.tensor(labels)
