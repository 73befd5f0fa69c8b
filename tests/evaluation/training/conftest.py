from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.data.images import Images, ImageSplits


@pytest.fixture(scope="session")
def splits() -> ImageSplits:
    """Images of 8x8 pixels in three classes, told apart by the channel that is bright: 48 for training, 12 to judge."""
    rng = torch.Generator().manual_seed(0)

    def draw(count: int) -> Images:
        labels = torch.arange(count) % 3
        stored = torch.randint(0, 120, (count, 3, 8, 8), generator=rng, dtype=torch.uint8)
        stored[torch.arange(count), labels] += 100
        return Images(stored, labels)

    return ImageSplits("tiny", 3, draw(48), draw(0), draw(12), ((0.4, 0.4, 0.4), (0.25, 0.25, 0.25)))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like ImageNet's, of two classes: 12 training and 5 validation images of several sizes."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 5)):
        for i in range(count):
            place = folder / part / f"n{i % 2:08d}"
            place.mkdir(parents=True, exist_ok=True)
            height, width = rng.integers(40, 90, size=2)
            pixels = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
            image = Image.fromarray(pixels)
            (image.convert("L") if i == 3 else image).save(place / f"{part}_{i}.JPEG")
    return folder
