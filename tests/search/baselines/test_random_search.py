"""What is special to random search: it is uniform, and it knows when a space is exhausted."""

import torch

from agnet.multiobjective.outcomes import Outcomes
from agnet.spaces.nasbench201 import NASBench201
from search.baselines.random_search import RandomSearch


def test_an_exhausted_space_gives_fewer() -> None:
    space = NASBench201()
    everything = list(space.enumerate())
    optimizer = RandomSearch(space, seed=0)
    optimizer.tell(everything[5:], Outcomes.unlimited(torch.zeros(len(everything) - 5, 1)))
    assert sorted(optimizer.ask(10)) == sorted(everything[:5])
    optimizer.tell(everything[:5], Outcomes.unlimited(torch.zeros(5, 1)))
    assert optimizer.ask(10) == []


def test_draws_are_uniform_over_what_is_left() -> None:
    """Of 2,000 draws each operation of the first edge gets 400, give or take 5 sigma of a binomial."""
    asked = RandomSearch(NASBench201(), seed=0).ask(2000)
    assert len(set(asked)) == 2000
    counts = [sum(a.startswith(f"|{op}~0|+") for a in asked) for op in ("none", "skip_connect", "nor_conv_3x3")]
    assert all(abs(count - 400) < 5 * (2000 * 0.2 * 0.8) ** 0.5 for count in counts)


def test_the_size_of_the_batches_does_not_matter_to_validity() -> None:
    optimizer = RandomSearch(NASBench201(), seed=0)
    assert optimizer.ask(0) == []
    assert len(set(optimizer.ask(300))) == 300
