import itertools
from collections.abc import Callable

import pytest
import torch

from agnet.multiobjective.outcomes import Outcomes
from agnet.multiobjective.pareto import (
    competition_rank,
    contributions,
    front_index,
    hypervolume,
    hypervolume_rank,
    pareto_rank,
    rank,
)

Order = Callable[[Outcomes], torch.Tensor]

ORDERS = [rank, hypervolume_rank, pareto_rank]


def dominates(values: torch.Tensor) -> torch.Tensor:
    """Entry ``[i, j]``: ``i`` is at least as good as ``j`` everywhere and better somewhere."""
    a, b = values[:, None], values[None]
    return (a >= b).all(dim=2) & (a > b).any(dim=2)


def drawn(n: int, objectives: int, seed: int, levels: int | None = None) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    if levels is None:
        return torch.randn(n, objectives, generator=rng, dtype=torch.float64)
    return torch.randint(0, levels, (n, objectives), generator=rng).double()


def test_front_index_by_peeling() -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.randint(0, 6, (60, 3), generator=rng).double()
    remaining, index = set(range(60)), {}
    front = 0
    while remaining:
        layer = {
            i
            for i in remaining
            if not any(bool((values[j] >= values[i]).all() and (values[j] > values[i]).any()) for j in remaining)
        }
        index.update(dict.fromkeys(layer, front))
        remaining -= layer
        front += 1
    assert front_index(values).tolist() == [index[i] for i in range(60)]
    assert front > 2


def test_equal_vectors_share_a_front() -> None:
    assert front_index(torch.ones(3, 2)).tolist() == [0, 0, 0]
    assert front_index(torch.zeros(0, 2)).tolist() == []


@pytest.mark.parametrize("order", ORDERS)
def test_one_objective_ranks_by_value_with_shared_ties(order: Order) -> None:
    assert order(Outcomes.unlimited(torch.tensor([[70.0], [90.0], [70.0]]))).tolist() == [1, 0, 1]


def test_rank_ignores_monotone_rescaling_and_row_order() -> None:
    rng = torch.Generator().manual_seed(1)
    values = torch.randn(30, 2, generator=rng, dtype=torch.float64)
    scaled = torch.stack([values[:, 0].exp() * 1e3, values[:, 1] ** 3], dim=1)
    assert rank(Outcomes.unlimited(values)).equal(rank(Outcomes.unlimited(scaled)))


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_the_rows_does_not_matter(order: Order) -> None:
    outcomes = Outcomes(drawn(40, 2, seed=1, levels=6), drawn(40, 2, seed=2) + 1)
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    assert order(outcomes)[shuffled].equal(order(outcomes[shuffled]))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("levels", [None, 4])
def test_a_dominated_row_never_ranks_before_the_one_that_dominates_it(order: Order, levels: int | None) -> None:
    values = drawn(40, 3, seed=2, levels=levels)
    ranks, better = order(Outcomes.unlimited(values)), dominates(values)
    for i, j in itertools.product(range(40), repeat=2):
        if better[i, j]:
            assert ranks[i] < ranks[j]
    assert front_index(values)[ranks.argmin()] == 0


def test_ranks_count_strictly_better_rows() -> None:
    assert competition_rank(torch.tensor([1.0, 3.0, 3.0, 2.0])).tolist() == [3, 0, 0, 2]


@pytest.mark.parametrize("order", ORDERS)
def test_values_that_are_not_finite_are_refused(order: Order) -> None:
    with pytest.raises(ValueError, match="finite"):
        order(Outcomes.unlimited(torch.tensor([[1.0], [float("nan")]])))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("objectives", [1, 2])
def test_whatever_keeps_the_limits_comes_first(order: Order, objectives: int) -> None:
    outcomes = Outcomes(drawn(60, objectives, seed=3), drawn(60, 2, seed=4))
    ranks, feasible = order(outcomes), outcomes.feasible
    assert 3 < int(feasible.sum()) < 57
    assert int(ranks[feasible].max()) < int(ranks[~feasible].min())
    by_violation = outcomes.violations[~feasible].argsort()
    assert ranks[~feasible][by_violation].diff().min() > 0
    # the feasible are in the order they have among themselves
    assert ranks[feasible].equal(order(Outcomes.unlimited(outcomes.values[feasible])))


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_feasible_is_ordered_by_violation(order: Order) -> None:
    outcomes = Outcomes(torch.tensor([[9.0], [1.0], [5.0]]), torch.tensor([[-0.3], [-0.1], [-0.2]]))
    assert order(outcomes).tolist() == [2, 0, 1]


def inclusion_exclusion(values: torch.Tensor) -> float:
    """Volume of a union of boxes from the origin, subset by subset."""
    total = 0.0
    for size in range(1, len(values) + 1):
        for subset in itertools.combinations(range(len(values)), size):
            total -= (-1) ** size * float(values[list(subset)].clamp(min=0).min(dim=0).values.prod())
    return total


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("levels", [None, 4])
def test_hypervolume_by_inclusion_and_exclusion(objectives: int, levels: int | None) -> None:
    values = drawn(9, objectives, seed=5, levels=levels) + 0.5
    expected = inclusion_exclusion(values)
    assert hypervolume(values, torch.zeros(objectives)) == pytest.approx(expected, rel=1e-12)
    assert hypervolume(values + 3, torch.full((objectives,), 3.0)) == pytest.approx(expected, rel=1e-9)
    assert hypervolume(values[:0], torch.zeros(objectives)) == 0


@pytest.mark.parametrize("objectives", [2, 3])
def test_contributions_are_what_is_lost(objectives: int) -> None:
    values = drawn(30, objectives, seed=6).abs()
    front = values[front_index(values) == 0]
    reference = torch.zeros(objectives)
    whole = hypervolume(front, reference)
    expected = [whole - hypervolume(front[torch.arange(len(front)) != i], reference) for i in range(len(front))]
    assert contributions(front, reference).tolist() == pytest.approx(expected)
    twice = torch.cat([front, front[:1]])  # equals are lost together
    assert contributions(twice, reference).tolist() == pytest.approx([*expected, expected[0]])


def test_the_hypervolume_order_prefers_a_wide_front() -> None:
    """A crowded middle ranks behind the ends and behind a gap's only member."""
    values = torch.tensor([[0.0, 10.0], [4.9, 5.1], [5.0, 5.0], [5.1, 4.9], [10.0, 0.0], [1.0, 1.0]])
    ranks = hypervolume_rank(Outcomes.unlimited(values)).tolist()
    assert ranks[5] == 5
    assert max(ranks[0], ranks[4]) < min(ranks[1:4])


def test_the_hypervolume_order_ignores_linear_rescaling() -> None:
    values = drawn(40, 2, seed=7)
    scaled = values * torch.tensor([1000.0, 0.01]) + torch.tensor([-5.0, 90.0])
    assert hypervolume_rank(Outcomes.unlimited(values)).equal(hypervolume_rank(Outcomes.unlimited(scaled)))


def test_the_range_of_values_may_be_larger_than_any_number() -> None:
    values = torch.tensor([[1.7, -1.7], [0.0, 0.0], [-1.7, 1.7], [-1.7, -1.7]], dtype=torch.float64)
    ordinary, vast = (hypervolume_rank(Outcomes.unlimited(v)).tolist() for v in (values, values * 1e308))
    assert vast == ordinary
