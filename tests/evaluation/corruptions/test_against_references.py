"""Every corruption equals a plain implementation of one image at a time on the same draws, bit for bit."""

from functools import partial

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor

from benchmarks import corruptions_reference
from benchmarks.corruptions_reference import REFERENCES, KeyedDraws
from evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt, procedural_frost

SEED = 3


def difference(images: UInt8[Tensor, "n 3 h w"], name: str, severity: int) -> np.ndarray:
    """Levels between the batch and the reference."""
    frost = procedural_frost(max(images.shape[2:]))
    reference = {**REFERENCES, "frost": partial(corruptions_reference.frost, pictures=frost)}[name]
    ours = corrupt(images, name, severity, seed=SEED, frost=frost).permute(0, 2, 3, 1).numpy()
    theirs = [
        reference(image.permute(1, 2, 0).numpy().copy(), severity, KeyedDraws(SEED, name, severity, i))
        for i, image in enumerate(images)
    ]
    return np.abs(ours.astype(int) - np.stack(theirs))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_square_images(images: UInt8[Tensor, "n 3 h w"], name: str, severity: int) -> None:
    assert difference(images[:1], name, severity).max() == 0


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_that_are_not_square(wide: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    assert difference(wide[:1], name, 4).max() == 0


@pytest.mark.data
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_photographs(photographs: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    assert difference(photographs[:3], name, 5).max() == 0


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_references_do_something(images: UInt8[Tensor, "n 3 h w"], name: str) -> None:
    assert (corrupt(images, name, 5, seed=SEED) != images).double().mean() > 0.05
    assert images.dtype == torch.uint8
