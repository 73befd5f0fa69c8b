"""Rank correlation, by hand and against scipy."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.objective import AT_MOST, Objective, Report, measured_objective
from search.baselines.random_search import RandomSearch
from search.correlation import average_ranks, spearman, surrogate_spearman


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_ties_share_the_mean_of_their_ranks() -> None:
    assert average_ranks(tensor(5, 5, 5, 1)).tolist() == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1, 2, 3, 4), (10, 20, 30, 1000), 1.0),
        ((1, 2, 3, 4), (4, 3, 2, 1), -1.0),
        ((1, 2, 3, 4, 5), (2, 1, 4, 3, 5), 0.8),  # 1 - 6 * 4 / (5 * 24)
        ((1, 1, 2), (1, 2, 3), math.sqrt(3) / 2),  # ranks 1.5 1.5 3 and 1 2 3: 1.5 / sqrt(1.5 * 2)
    ],
)
def test_by_hand(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    assert spearman(tensor(*a), tensor(*b)) == pytest.approx(expected, abs=1e-12)


def test_agrees_with_scipy_on_ties() -> None:
    rng = np.random.default_rng(0)
    for levels in (2, 5, 100):
        a, b = rng.integers(levels, size=(2, 50)).astype(float)
        expected = stats.spearmanr(a, b).statistic
        assert spearman(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("a", [(), (1.0,), (2.0, 2.0), (1.0, math.nan), (1.0, math.inf)])
def test_undefined(a: tuple[float, ...]) -> None:
    assert spearman(tensor(*a), tensor(*range(len(a)))) is None


class Fortune(RandomSearch):
    """Predicts what it is given."""

    told_fortune: tuple[list[str], Tensor | None] = ([], None)

    def pool(self) -> list[str]:
        return self.told_fortune[0]

    def predictions(self) -> Tensor | None:
        return self.told_fortune[1]


def judge(space: NASBench201, objective: Objective, pool: Sequence[str], predicted: Tensor | None) -> float | None:
    optimizer = Fortune(space, seed=0)
    optimizer.told_fortune = (list(pool), predicted)
    return surrogate_spearman(optimizer, objective)


def test_predictions_are_judged_against_the_table(space: NASBench201, two: tuple[Objective, Report]) -> None:
    objective, pool = two[0], space.enumerate()[:40]
    truth = objective.goal.outcomes(objective(pool)).values
    assert judge(space, objective, pool, truth * 3) == 1.0
    assert judge(space, objective, pool, truth * torch.tensor([1.0, -1.0])) == 0.0  # the mean of 1 and -1
    assert judge(space, objective, pool, torch.zeros_like(truth)) is None
    assert judge(space, objective, pool, torch.stack([truth[:, 0], torch.zeros(40)], dim=1)) == 1.0
    assert judge(space, objective, pool, None) is None


def test_candidates_without_a_row_are_left_out(space: NASBench201, one: tuple[Objective, Report]) -> None:
    objective, pool = one[0], space.enumerate()[:5]
    predicted = objective(pool)
    strangers = torch.cat([predicted, predicted.new_tensor([[1e6], [-1e6]])])
    assert judge(space, objective, [*pool, "stranger", "other"], strangers) == 1.0
    assert judge(space, objective, ["stranger"], predicted[:1]) is None


def test_a_model_is_asked_about_evenly_spaced_candidates(space: NASBench201) -> None:
    asked: list[list[str]] = []

    def measure(architectures: Sequence[str]) -> list[dict[str, float]]:
        asked.append(list(architectures))
        return [{"skips": float(a.count("skip"))} for a in architectures]

    objective, _ = measured_objective(measure, ["skips"], free=True, maximize=["skips"])
    cells = space.enumerate()[: 2 * AT_MOST + 1]
    found = objective.look_up(cells)
    assert found is not None
    positions, measured = found
    assert positions == list(range(0, len(cells), 3))
    assert asked == [[cells[i] for i in positions]]
    assert measured[:, 0].tolist() == [cells[i].count("skip") for i in positions]
    few = objective.look_up(cells[:7])
    assert few is not None
    assert few[0] == list(range(7))
