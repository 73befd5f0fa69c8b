"""The incremental order agrees with ``agnet.multiobjective.pareto`` after every single value."""

import numpy as np
import pytest
import torch

from agnet.multiobjective.outcomes import Outcomes
from agnet.multiobjective.pareto import front_index, rank
from search.incumbent import IncumbentTracker


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
@pytest.mark.parametrize("levels", [3, 1000])  # few levels: many ties
def test_agrees_with_pareto_rank(num_objectives: int, levels: int) -> None:
    values = np.random.default_rng(levels).integers(levels, size=(60, num_objectives)).astype(float)
    tracker = IncumbentTracker(num_objectives)
    for count, row in enumerate(values, start=1):
        best = tracker.add(row.tolist())
        known = torch.from_numpy(values[:count])
        order = rank(Outcomes.unlimited(known))
        assert best == order.tolist().index(0)  # the earliest of equals
        members = [i for i, front in enumerate(front_index(known).tolist()) if front == 0]
        assert tracker.front() == sorted(members, key=lambda i: (order[i].item(), i))


def test_refuses_what_has_no_order() -> None:
    with pytest.raises(ValueError, match="finite"):
        IncumbentTracker(1).add([float("nan")])


def test_what_is_not_feasible_only_counts() -> None:
    tracker = IncumbentTracker(1)
    assert tracker.add([9.0], feasible=False) is None
    assert tracker.add([1.0]) == 1
    assert tracker.add([8.0], feasible=False) == 1
    assert tracker.add([2.0]) == 3
    assert tracker.front() == [3]
