import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.data.bundled import digits
from evaluation.data.images import Images, ImageSplits


@pytest.fixture(scope="module")
def splits() -> ImageSplits:
    return digits()


def rows(images: Images) -> Tensor:
    """One row per image: the pixels in sixteenths, then the label."""
    return torch.cat([images.pixels.flatten(1) * 16, images.labels[:, None].float()], dim=1)


def in_order(table: Tensor) -> list[tuple[float, ...]]:
    return sorted(map(tuple, table.tolist()))


def test_sizes(splits: ImageSplits) -> None:
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [1_197, 300, 300]
    assert splits.train.pixels.shape == (1_197, 1, 8, 8)
    assert (splits.name, splits.num_classes, splits.in_channels) == ("digits", 10, 1)


@pytest.mark.parametrize(("num_valid", "num_test"), [(300, 300), (100, 500)])
def test_the_splits_partition_the_data(num_valid: int, num_test: int) -> None:
    """Every image of the data set is in exactly one split: together they are the data set, image for image."""
    splits = digits(num_valid=num_valid, num_test=num_test)
    together = torch.cat([rows(part) for part in (splits.train, splits.valid, splits.test)])
    flat, target = load_digits(return_X_y=True)
    expected = torch.cat([torch.from_numpy(flat).float(), torch.from_numpy(target)[:, None].float()], dim=1)
    assert in_order(together) == in_order(expected)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"num_valid": 0}, r"dataset\.num_valid=0; give 10\.\.1777 of the 1797 digits"),
        ({"num_test": 9}, r"dataset\.num_test=9; give 10\.\.1777"),
        ({"num_valid": 1000, "num_test": 788}, "num_valid=1000, num_test=788 leave too few .* at most 1787 together"),
    ],
)
def test_every_split_has_every_digit(counts: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        digits(**counts)


def test_no_image_of_one_split_is_in_another(splits: ImageSplits) -> None:
    seen = [set(in_order(rows(part))) for part in (splits.train, splits.valid, splits.test)]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_pixels_and_labels(splits: ImageSplits) -> None:
    for part in (splits.train, splits.valid, splits.test):
        assert part.pixels.dtype == torch.float32
        assert part.labels.dtype == torch.int64
        assert (float(part.pixels.min()), float(part.pixels.max())) == (0.0, 1.0)
        assert torch.equal(part.pixels * 16, (part.pixels * 16).round())


def test_classes_are_balanced(splits: ImageSplits) -> None:
    """Each class has its share of each split, to one image."""
    parts = (splits.train, splits.valid, splits.test)
    counts = torch.stack([part.labels.bincount(minlength=10) for part in parts]).double()
    sizes = counts.sum(dim=1, keepdim=True)
    share = counts.sum(dim=0) / sizes.sum()
    assert float((counts - sizes * share).abs().max()) <= 1.0


def test_splits_are_fixed(splits: ImageSplits) -> None:
    again = digits()
    for part in ("train", "valid", "test"):
        assert torch.equal(rows(getattr(again, part)), rows(getattr(splits, part)))


def test_split_seed_decides(splits: ImageSplits) -> None:
    assert not torch.equal(digits(split_seed=1).test.pixels, splits.test.pixels)


def test_the_test_split_does_not_depend_on_the_others(splits: ImageSplits) -> None:
    assert torch.equal(digits(num_valid=50).test.pixels, splits.test.pixels)


def test_statistics_are_of_the_training_pixels(splits: ImageSplits) -> None:
    assert splits.mean == pytest.approx(float(splits.train.pixels.double().mean()), rel=1e-5)
    assert splits.std == pytest.approx(float(splits.train.pixels.double().std()), rel=1e-5)


def test_first_keeps_images_with_their_labels(splits: ImageSplits) -> None:
    first = splits.train.first(7)
    assert len(first) == 7
    assert torch.equal(rows(first), rows(splits.train)[:7])
    assert len(splits.test.first(10_000)) == 300
    assert len(set(splits.test.first(100).labels.tolist())) == 10, "the splits are shuffled"
