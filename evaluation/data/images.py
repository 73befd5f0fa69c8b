"""The types of an image set: pixels, labels and splits."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Photographs are kept as the bytes they come as, a quarter of the memory of floats, and become floats batch by batch.

    Attributes:
        stored: values in [0, 1], or bytes that mean multiples of 1/255.
        labels: class indices, int64.
    """

    stored: Float[Tensor, "images channels height width"] | UInt8[Tensor, "images channels height width"]
    labels: Int[Tensor, " images"]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.stored.shape[1:]))
        return f"Images({len(self)} of {shape}, {self.stored.dtype} on {self.stored.device})"

    @property
    def pixels(self) -> Float[Tensor, "images channels height width"]:
        """All images with values in [0, 1]; a copy where bytes are stored. Of large sets take :meth:`batch`."""
        return in_unit_interval(self.stored)

    @property
    def size(self) -> int:
        """Height and width of the images in pixels."""
        return self.stored.shape[-1]

    def batch(
        self, rows: slice | Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch channels height width"], Int[Tensor, " batch"]]:
        """Pixels in [0, 1] and labels of some images."""
        return in_unit_interval(self.stored[rows]), self.labels[rows]

    def first(self, n: int) -> "Images":
        """The first ``n`` images (their order is random in every set of this package, so this is a random subset)."""
        return Images(self.stored[:n], self.labels[:n])

    def to(self, device: torch.device | str) -> "Images":
        """The same images on a device."""
        return Images(self.stored.to(device), self.labels.to(device))


def in_unit_interval(
    stored: Float[Tensor, "*batch channels height width"] | UInt8[Tensor, "*batch channels height width"],
) -> Float[Tensor, "*batch channels height width"]:
    """Pixels in [0, 1]: bytes divided by 255, anything else as it is."""
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored


@dataclass(frozen=True)
class ImageSplits:
    """An image classification task: networks fit ``train``, searches may see ``valid``, reports quote ``test``.

    Attributes:
        name: the data set's name, which begins the columns of a table.
        num_classes: labels are ``0..num_classes - 1``.
        train: images networks are trained on.
        valid: images a search may see.
        test: images a report quotes.
        normalization: mean and standard deviation of every channel, in pixels, as published with the data set; without
            it they are taken over all training pixels.
    """

    name: str
    num_classes: int
    train: Images
    valid: Images
    test: Images
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __repr__(self) -> str:
        parts = ", ".join(f"{part}={getattr(self, part)!r}" for part in ("train", "valid", "test"))
        return f"ImageSplits({self.name}, {self.num_classes} classes, {parts})"

    @property
    def in_channels(self) -> int:
        """Colour channels of the images."""
        return self.train.stored.shape[1]

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""
        return self.train.size

    @property
    def mean(self) -> float | tuple[float, ...]:
        """Mean pixel, of all channels or of each, for the normalisation inside the network."""
        return self.normalization[0] if self.normalization else float(self.train.pixels.mean())

    @property
    def std(self) -> float | tuple[float, ...]:
        """Standard deviation of the pixels, of all channels or of each."""
        return self.normalization[1] if self.normalization else float(self.train.pixels.std())

    def to(self, device: torch.device | str) -> "ImageSplits":
        """The same splits on a device."""
        train, valid, test = (part.to(device) for part in (self.train, self.valid, self.test))
        return ImageSplits(self.name, self.num_classes, train, valid, test, self.normalization)
