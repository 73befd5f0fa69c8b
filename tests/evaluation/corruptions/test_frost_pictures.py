from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agnet.errors import ConfigurationError
from evaluation.corruptions import corrupt, read_frost


def write(folder: Path, count: int = 5, size: tuple[int, int] = (201, 303)) -> np.ndarray:
    """Noise as pictures, PNG and JPEG in turn as in the published folder; returns the first."""
    folder.mkdir(exist_ok=True)
    pictures = np.random.default_rng(0).integers(256, size=(count, *size, 3), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"frost{i + 1}.{'png' if i < 3 else 'jpg'}")
    return pictures[0]


def test_pictures_shrink_to_a_fifth(tmp_path: Path) -> None:
    first = write(tmp_path)
    frost = read_frost(tmp_path)
    assert frost.source == "pictures"
    assert [tuple(p.shape) for p in frost.pictures] == [(3, 40, 61)] * 5
    assert frost.pictures[0][:, 1, 2].tolist() == first[7, 12].tolist()
    images = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    assert not corrupt(images, "frost", 1, seed=0, frost=frost).equal(corrupt(images, "frost", 1, seed=0))


def test_missing_and_broken_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no folder .*nowhere; put frost1\.png.* or leave the folder out"):
        read_frost(tmp_path / "nowhere")
    write(tmp_path, count=4)
    with pytest.raises(ConfigurationError, match=r"has no frost5\.png, \.jpg, \.jpeg; put"):
        read_frost(tmp_path)
    (tmp_path / "frost5.jpg").write_bytes(b"no picture")
    with pytest.raises(ConfigurationError, match=r"cannot read .*frost5\.jpg"):
        read_frost(tmp_path)


def test_a_cut_file_is_no_picture(tmp_path: Path) -> None:
    write(tmp_path)
    whole = (tmp_path / "frost1.png").read_bytes()
    (tmp_path / "frost1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"cannot read .*frost1\.png"):
        read_frost(tmp_path)
