import io

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from PIL import Image
from scipy import fft
from torch import Tensor

from evaluation.corruptions import SEVERITIES, corrupt
from evaluation.corruptions.digital import CONTRAST, affine, box_matrix, interpolate
from evaluation.corruptions.filters import mirror_edges
from evaluation.corruptions.jpeg import CHROMA_TABLE, LUMA_TABLE, TRANSFORM, quantisation_table, round_trip


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_keeps_channel_means_and_shrinks_spreads(images: UInt8[Tensor, "n 3 h w"], severity: int) -> None:
    before = images.double()
    after = corrupt(images, "contrast", severity, seed=0).double() + 0.5  # truncation takes half a level on average
    assert (after.mean((2, 3)) - before.mean((2, 3))).abs().max() < 0.5
    assert (after.std((2, 3)) / before.std((2, 3)) / CONTRAST[severity - 1] - 1).abs().max() < 0.03


@pytest.mark.parametrize("new_size", [5, 20, 24, 27, 28, 30, 32, 47])
def test_box_matrices_average_whole_pixels(new_size: int) -> None:
    weights = box_matrix(32, new_size)
    assert (weights.sum(dim=1) * 2.0**-22 - 1).abs().max() < 1e-5
    noise = np.random.default_rng(0).integers(256, size=(7, 32), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(noise).resize((new_size, 7), Image.Resampling.BOX))
    ours = torch.floor((torch.from_numpy(noise).double() @ weights.T + 2**21) / 2**22)
    assert ours.numpy().tolist() == theirs.tolist()


def test_the_affine_map_of_unmoved_points_is_the_identity(images: UInt8[Tensor, "n 3 h w"]) -> None:
    x = images.double()
    assert affine(x, torch.zeros(4, 3, 2, dtype=torch.float64), 2.0).equal(x)


def test_points_moved_alike_shift_the_image(images: UInt8[Tensor, "n 3 h w"]) -> None:
    x = images.double()
    jitter = torch.tensor([1.0, -2.0], dtype=torch.float64).expand(4, 3, 2)  # one column to the right, two rows up
    assert affine(x, jitter, 1.0)[:, :, :-2, 1:].equal(x[:, :, 2:, :-1])


def test_interpolation_is_linear_between_pixels() -> None:
    ramp = (10.0 * torch.arange(8)[:, None] + torch.arange(8)).double()[None, None]
    rows, columns = torch.full((1, 1, 1), 2.25).double(), torch.full((1, 1, 1), 4.5).double()
    assert interpolate(ramp, rows, columns, mirror_edges).item() == 27.0


def test_the_transform_is_the_cosine_transform() -> None:
    exact = fft.dct(np.eye(8), axis=0, norm="ortho") * np.sqrt(8) * 8192
    assert np.abs(np.array(TRANSFORM) - exact).max() < 1.5


@pytest.mark.parametrize("quality", [1, 10, 40, 50, 58, 65, 80, 95, 100])
def test_tables_are_those_pillow_writes(quality: int) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as picture:
        tables = picture.quantization
    for table, written in ((LUMA_TABLE, tables[0]), (CHROMA_TABLE, tables[1])):
        assert quantisation_table(table, quality).flatten().tolist() == list(written)


def by_pillow(images: UInt8[Tensor, "n c h w"], quality: int) -> np.ndarray:
    """The round trip of libjpeg itself."""
    decoded = []
    for image in images.permute(0, 2, 3, 1).numpy():
        stream = io.BytesIO()
        Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as picture:
            decoded.append(np.asarray(picture).reshape(image.shape))
    return np.stack(decoded).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (17, 31), (33, 40), (24, 50), (11, 32), (32, 32)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [10, 50, 95])
def test_the_round_trip_is_pillows(size: tuple[int, int], channels: int, quality: int) -> None:
    smooth = torch.rand(6, channels, 5, 5)
    images = torch.nn.functional.interpolate(smooth, size, mode="bicubic").clamp(0, 1)
    levels = (images * 255).to(torch.uint8)
    levels[:2] = torch.randint(256, levels[:2].shape, dtype=torch.uint8)  # noise, where clipping happens
    assert round_trip(levels, quality).numpy().tolist() == by_pillow(levels, quality).tolist()


@pytest.mark.data
@pytest.mark.parametrize("severity", SEVERITIES)
def test_photographs_come_back_as_from_pillow(photographs: UInt8[Tensor, "n 3 h w"], severity: int) -> None:
    quality = (80, 65, 58, 50, 40)[severity - 1]
    ours = corrupt(photographs, "jpeg_compression", severity, seed=0)
    assert (ours.numpy() == by_pillow(photographs, quality)).all()
