import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.corruptions import SEVERITIES, FrostPictures, corrupt, procedural_frost
from evaluation.corruptions.plasma import plasma, power_of_two
from evaluation.corruptions.weather import BRIGHTNESS, FOG, FROST, SNOW
from evaluation.randomness import keys


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gray_gets_brighter_by_the_constant(severity: int) -> None:
    gray = torch.arange(256, dtype=torch.uint8)[None, None, :, None].expand(1, 3, 256, 8)
    expected = (gray.double() / 255 + BRIGHTNESS[severity - 1]).clamp(max=1) * 255
    assert corrupt(gray, "brightness", severity, seed=0).equal((expected + 1e-6).to(torch.uint8))


def test_brightness_keeps_the_hue() -> None:
    colour = torch.tensor([60, 30, 0], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 8, 8)
    red, green, blue = corrupt(colour, "brightness", 4, seed=0)[0, :, 0, 0].tolist()
    assert (red, green, blue) == (111, 55, 0)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog_thins_out_towards_the_brightest_pixel(severity: int) -> None:
    black = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    assert corrupt(black, "fog", severity, seed=0).equal(black)
    white = torch.full((3, 3, 32, 32), 255, dtype=torch.uint8)
    amount = FOG[severity - 1][0]
    foggy = corrupt(white, "fog", severity, seed=0)
    assert (foggy.amax((1, 2, 3)) == 255).all()
    assert (foggy.amin((1, 2, 3)) == int(255 / (1 + amount) + 1e-6)).all()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_frost_is_a_weighted_sum(severity: int) -> None:
    pictures = tuple(torch.full((3, 40, 50), 40 * (i + 1), dtype=torch.uint8) for i in range(5))
    images = torch.full((64, 3, 32, 32), 100, dtype=torch.uint8)
    frosty = corrupt(images, "frost", severity, seed=0, frost=FrostPictures(pictures, "pictures"))
    image_weight, frost_weight = FROST[severity - 1]
    expected = {min(int(image_weight * 100 + frost_weight * 40 * (i + 1) + 1e-6), 255) for i in range(5)}
    assert set(frosty.unique().tolist()) == expected


def test_every_piece_of_a_picture_but_the_last_row_and_column_can_come() -> None:
    images = torch.zeros(400, 3, 8, 8, dtype=torch.uint8)
    row, column = torch.arange(12)[:, None].expand(12, 10), torch.arange(10).expand(12, 10)
    for place, expected in ((row, {0, 6, 12, 18}), (column, {0, 6})):
        picture = (place * 20).to(torch.uint8).expand(3, 12, 10).contiguous()
        frosty = corrupt(images, "frost", 2, seed=0, frost=FrostPictures((picture,) * 5, "pictures"))
        assert set(frosty[:, 0, 0, 0].tolist()) == expected
        assert (frosty[:, 0, -1, -1] - frosty[:, 0, 0, 0] == 42).all()


def test_frost_pictures_must_be_larger_than_the_images(images: UInt8[Tensor, "n 3 h w"]) -> None:
    small = FrostPictures((torch.zeros(3, 32, 60, dtype=torch.uint8),) * 5, "pictures")
    with pytest.raises(ConfigurationError, match=r"32x60 .* images of 32x32; give larger pictures"):
        corrupt(images, "frost", 1, seed=0, frost=small)


def test_snow_falls_steeply_and_whitens() -> None:
    black = torch.zeros(20, 3, 32, 32, dtype=torch.uint8)
    for severity, setting in zip(SEVERITIES, SNOW, strict=True):
        snowy = corrupt(black, "snow", severity, seed=0)
        base = (1 - setting.keep) * 0.5 * 255
        assert int(snowy.min()) >= int(base)
        light = snowy.double() - base
        assert light.flip((2, 3)).sub(light).abs().max() < 1e-9  # a layer and its rotation
        along, across = (light.diff(dim=d).abs().mean() for d in (2, 3))
        assert along < across


def test_plasma_fills_the_unit_interval_and_wraps() -> None:
    maps = plasma(keys(0, "x", torch.arange(50)), 32, 2.0)
    assert maps.amin((1, 2)).eq(0).all()
    assert maps.amax((1, 2)).eq(1).all()
    inside = maps.diff(dim=2).abs().mean()
    seam = (maps[:, :, 0] - maps[:, :, -1]).abs().mean()
    assert 0.5 < seam / inside < 2


def test_smoother_plasma_decays_faster() -> None:
    key = keys(0, "x", torch.arange(20))
    steps = [float(plasma(key, 32, decay).diff(dim=1).abs().mean()) for decay in (1.5, 2.0, 3.0)]
    assert steps == sorted(steps, reverse=True)


def test_power_of_two() -> None:
    assert [power_of_two(n) for n in (2, 3, 8, 9, 32, 33)] == [2, 4, 8, 16, 32, 64]


def test_procedural_frost_is_the_same_every_time_and_large_enough() -> None:
    frost = procedural_frost(32)
    assert frost.source == "procedural"
    assert len(frost.pictures) == 5
    procedural_frost.cache_clear()
    assert all(a.equal(b) for a, b in zip(frost.pictures, procedural_frost(32).pictures, strict=True))
    assert procedural_frost(100).pictures[0].shape == (3, 512, 512)
    assert all(90 < float(p.double().mean()) < 180 for p in frost.pictures)
