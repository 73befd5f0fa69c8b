import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from evaluation.corruptions import SEVERITIES
from evaluation.corruptions.blur import DEFOCUS, MOTION, ZOOM_COUNT, disk, zoom_factors
from evaluation.corruptions.filters import (
    clamp_index,
    gaussian_matrix,
    mirror_centres,
    mirror_edges,
    motion_blur_levels,
    motion_offsets,
    motion_weights,
    zoom_matrix,
    zoom_steps,
)


@pytest.mark.parametrize(
    ("fold", "mode"), [(clamp_index, "edge"), (mirror_edges, "symmetric"), (mirror_centres, "reflect")]
)
def test_borders_are_those_of_numpy(fold, mode: str) -> None:
    line = np.arange(5)
    assert fold(torch.arange(-12, 17), 5).tolist() == np.pad(line, 12, mode=mode).tolist()


@pytest.mark.parametrize("border", ["nearest", "reflect"])
@pytest.mark.parametrize("sigma", [0.05, 0.25, 0.4, 0.96, 6.4])
def test_gaussian_matrices_are_scipys_filter(border: str, sigma: float) -> None:
    expected = ndimage.gaussian_filter1d(np.eye(20), sigma, axis=0, mode=border, truncate=3.0)
    assert np.abs(gaussian_matrix(20, sigma, 3.0, border).numpy() - expected).max() < 1e-15


def test_no_smoothing_is_the_identity() -> None:
    assert gaussian_matrix(9, 0.0, 3.0, "reflect").equal(torch.eye(9, dtype=torch.float64))


@pytest.mark.parametrize("size", [8, 24, 32, 41])
def test_zoom_matrices_are_scipys_zoom(size: int) -> None:
    for factor in (*zoom_factors(26), 1.75, 2.25):
        crop, stretched = zoom_steps(factor, size)
        first = (size - crop) // 2
        trim = (stretched - size) // 2
        large = ndimage.zoom(np.eye(size)[first : first + crop], (factor, 1), order=1)
        assert len(large) == stretched
        assert np.abs(zoom_matrix(size, crop, stretched).numpy() - large[trim : trim + size]).max() < 1e-12


@pytest.mark.parametrize("severity", SEVERITIES)
def test_zoom_factors_are_those_of_arange(severity: int) -> None:
    end = (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1]
    assert list(zoom_factors(ZOOM_COUNT[severity - 1])) == np.arange(1, end, 0.01).tolist()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_weights_sum_to_one(severity: int) -> None:
    assert abs(float(disk(*DEFOCUS[severity - 1]).sum()) - 1) < 1e-12
    assert abs(float(motion_weights(*MOTION[severity - 1]).sum()) - 1) < 1e-12
    for factor in zoom_factors(26):
        assert (zoom_matrix(32, *zoom_steps(factor, 32)).sum(dim=1) - 1).abs().max() < 1e-12


def test_the_disks_are_dot_cross_and_box() -> None:
    weights = [disk(*setting) for setting in DEFOCUS]
    centres = [float(kernel[len(kernel) // 2, len(kernel) // 2]) for kernel in weights]
    assert [round(c, 3) for c in centres[:3]] == [0.845, 0.619, 0.445]
    assert round(centres[3], 3) == 0.2
    assert round(centres[4], 3) == 0.111
    assert [int((kernel > 0.01).sum()) for kernel in weights[3:]] == [5, 9]


def test_motion_runs_along_the_line() -> None:
    rows, columns = motion_offsets(torch.tensor([0.0, 45.0, -90.0, -135.0]), 4)
    assert rows.tolist() == [[0, 0, 0, 0], [0, 1, 1, 2], [0, -1, -2, -3], [0, -1, -1, -2]]
    assert columns.tolist() == [[0, 1, 2, 3], [0, 1, 1, 2], [0, 0, 0, 0], [0, -1, -1, -2]]


def test_a_moving_dot_leaves_a_tail() -> None:
    dot = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    dot[0, 0, 4, 4] = 255
    tail = motion_blur_levels(dot, torch.zeros(1), 1, 2.0)[0, 0]
    total = 1 + math.exp(-1 / 8) + math.exp(-4 / 8)
    expected = [round(255 * math.exp(-i * i / 8) / total) for i in (2, 1, 0)]
    assert tail[4].tolist() == [0, 0, *expected, 0, 0, 0, 0]
    assert int(tail.sum()) == sum(expected)
