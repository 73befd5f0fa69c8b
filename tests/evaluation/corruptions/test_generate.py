import inspect

import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.corruptions import CORRUPTIONS, SEVERITIES, by_name, corrupt, procedural_frost
from evaluation.corruptions import generate as generate_module

DRAWS_NOTHING = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}
GROWS = set(CORRUPTIONS) - {"glass_blur", "frost", "elastic_transform"}  # those trade one kind of harm for another


def test_there_are_fifteen_in_the_order_of_the_paper() -> None:
    assert len(CORRUPTIONS) == len(set(CORRUPTIONS)) == 15
    assert CORRUPTIONS[7:10] == ("snow", "frost", "fog")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_does_not_depend_on_its_batch(
    monkeypatch: pytest.MonkeyPatch, images: UInt8[Tensor, "n 3 h w"], name: str
) -> None:
    together = corrupt(images, name, 3, seed=1)
    order = torch.tensor([2, 0, 3, 1])
    assert corrupt(images[order], name, 3, seed=1, indices=order).equal(together[order])
    for i in range(len(images)):
        assert corrupt(images[i : i + 1], name, 3, seed=1, indices=torch.tensor([i])).equal(together[i : i + 1])
    monkeypatch.setitem(generate_module._VALUES_AT_A_TIME, "cpu", 3 * images[0].numel())
    assert corrupt(images, name, 3, seed=1).equal(together)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_severity_and_index_matter(images: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    base = corrupt(images, name, 3, seed=1)
    assert corrupt(images, name, 3, seed=1).equal(base)
    assert not corrupt(images, name, 4, seed=1).equal(base)
    elsewhere = corrupt(images, name, 3, seed=1, indices=torch.arange(4) + 10)
    assert corrupt(images, name, 3, seed=2).equal(base) == (name in DRAWS_NOTHING)
    assert elsewhere.equal(base) == (name in DRAWS_NOTHING)


@pytest.mark.parametrize("name", sorted(GROWS - {"pixelate"}))  # few edges: it depends on where they lie
def test_distortion_grows_with_severity(images: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    harm = [float((corrupt(images, name, s, seed=0).double() - images).abs().mean()) for s in SEVERITIES]
    assert harm == sorted(harm)
    assert harm[0] > 0


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(GROWS))
def test_distortion_of_photographs_grows_with_severity(photographs: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    photographs = photographs[:100]
    harm = [float((corrupt(photographs, name, s, seed=0).double() - photographs).abs().mean()) for s in SEVERITIES]
    assert harm == sorted(harm)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_numbers_in_the_unit_interval_mean_levels(images: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    assert corrupt(images.float() / 255, name, 2, seed=0).equal(corrupt(images, name, 2, seed=0))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (3, 9, 50), (1, 33, 16)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_gray_small_and_odd_images(name: str, shape: tuple[int, int, int]) -> None:
    images = torch.randint(256, (2, *shape), dtype=torch.uint8)
    corrupted = corrupt(images, name, 5, seed=0)
    assert corrupted.shape == images.shape
    assert not corrupted.equal(images)


@pytest.mark.parametrize("name", sorted({*DRAWS_NOTHING, "motion_blur", "glass_blur", "elastic_transform"}))
def test_gray_images_are_equal_channels(name: str) -> None:
    gray = torch.randint(256, (2, 1, 32, 32), dtype=torch.uint8)
    alone = corrupt(gray, name, 3, seed=0)
    within = corrupt(gray.expand(-1, 3, -1, -1), name, 3, seed=0)
    assert within.equal(alone.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast", "pixelate"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_flat_images_stay_as_they_are(name: str, severity: int) -> None:
    flat = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(256, 3, 32, 32)
    assert corrupt(flat, name, severity, seed=0).equal(flat.contiguous())


def test_nothing_is_left_of_an_empty_batch() -> None:
    empty = torch.empty(0, 3, 32, 32, dtype=torch.uint8)
    assert all(corrupt(empty, name, 1, seed=0).shape == empty.shape for name in CORRUPTIONS)


def test_the_input_is_left_alone(images: UInt8[Tensor, "n 3 h w"]) -> None:
    before = images.clone()
    for name in CORRUPTIONS:
        corrupt(images, name, 5, seed=0)
    assert images.equal(before)


def test_wrong_settings_name_value_and_remedy(images: UInt8[Tensor, "n 3 h w"]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no corruption 'smog'; give one of gaussian_noise, .*jpeg_compression"
    ):
        corrupt(images, "smog", 1, seed=0)
    for severity in (0, 6):
        with pytest.raises(ConfigurationError, match=rf"severity={severity}; give one of 1, 2, 3, 4, 5"):
            corrupt(images, "fog", severity, seed=0)
    with pytest.raises(ConfigurationError, match=r"images of 2 channels; give 1 .* or 3"):
        corrupt(images[:, :2], "fog", 1, seed=0)
    with pytest.raises(ConfigurationError, match="images of 7x32 pixels; give 8x8 or larger"):
        corrupt(images[:, :, :7], "fog", 1, seed=0)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigurationError, match=r"give numbers in \[0, 1\] or 8-bit levels"):
            corrupt(torch.full((1, 3, 8, 8), bad), "fog", 1, seed=0)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_function_behind_a_name_has_it(name: str) -> None:
    function = by_name(name)
    assert getattr(function, "func", function).__name__ == name
    assert list(inspect.signature(function).parameters)[:3] == ["images", "severity", "keys"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_gpu_gives_the_same_levels(images: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    frost = procedural_frost()
    for severity in SEVERITIES:
        here = corrupt(images, name, severity, seed=0, frost=frost).int()
        there = corrupt(images.cuda(), name, severity, seed=0, frost=frost).cpu().int()
        # logarithm and cosine of normal draws, sine and cosine of angles may differ in the last bit
        assert (here != there).double().mean() < 1e-3
