"""Figures can be drawn for every kind of history; what they show was looked at by a person."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from agnet.tables.goal import Goal, Limit
from search.history import History, Query
from search.plot import plot_history

COLUMNS = ("a_valid", "b_latency_ms", "parameters")


def draw(path: Path, values: np.ndarray, limits: tuple[Limit, ...] = ()) -> np.ndarray:
    columns = COLUMNS[: values.shape[1]]
    up, down = (tuple(c for c in columns if c.endswith("_ms") == fast) for fast in (False, True))
    history = History(Goal(up, down, limits))
    rows = [dict(zip(columns, row, strict=True)) for row in values.tolist()]
    history.extend(Query(i, f"|cell_{i}~0|", row, 0, 0.0) for i, row in enumerate(rows))
    plot_history(path, history, heading="random_search on nasbench201, seed 0")
    return matplotlib.image.imread(path)


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
def test_every_number_of_objectives(tmp_path: Path, num_objectives: int) -> None:
    path = tmp_path / "incumbent.png"
    image = draw(path, np.random.default_rng(0).normal(80, 5, size=(40, num_objectives)))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert min(image.shape[:2]) >= 400
    assert image[..., :3].std() > 0.01
    assert list(tmp_path.iterdir()) == [path]  # no temporary file


VAST = np.array([[-1.7e308, 1.7e308], [1.7e308, -1.7e308], [0.0, 1e300]])


@pytest.mark.parametrize(
    "values", [np.full((1, 1), 50.0), np.full((5, 2), 50.0), np.full((5, 2), 1.7e308), np.full((3, 2), -5e-324), VAST]
)
def test_histories_without_a_range(tmp_path: Path, values: np.ndarray) -> None:
    assert draw(tmp_path / "incumbent.png", values)[..., :3].std() > 0.01


@pytest.mark.parametrize("bound", [82.0, 20.0])  # some keep it, none does
@pytest.mark.parametrize("num_objectives", [1, 2])
def test_limits(tmp_path: Path, bound: float, num_objectives: int) -> None:
    values = np.random.default_rng(0).normal(80, 5, size=(40, num_objectives))
    limits = (Limit(COLUMNS[num_objectives - 1], bound, upper=True),)
    assert draw(tmp_path / "incumbent.png", values, limits)[..., :3].std() > 0.01
