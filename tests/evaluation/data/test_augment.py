import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from evaluation.data.augment import augment

ROWS = torch.arange(400)


def pictures(n: int = 400, channels: int = 2, height: int = 5, width: int = 7) -> Tensor:
    """Bytes, none of them black."""
    rng = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (n, channels, height, width), generator=rng, dtype=torch.uint8)


def test_nothing_asked_nothing_done() -> None:
    images = pictures()
    assert augment(images, ROWS, flip=False, padding=0, seed=0, epoch=0) is images


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_half_are_mirrored(dtype: torch.dtype) -> None:
    images = pictures().to(dtype)
    found = augment(images, ROWS, flip=True, padding=0, seed=0, epoch=0)
    same = (found == images).flatten(1).all(dim=1)
    mirrored = (found == images.flip(-1)).flatten(1).all(dim=1)
    assert bool((same ^ mirrored).all())
    assert abs(int(mirrored.sum()) - 200) < 5 * 10, "five sigmas"
    assert found.dtype == dtype


@pytest.mark.parametrize(("flip", "padding"), [(False, 2), (True, 1)])
def test_crops_are_windows_of_the_frame(flip: bool, padding: int) -> None:
    """Every image is one of all possible crops, and all possible crops occur about equally often."""
    images = pictures()
    found = augment(images, ROWS, flip=flip, padding=padding, seed=0, epoch=0)
    counts = []
    for source in (images, images.flip(-1))[: 1 + flip]:
        frame = F.pad(source, (padding,) * 4)
        for down in range(2 * padding + 1):
            for right in range(2 * padding + 1):
                window = frame[:, :, down : down + 5, right : right + 7]
                counts.append(int((found == window).flatten(1).all(dim=1).sum()))
    assert sum(counts) == len(images)
    expected = len(images) / len(counts)
    assert max(abs(count - expected) for count in counts) < 5 * expected**0.5, "five sigmas"


def test_draws_belong_to_the_image() -> None:
    """Whatever its batch and place: the same epoch gives the same crop, another epoch or seed another."""
    images = pictures()

    def made(rows: Tensor, seed: int = 0, epoch: int = 0) -> Tensor:
        return augment(images[rows], rows, flip=True, padding=2, seed=seed, epoch=epoch)

    whole, shuffled = made(ROWS), torch.randperm(400, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made(shuffled), whole[shuffled])
    assert torch.equal(torch.cat([made(part) for part in ROWS.split(7)]), whole)
    for other in (made(ROWS, epoch=1), made(ROWS, seed=1)):
        assert float((other == whole).flatten(1).all(dim=1).double().mean()) < 0.1


def test_bytes_and_pixels_are_augmented_alike() -> None:
    images = pictures()
    found = [augment(x, ROWS, flip=True, padding=2, seed=3, epoch=4) for x in (images, images / 255)]
    assert torch.equal(found[0] / 255, found[1])


@pytest.mark.gpu
def test_devices_agree() -> None:
    images = pictures()
    here, there = (
        augment(images.to(device), ROWS.to(device), flip=True, padding=2, seed=0, epoch=0) for device in ("cpu", "cuda")
    )
    assert torch.equal(here, there.cpu())
