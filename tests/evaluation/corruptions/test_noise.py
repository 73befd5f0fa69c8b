import math

import pytest
import torch
from scipy import stats

from evaluation.corruptions import SEVERITIES
from evaluation.corruptions.noise import (
    GAUSSIAN_STD,
    IMPULSE_SHARE,
    SHOT_PHOTONS,
    fractions,
    gaussian_noise,
    impulse_noise,
    poisson,
    shot_noise,
)
from evaluation.randomness import keys

GRAY = torch.full((40, 3, 32, 32), 128, dtype=torch.uint8)
KEYS = keys(0, "test", torch.arange(40))
COUNT = GRAY.numel()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_noise_has_its_spread(severity: int) -> None:
    noise = gaussian_noise(GRAY, severity, KEYS).double() + 0.5 - 128  # truncation takes half a level on average
    std = math.sqrt((GAUSSIAN_STD[severity - 1] * 255) ** 2 + 1 / 12)
    assert abs(float(noise.mean())) < 5 * std / math.sqrt(COUNT)
    assert abs(float(noise.std()) / std - 1) < 5 / math.sqrt(2 * COUNT)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulse_noise_hits_its_share_half_white_half_black(severity: int) -> None:
    noisy = impulse_noise(GRAY, severity, KEYS)
    share = IMPULSE_SHARE[severity - 1]
    assert abs(float((noisy != 128).double().mean()) - share) < 5 * math.sqrt(share / COUNT)
    assert set(noisy.unique().tolist()) == {0, 128, 255}
    assert abs(float((noisy == 255).double().mean()) - share / 2) < 5 * math.sqrt(share / 2 / COUNT)


@pytest.mark.parametrize("photons", SHOT_PHOTONS)
def test_poisson_numbers_are_quantiles(photons: int) -> None:
    levels = torch.arange(256).repeat(40).to(torch.uint8)
    fraction = fractions(keys(0, "p", torch.arange(1)), (len(levels),))[0]
    fraction[:256] = 2.0**-40
    fraction[-256:] = 1 - 2.0**-40
    expected = torch.from_numpy(stats.poisson.ppf(fraction.numpy(), levels.double().numpy() * photons / 255)).clamp(
        min=0
    )
    counts = poisson(levels, photons, fraction).double()
    assert counts[256:-256].equal(expected[256:-256])
    assert (counts - expected).abs().max() <= 3  # at the very ends a bell's tail is as fine as rounding


@pytest.mark.parametrize("severity", SEVERITIES)
def test_shot_noise_keeps_the_mean_and_varies_with_the_root(severity: int) -> None:
    photons = SHOT_PHOTONS[severity - 1]
    counts = poisson(GRAY, photons, fractions(KEYS, (3, 32, 32))).double()
    mean = 128 * photons / 255
    assert abs(float(counts.mean()) - mean) < 5 * math.sqrt(mean / COUNT)
    assert abs(float(counts.var()) / mean - 1) < 5 * math.sqrt((2 + 1 / mean) / COUNT)


def test_black_stays_black_under_shot_noise() -> None:
    black = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    assert shot_noise(black, 5, KEYS[:2]).equal(black)
