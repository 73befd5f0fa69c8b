import pytest
import torch

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Outcomes
from agnet.optimizers.weighted_retraining.selection import (
    AbstractSelection,
    MixedSelection,
    TopSelection,
)

PREDICTED = Outcomes.unlimited(torch.tensor([[1.0], [5.0], [3.0], [5.0], [2.0], [4.0]]))
LINE = torch.linspace(0, 1, 21).double()
FRONT = Outcomes.unlimited(torch.stack([LINE, 1 - LINE], dim=1))


def choose(selection: AbstractSelection, n: int, seed: int = 0, predicted: Outcomes = PREDICTED) -> list[int]:
    rng = torch.Generator().manual_seed(seed)
    return selection(predicted, n, known=predicted, rng=rng).tolist()


def test_top_takes_the_best_and_breaks_ties_by_chance() -> None:
    assert set(choose(TopSelection(), 2)) == {1, 3}
    assert choose(TopSelection(), 6)[2:] == [5, 2, 4, 0]
    assert len({tuple(choose(TopSelection(), 1, seed)) for seed in range(20)}) == 2


@pytest.mark.parametrize("selection", [TopSelection(), MixedSelection(0.5), MixedSelection(0.0)])
@pytest.mark.parametrize("n", [0, 1, 3, 6])
def test_n_distinct_rows(selection: AbstractSelection, n: int) -> None:
    chosen = choose(selection, n)
    assert len(chosen) == len(set(chosen)) == n


@pytest.mark.parametrize("predicted", [PREDICTED, FRONT])
def test_whatever_is_predicted_to_miss_a_limit_comes_last(predicted: Outcomes) -> None:
    slacks = torch.ones(len(predicted), 1).double()
    slacks[1], slacks[3] = -0.5, -0.1
    chosen = choose(TopSelection(), len(predicted), predicted=Outcomes(predicted.values, slacks))
    assert chosen[-2:] == [3, 1]


def test_picks_of_several_objectives_spread_along_the_front_and_leave_out_the_dominated() -> None:
    dominated = Outcomes.unlimited(torch.cat([FRONT.values, FRONT.values - 0.3]))
    for seed in range(10):
        chosen = choose(TopSelection(), 6, seed, dominated)
        assert len(set(chosen)) == 6
        assert max(chosen) < 21
        assert max(chosen) - min(chosen) > 6


def test_picks_of_several_objectives_ignore_the_objectives_scales() -> None:
    scaled = Outcomes.unlimited(FRONT.values * torch.tensor([100.0, 0.01]) + 7)
    assert choose(TopSelection(), 9, predicted=scaled) == choose(TopSelection(), 9, predicted=FRONT)


def test_mixed_takes_its_share_from_the_top_and_the_rest_from_anywhere() -> None:
    draws = [choose(MixedSelection(0.5), 4, seed) for seed in range(60)]
    assert all(set(chosen[:2]) == {1, 3} for chosen in draws)
    assert {row for chosen in draws for row in chosen[2:]} == {0, 2, 4, 5}
    assert choose(MixedSelection(1.0), 6)[2:] == choose(TopSelection(), 6)[2:]


def test_what_is_not_from_the_top_is_uniform() -> None:
    counts = torch.zeros(6)
    for seed in range(3000):
        counts[choose(MixedSelection(0.0), 2, seed)] += 1
    # mean 1000, standard deviation below 26: five of them
    assert bool(((counts - 1000).abs() < 130).all())


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_share_outside_the_unit_interval_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match=str(share)):
        MixedSelection(share)
