"""What is special to regularized evolution: who is alive, who wins, and that a child is new."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Outcomes
from agnet.spaces.nasbench201 import OPERATIONS, NASBench201, to_string
from agnet.spaces.subspace import Subspace
from search.baselines.regularized_evolution import RegularizedEvolution

SPACE = NASBench201()
ONES = [to_string([op] * 6) for op in OPERATIONS]
"""One operation on all edges: no two are neighbours, nor have they neighbours in common."""


def value(architectures: Sequence[str]) -> Tensor:
    return torch.tensor([[2.0 * a.count("conv_3x3~") + a.count("1x1~")] for a in architectures], dtype=torch.float64)


def parents(children: Sequence[str], among: Sequence[str] = ONES) -> set[str]:
    return {a for a in among for child in children if child in SPACE.neighbors(a)}


def test_the_oldest_die_however_good_they_are() -> None:
    search = RegularizedEvolution(SPACE, seed=0, initial=1, population=2, tournament=10)
    search.tell(ONES, Outcomes.unlimited(torch.tensor([[5.0], [4.0], [3.0], [1.0], [2.0]])))
    assert search.alive == ONES[3:]
    assert parents(search.ask(16)) <= {*ONES[3:]}


def test_winners_of_tournaments_have_children() -> None:
    """Of 60 draws from five all miss the best with a chance of 1e-6."""
    search = RegularizedEvolution(SPACE, seed=0, initial=1, population=5, tournament=60)
    search.tell(ONES, Outcomes.unlimited(torch.tensor([[1.0], [2.0], [9.0], [4.0], [5.0]])))
    assert parents(search.ask(16)) == {ONES[2]}


def test_a_tournament_of_one_selects_nobody() -> None:
    search = RegularizedEvolution(SPACE, seed=0, initial=1, population=5, tournament=1)
    search.tell(ONES, Outcomes.unlimited(torch.tensor([[1.0], [2.0], [9.0], [4.0], [5.0]])))
    assert parents(search.ask(40)) == {*ONES}


def test_feasible_architectures_win_whatever_their_value() -> None:
    search = RegularizedEvolution(SPACE, seed=0, initial=1, population=5, tournament=60)
    values, slacks = torch.tensor([[9.0], [8.0], [7.0], [1.0], [2.0]]), torch.tensor([-0.2, -0.1, -0.3, 0.0, -0.9])
    search.tell(ONES, Outcomes(values, slacks[:, None]))
    assert parents(search.ask(8)) == {ONES[3]}
    search.tell(ONES, Outcomes(values, slacks[:, None] - 1))
    search.rng.manual_seed(1)
    assert parents(search.ask(8)) == {ONES[3]}


def test_a_front_wins_with_several_objectives() -> None:
    search = RegularizedEvolution(SPACE, seed=0, initial=1, population=5, tournament=60)
    values = torch.tensor([[9.0, 1.0], [8.0, 8.0], [1.0, 9.0], [0.0, 0.0], [7.0, 7.0]])
    search.tell(ONES, Outcomes.unlimited(values))
    assert parents(search.ask(8)) == {ONES[1]}


def test_when_all_children_of_the_population_are_known_the_rest_is_drawn() -> None:
    search = RegularizedEvolution(SPACE, seed=0, initial=1, population=1)
    told = [*SPACE.neighbors(ONES[0])[1:], ONES[0]]
    search.tell(told, Outcomes.unlimited(value(told)))
    asked = search.ask(16)
    assert len({*asked}) == 16
    assert not {*asked} & {*told}
    assert SPACE.neighbors(ONES[0])[0] in asked


def test_isolated_members_of_a_subspace_have_no_children() -> None:
    search = RegularizedEvolution(Subspace(SPACE, ONES), seed=0, initial=1)
    asked: list[str] = []
    for _ in ONES:
        asked += (batch := search.ask(1))
        search.tell(batch, Outcomes.unlimited(value(batch)))
    assert sorted(asked) == sorted(ONES)
    assert search.ask(1) == []


def test_the_optimum_of_a_separable_objective_is_found() -> None:
    search = RegularizedEvolution(SPACE, seed=0)
    for _ in range(20):
        batch = search.ask(16)
        search.tell(batch, Outcomes.unlimited(value(batch)))
    assert to_string(["nor_conv_3x3"] * 6) in search.archive


def test_a_saved_state_continues_identically_at_every_round() -> None:
    whole = RegularizedEvolution(SPACE, seed=1, initial=8, population=12)
    for _ in range(6):
        copy = RegularizedEvolution(SPACE, seed=9, initial=8, population=12)
        copy.load_state_dict(whole.state_dict())
        expected = whole.ask(8)
        assert copy.ask(8) == expected
        whole.tell(expected, Outcomes.unlimited(value(expected)))


@pytest.mark.parametrize("name", ["population", "tournament"])
def test_nobody_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"optimizer.{name}=0 must be at least 1"):
        RegularizedEvolution(SPACE, seed=0, **{name: 0})
