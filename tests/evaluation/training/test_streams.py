"""Images for training: augmentation belongs to (seed, epoch, image)."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agnet.errors import ConfigurationError
from evaluation.data.images import ImageSplits
from evaluation.training.streams import ArrayStream, FolderStream
from evaluation.training.transforms import ATTEMPTS, centre, cutout, jitter, random_crop

CPU = torch.device("cpu")


def test_cutout_hides_one_square() -> None:
    rows = torch.arange(200)
    images = torch.ones(200, 3, 12, 12)
    hidden = cutout(images, rows, length=4, fill=(0.1, 0.2, 0.3), seed=0, epoch=1)
    assert torch.equal(hidden[3:7], cutout(images[3:7], rows[3:7], length=4, fill=(0.1, 0.2, 0.3), seed=0, epoch=1))
    assert not torch.equal(hidden, cutout(images, rows, length=4, fill=(0.1, 0.2, 0.3), seed=0, epoch=2))
    masks = hidden[:, 0] != 1
    assert torch.equal(hidden[:, 2] != 1, masks)
    assert hidden[:, 1][masks].unique().tolist() == pytest.approx([0.2])
    for mask in masks:  # a full rectangle, cut off by the border alone
        down, right = (mask.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
        assert int(mask.sum()) == len(down) * len(right)
        for places in (down, right):
            assert len(places) == 4 or (2 <= len(places) < 4 and {0, 11} & set(places.tolist()))
    assert masks.any(dim=0).all()
    assert cutout(images, rows, length=0, fill=0.0, seed=0, epoch=0) is images


def test_arrays_are_augmented_by_image(splits: ImageSplits) -> None:
    """The same image in another batch, another step, is the same; in another epoch it is not."""
    stream = ArrayStream(splits, crop_padding=2, cutout=3)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))

    def by_image(rows: torch.Tensor, epoch: int) -> torch.Tensor:
        found = torch.empty(48, 3, 8, 8)
        for chosen, (pixels, labels) in zip(rows, stream.batches(rows, seed=5, epoch=epoch, device=CPU), strict=True):
            found[chosen] = pixels
            assert torch.equal(labels, splits.train.labels[chosen])
        return found

    first = by_image(torch.arange(48).view(4, 12), 0)
    assert torch.equal(first, by_image(order.view(8, 6), 0))
    assert not torch.equal(first, by_image(order.view(8, 6), 1))
    test = torch.cat([pixels for pixels, _ in stream.test(range(1, 12, 2), 4, CPU)])
    assert torch.equal(test, splits.test.pixels[1::2])


def test_folders_are_read_by_workers_as_without(photographs: Path) -> None:
    rows = torch.tensor([[0, 5, 11], [3, 2, 7]])
    plain, helped = (FolderStream(photographs, size=32, workers=workers) for workers in (0, 2))
    assert (plain.num_classes, plain.num_train, plain.num_test) == (2, 12, 5)
    first, second = (list(s.batches(rows, seed=1, epoch=2, device=CPU)) for s in (plain, helped))
    for (pixels, labels), (others, other_labels) in zip(first, second, strict=True):
        assert tuple(pixels.shape) == (3, 3, 32, 32)
        assert torch.equal(pixels, others)
        assert torch.equal(labels, other_labels)
    assert first[0][1].tolist() == [0, 0, 1]  # six files of each class, in the order of the classes
    [(swapped, _), *_] = plain.batches(rows[[1, 0]][:, [2, 1, 0]], seed=1, epoch=2, device=CPU)
    assert torch.equal(swapped, first[1][0].flip(0))
    [(later, _), *_] = plain.batches(rows, seed=1, epoch=3, device=CPU)
    assert not torch.equal(later, first[0][0])
    labels = torch.cat([labels for _, labels in plain.test(range(5), 2, CPU)])
    assert labels.tolist() == [0, 0, 0, 1, 1]


def test_bad_folders_and_files_are_named(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs the folders train and val"):
        FolderStream(photographs / "train")
    broken = shutil.copytree(photographs, tmp_path / "broken")
    (broken / "train" / "n00000000" / "train_0.JPEG").write_bytes(b"no image")
    for workers in (0, 1):
        stream = FolderStream(broken, size=32, workers=workers)
        with pytest.raises(ConfigurationError, match=r"train_0\.JPEG cannot be read") as caught:
            list(stream.batches(torch.arange(12).view(3, 4), seed=0, epoch=0, device=CPU))
        assert "Traceback" not in str(caught.value)
    shutil.rmtree(broken / "val" / "n00000001")
    with pytest.raises(ConfigurationError, match="different classes: n00000001"):
        FolderStream(broken)


def test_the_middle_of_a_photograph() -> None:
    """As 256 and 224 pixels: of a gradient, the middle 7/8 of the shorter side."""
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :], (512, 1))
    view = np.asarray(centre(Image.fromarray(ramp), 224))
    assert view.shape == (224, 224)
    assert view[0].tolist() == list(range(16, 240))


def test_random_crops_cover_the_stated_areas() -> None:
    """The mark of the place, a two-dimensional gradient, tells where a crop was taken."""
    size = 200
    down, right = np.mgrid[:size, :size].astype(np.uint8)
    image = Image.fromarray(np.stack([down, right, 0 * down], axis=2))
    numbers = np.random.default_rng(0).random((300, 4 * ATTEMPTS))
    areas = []
    for row in numbers:
        view = np.asarray(random_crop(image, 64, row.tolist())).astype(float)
        height, width = np.ptp(view[..., 0]) + 1, np.ptp(view[..., 1]) + 1
        areas.append(height * width / size**2)
        assert 0.7 < width / height < 1.45
    assert 0.05 < min(areas) < 0.12
    assert 0.9 < max(areas) <= 1
    narrow = Image.fromarray(np.zeros((10, 400, 3), dtype=np.uint8))
    assert random_crop(narrow, 16, [0.999] * 4 * ATTEMPTS).size == (16, 16)


def test_jitter_in_the_middle_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    order = [0.1, 0.2, 0.3, 0.4]
    same = np.asarray(jitter(image, [0.5] * 4 + order)).astype(int)
    assert np.abs(same - pixels).max() <= 8  # hue, saturation and value are bytes
    dark = np.asarray(jitter(image, [0.0, 0.5, 0.5, 0.5, *order])).astype(int)
    assert np.abs(dark - 0.6 * pixels).max() <= 8
    assert not np.array_equal(
        np.asarray(jitter(image, [0.0, 0.0, 0.5, 0.5, *order])),
        np.asarray(jitter(image, [0.0, 0.0, 0.5, 0.5, 0.2, 0.1, 0.3, 0.4])),
    )


def test_settings_and_images_are_described(splits: ImageSplits, photographs: Path) -> None:
    assert ArrayStream(splits).describe() != ArrayStream(splits, cutout=0).describe()
    assert ArrayStream(splits).describe() == ArrayStream(splits).describe()
    assert FolderStream(photographs).describe() != FolderStream(photographs, size=128).describe()
    with pytest.raises(ConfigurationError, match=r"stream\.cutout=-1"):
        ArrayStream(splits, cutout=-1)
