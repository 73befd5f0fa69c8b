import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from agnet.runtime.paths import ROOT
from evaluation.corruptions.plasma import plasma
from evaluation.randomness import keys

CIFAR10_TEST = ROOT.parent / "shared" / "data" / "cifar10_test.webp"


def scenes(n: int, height: int, width: int) -> UInt8[Tensor, "n 3 h w"]:
    """Smooth colours with sharp edges, a white and a black patch: what photographs have."""
    side = 64
    index = torch.arange(n)
    colours = torch.stack([plasma(keys(c, "scene", index), side, 1.7) for c in range(3)], dim=1)
    pixels = (colours[:, :, :height, :width] * 255).to(torch.uint8)
    pixels[:, :, height // 2 :, : width // 3] //= 3
    pixels[:, :, :4, -4:] = 255
    pixels[:, :, -3:, -5:] = 0
    return pixels


@pytest.fixture(scope="session")
def images() -> UInt8[Tensor, "n 3 h w"]:
    return scenes(4, 32, 32)


@pytest.fixture(scope="session")
def wide() -> UInt8[Tensor, "n 3 h w"]:
    return scenes(2, 24, 41)


@pytest.fixture(scope="session")
def photographs() -> UInt8[Tensor, "n 3 h w"]:
    if not CIFAR10_TEST.is_file():
        pytest.skip(f"no {CIFAR10_TEST.name} beside the checkout")
    with Image.open(CIFAR10_TEST) as sprite:
        pixels = np.asarray(sprite.convert("RGB"))
    rows = torch.from_numpy(pixels[:64].reshape(2, 32, 100, 32, 3).copy())
    return rows.permute(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32).contiguous()
