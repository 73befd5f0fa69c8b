import torch

from evaluation.corruptions.pixels import luma, pick, to_levels, truncate, unit

LEVELS = torch.arange(256, dtype=torch.uint8)


def test_levels_survive_the_way_there_and_back() -> None:
    assert truncate(unit(LEVELS)).equal(LEVELS)
    assert to_levels(unit(LEVELS)).equal(LEVELS)
    assert to_levels(LEVELS.float() / 255).equal(LEVELS)


def test_truncation_forgives_rounding_errors_only() -> None:
    values = torch.tensor([100 - 1e-9, 100 - 1e-3, 100 + 0.999], dtype=torch.float64) / 255
    assert truncate(values).tolist() == [100, 99, 100]


def test_luma_of_gray_is_gray() -> None:
    gray = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    assert luma(gray) is gray
    assert (luma(gray.expand(-1, 3, -1, -1)) - gray).abs().max() < 1e-15


def test_pick_takes_other_places_for_every_image() -> None:
    images = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    rows, columns = torch.randint(4, (2, 6, 7)), torch.randint(5, (2, 6, 7))
    picked = pick(images, rows, columns)
    for i in range(2):
        assert picked[i].equal(images[i][:, rows[i], columns[i]])
