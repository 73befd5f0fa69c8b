import itertools

import pytest
import torch

from agnet.pareto import competition_rank, dominates, front_index, rank


def test_front_index_by_peeling() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 6, (60, 3), generator=generator).double()
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


def test_equal_vectors_do_not_dominate_each_other() -> None:
    assert not dominates(torch.ones(3, 2)).any()


def test_one_objective_ranks_by_value_with_shared_ties() -> None:
    assert rank(torch.tensor([[70.0], [90.0], [70.0]])).tolist() == [1, 0, 1]


def test_rank_ignores_monotone_rescaling_and_row_order() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(30, 2, generator=generator, dtype=torch.float64)
    scaled = torch.stack([values[:, 0].exp() * 1e3, values[:, 1] ** 3], dim=1)
    assert rank(values).equal(rank(scaled))
    order = torch.randperm(30, generator=generator)
    assert rank(values)[order].equal(rank(values[order]))


def test_a_dominated_row_never_ranks_before_the_one_that_dominates_it() -> None:
    values = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ranks, better = rank(values), dominates(values)
    for i, j in itertools.product(range(40), repeat=2):
        if better[i, j]:
            assert ranks[i] < ranks[j]
    assert front_index(values)[ranks.argmin()] == 0


def test_ranks_count_strictly_better_rows() -> None:
    assert competition_rank(torch.tensor([1.0, 3.0, 3.0, 2.0])).tolist() == [3, 0, 0, 2]


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        rank(torch.tensor([[1.0], [float("nan")]]))
