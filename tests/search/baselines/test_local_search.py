"""What is special to local search: where it stands, that it finishes a neighbourhood, and how it starts anew."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from agnet.multiobjective.outcomes import Outcomes
from agnet.spaces.nasbench201 import OPERATIONS, NASBench201, parse, to_string
from agnet.spaces.subspace import Subspace
from search.baselines.local_search import LocalSearch, incumbents

SPACE = NASBench201()
OPTIMUM = to_string(["nor_conv_3x3"] * 6)


def separable(architectures: Sequence[str]) -> Tensor:
    """Every edge adds its share, the more the later it is; all 3x3 is the only local optimum."""
    worth = dict(zip(OPERATIONS, (3.0, 4.0, 1.0, 2.0, 0.0), strict=True))
    rows = [[worth[op] * (1 + edge) for edge, op in enumerate(parse(a))] for a in architectures]
    return torch.tensor(rows, dtype=torch.float64).sum(dim=1, keepdim=True)


def rounds(
    search: LocalSearch, num: int, n: int = 16, values: Callable[[Sequence[str]], Tensor] = separable
) -> list[list[str]]:
    batches = []
    for _ in range(num):
        batches.append(search.ask(n))
        search.tell(batches[-1], Outcomes.unlimited(values(batches[-1])))
    return batches


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "num"), [(1, 160), (16, 11), (40, 8)])
def test_a_separable_objective_is_solved_in_few_queries(seed: int, n: int, num: int) -> None:
    """Six edges may have to change, and the last batch before each change is wasted."""
    asked = [a for batch in rounds(LocalSearch(SPACE, seed=seed), num, n) for a in batch]
    assert OPTIMUM in asked


def test_a_local_optimum_is_left_only_when_all_its_neighbors_are_known() -> None:
    search = LocalSearch(SPACE, seed=0, initial=1)
    search.tell([OPTIMUM], Outcomes.unlimited(separable([OPTIMUM])))
    first, second, third = rounds(search, 3, n=12)
    neighbors = set(SPACE.neighbors(OPTIMUM))
    assert search.start == 25
    assert {*first, *second} == neighbors
    assert first != sorted(first, key=SPACE.neighbors(OPTIMUM).index)
    assert not neighbors & {*third}


def test_an_improvement_ends_the_neighborhood() -> None:
    worst, better = to_string(["none"] * 6), to_string(["skip_connect"] * 6)
    search = LocalSearch(SPACE, seed=0, initial=1)
    search.tell([worst], Outcomes.unlimited(separable([worst])))
    [first] = rounds(search, 1, n=4)
    assert {*first} <= {*SPACE.neighbors(worst)}
    search.tell([better], Outcomes.unlimited(separable([better])))
    assert {*search.ask(16)} <= {*SPACE.neighbors(better)}


def test_a_run_begins_with_uniform_draws_and_forgets_the_one_before() -> None:
    search = LocalSearch(SPACE, seed=0, initial=4)
    told = [OPTIMUM, *SPACE.neighbors(OPTIMUM)]
    search.tell(told, Outcomes.unlimited(separable(told)))
    [draws] = rounds(search, 1, n=4)
    best = draws[int(separable(draws).argmax())]
    assert {*search.ask(16)} <= {*SPACE.neighbors(best)}


def test_what_is_left_of_a_batch_goes_to_the_next_best() -> None:
    second, third = (to_string([op, *["nor_conv_3x3"] * 5]) for op in ("nor_conv_1x1", "skip_connect"))
    search = LocalSearch(SPACE, seed=0, initial=3)
    search.tell([third, OPTIMUM, second], Outcomes.unlimited(separable([third, OPTIMUM, second])))
    asked = search.ask(24)
    assert {*asked[:22]} == {*SPACE.neighbors(OPTIMUM)} - {second, third}
    assert {*asked[22:]} <= {*SPACE.neighbors(second)} - {third}


def test_a_plateau_is_not_wandered_over() -> None:
    """Only the first of equals is explored: 24 neighbours, then a new run."""
    search = LocalSearch(SPACE, seed=0, initial=16)
    batches = rounds(search, 4, values=lambda architectures: torch.zeros(len(architectures), 1, dtype=torch.float64))
    asked = {a for batch in batches[:3] for a in batch}
    assert {*SPACE.neighbors(batches[0][0])} <= asked
    assert search.start == 48


def test_every_member_of_a_front_is_explored() -> None:
    ends = [to_string(["nor_conv_3x3"] * 6), to_string(["skip_connect"] * 6)]

    def ends_only(architectures: Sequence[str]) -> Tensor:
        rows = [[float(a == ends[0]), float(a == ends[1])] for a in architectures]
        return torch.tensor(rows, dtype=torch.float64)

    search = LocalSearch(SPACE, seed=0, initial=2)
    search.tell(ends, Outcomes.unlimited(ends_only(ends)))
    asked = {a for batch in rounds(search, 3, values=ends_only) for a in batch}
    assert asked == {*SPACE.neighbors(ends[0]), *SPACE.neighbors(ends[1])}


def test_limits_come_before_values() -> None:
    values = torch.tensor([[9.0], [1.0], [2.0], [2.0]])
    slacks = torch.tensor([[-0.5], [-0.1], [-0.1], [-0.3]])
    assert incumbents(Outcomes(values, slacks)) == [1]
    assert incumbents(Outcomes(values, slacks + 0.1)) == [2]
    assert incumbents(Outcomes(values, slacks + 0.3)) == [2]
    assert incumbents(Outcomes(values, slacks + 0.5)) == [0]
    assert incumbents(Outcomes.unlimited(torch.zeros(0, 1))) == []


def test_isolated_members_of_a_subspace_are_restarted_from() -> None:
    isolated = [to_string([op] * 6) for op in OPERATIONS]
    search = LocalSearch(Subspace(SPACE, isolated), seed=0, initial=1)
    asked = [a for batch in rounds(search, 5, n=1) for a in batch]
    assert sorted(asked) == sorted(isolated)
    assert search.ask(1) == []


def test_a_saved_state_continues_identically_at_every_round() -> None:
    values = separable
    whole = LocalSearch(SPACE, seed=1, initial=8)
    for _ in range(14):  # long enough for restarts
        copy = LocalSearch(SPACE, seed=9, initial=8)
        copy.load_state_dict(whole.state_dict())
        expected = whole.ask(8)
        assert copy.ask(8) == expected
        whole.tell(expected, Outcomes.unlimited(values(expected).round(decimals=-1)))
    assert whole.start > 0
