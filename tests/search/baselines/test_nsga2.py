"""What is special to NSGA-II: who survives, who their children are, and that pymoo stays out of sight."""

import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Outcomes
from agnet.spaces.nasbench201 import OPERATIONS, NASBench201, parse, to_string
from agnet.spaces.subspace import Subspace
from search.baselines.nsga2 import NSGA2

SPACE = NASBench201()
ONES = [to_string([op] * 6) for op in OPERATIONS]
"""One operation on all edges: no two are neighbours, nor have they neighbours in common."""


def two_values(architectures: Sequence[str]) -> Tensor:
    return torch.tensor([[a.count("conv_3x3~"), a.count("skip")] for a in architectures], dtype=torch.float64)


def told(values: list[list[float]], slacks: list[float] | None = None, **arguments: float) -> NSGA2:
    """An optimizer that knows values of :data:`ONES`."""
    search = NSGA2(SPACE, seed=0, initial=1, **arguments)
    table = torch.tensor(values)
    search.tell(ONES, Outcomes.unlimited(table) if slacks is None else Outcomes(table, torch.tensor(slacks)[:, None]))
    return search


def test_the_ends_of_a_front_survive() -> None:
    """A front of five on a line, two of them close together: the ends stay, and of the rest the lonelier."""
    values = [[4.0, 0.0], [3.9, 0.1], [0.0, 4.0], [1.0, 3.0], [3.8, 0.2]]
    assert {*told(values, population=2).survivors()} == {ONES[0], ONES[2]}
    assert {*told(values, population=3).survivors()} == {ONES[0], ONES[2], ONES[3]}


def test_fronts_survive_in_order() -> None:
    values = [[1.0, 1.0], [3.0, 3.0], [4.0, 2.0], [2.0, 2.0], [0.0, 5.0]]
    survivors = told(values, population=4).survivors()
    assert {*survivors[:3]} == {ONES[1], ONES[2], ONES[4]}
    assert survivors[3] == ONES[3]


def test_feasible_architectures_survive_whatever_their_values() -> None:
    values = [[9.0, 9.0], [8.0, 8.0], [1.0, 1.0], [7.0, 7.0], [2.0, 2.0]]
    survivors = told(values, slacks=[-0.2, -0.1, 0.0, -0.3, 0.5], population=4).survivors()
    assert survivors == [ONES[4], ONES[2], ONES[1], ONES[0]]
    assert told(values, slacks=[-0.2, -0.1, -0.4, -0.3, -0.5], population=2).survivors() == [ONES[1], ONES[0]]


def test_children_descend_from_survivors() -> None:
    """Without crossover and with a population of one, all children are neighbours of the best."""
    search = told([[1.0], [2.0], [9.0], [4.0], [5.0]], population=1, crossover=0.0, mutation=1.0)
    assert {*search.ask(16)} <= {*SPACE.neighbors(ONES[2])}


def test_crossover_takes_every_operation_from_a_parent() -> None:
    search = told(
        [[9.0, 0.0], [0.0, 9.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], population=2, crossover=1.0, mutation=0.0
    )
    asked = search.ask(16)
    assert all({*parse(a)} == {OPERATIONS[0], OPERATIONS[1]} for a in asked)


def test_when_no_new_child_is_born_the_rest_is_drawn() -> None:
    search = told([[1.0], [2.0], [9.0], [4.0], [5.0]], population=1, crossover=0.0, mutation=0.0)
    assert len({*search.ask(16)}) == 16


def test_isolated_members_of_a_subspace_have_no_children() -> None:
    search = NSGA2(Subspace(SPACE, ONES), seed=0, initial=1)
    asked: list[str] = []
    for _ in ONES:
        asked += (batch := search.ask(1))
        search.tell(batch, Outcomes.unlimited(two_values(batch)))
    assert sorted(asked) == sorted(ONES)
    assert search.ask(1) == []


def test_a_front_is_found() -> None:
    """Two counts that sum up to six: the front has seven values, from all 3x3 to all skips."""
    search = NSGA2(SPACE, seed=0)
    for _ in range(40):
        batch = search.ask(16)
        search.tell(batch, Outcomes.unlimited(two_values(batch)))
    values = search.archive.outcomes.values
    assert {tuple(row) for row in values[values.sum(dim=1) == 6].tolist()} == {(k, 6 - k) for k in range(7)}


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
def test_pymoo_is_silent_and_leaves_the_global_state_alone(
    num_objectives: int, capfd: pytest.CaptureFixture[str]
) -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - the global state is meant
    search = NSGA2(SPACE, seed=0, initial=8)
    for _ in range(3):
        batch = search.ask(8)
        values = torch.tensor([[len(a) % (3 + k) for k in range(num_objectives)] for a in batch], dtype=torch.float64)
        search.tell(batch, Outcomes(values, values[:, :1] - 1))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert capfd.readouterr() == ("", "")


def test_a_saved_state_continues_identically_at_every_round() -> None:
    whole = NSGA2(SPACE, seed=1, initial=8, population=12)
    for _ in range(6):
        copy = NSGA2(SPACE, seed=9, initial=8, population=12)
        copy.load_state_dict(whole.state_dict())
        expected = whole.ask(8)
        assert copy.ask(8) == expected
        whole.tell(expected, Outcomes.unlimited(two_values(expected)))


@pytest.mark.parametrize(
    ("name", "value"), [("population", 0), ("crossover", 1.5), ("crossover", -0.1), ("mutation", float("nan"))]
)
def test_settings_outside_their_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"optimizer.{name}={value}"):
        NSGA2(SPACE, seed=0, **{name: value})


def test_without_pymoo_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymoo", None)
    with pytest.raises(ConfigurationError, match=r"optimizer=nsga2 needs pymoo: pip install -e '\.\[compare\]'"):
        NSGA2(SPACE, seed=0)
