"""The published table against what its authors say of it."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.report.measurements import Measurements
from evaluation.report.reading import read_measurements
from evaluation.report.two_convolutions import two_convolutions

pytestmark = pytest.mark.data

EPS = (0.1, 0.5, 1, 2, 3, 4, 8)
MEDIANS = {
    "fgsm": (86.8, 66.6, 50.8, 37.4, 32.7, 30.3, 24.6),
    "pgd": (87.0, 62.4, 34.7, 9.4, 2.7, 0.7, 0.0),
    "apgd ce": (86.3, 52.6, 16.9, 1.3, 0.3, 0.0, 0.0),
    "square": (89.4, 79.3, 63.4, 33.4, 15.5, 7.4, 0.7),
}
"""Read from the authors' plots to 0.2 points; the table's values are cut to 0.1."""

READING = 0.2 + 0.1


@pytest.fixture(scope="module")
def data(published: Path) -> Measurements:
    (found,) = read_measurements(published)
    return found


def test_every_class_is_there(data: Measurements) -> None:
    assert len(data.ids) == 6466
    assert [len(c) for c in data.attacks.values()] == [11, 7, 7, 7]
    assert [len(c) for c in data.corruptions.values()] == [5] * 15


@pytest.mark.parametrize("attack", MEDIANS)
def test_medians(data: Measurements, attack: str) -> None:
    found = [float(np.median(data.criteria[f"{attack} eps {eps:g}"])) for eps in EPS]
    assert found == pytest.approx(MEDIANS[attack], abs=READING + 1e-4)
    assert np.median(data.clean) == pytest.approx(91.5, abs=READING)


def test_optima(data: Measurements) -> None:
    """Table 1 of the paper, cut to 0.1 as the table's values are."""
    names = ("clean", "fgsm eps 1", "pgd eps 1", "apgd ce eps 1", "square eps 1")
    found = [float(data.criteria[name].max()) for name in names]
    assert found == pytest.approx([94.68, 69.24, 58.85, 54.02, 73.61], abs=0.1)
    assert data.criteria["corruption mean"].max() == pytest.approx(58.55, abs=0.1)


def test_the_408(data: Measurements) -> None:
    section = two_convolutions(data)
    assert section.facts["evaluated"] == 408
    assert round(section.facts["lowest mean adversarial accuracy"]) == 21
    assert round(section.facts["highest mean adversarial accuracy"]) == 40
    counts = section.facts["on edges 1 to 6 of the best 20"]
    assert [counts["3x3"][edge - 1] for edge in (2, 4)] == [0, 0]
    # the paper says that edge 1 is never zero or skip; here one of the twenty has a skip
    assert (counts["zero"][0], counts["skip"][0]) == (0, 1)
