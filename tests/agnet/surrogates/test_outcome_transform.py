"""The transformed scale keeps order, spread, units and limits."""

import pytest
import torch
from torch import Tensor

from agnet.multiobjective.outcomes import Outcomes
from agnet.surrogates.outcome_transform import OutcomeTransform, Warp

TAILS = torch.tensor([10.0, 10.0, 10.0, 60.0, 85.0, 88.0, 90.0, 90.5, 91.0, 91.2], dtype=torch.float64)


@pytest.mark.parametrize("values", [TAILS, torch.linspace(-3, 5, 50).double(), torch.tensor([1.0, 2.0]).double()])
def test_a_warp_is_increasing_standardised_and_invertible(values: Tensor) -> None:
    warp = Warp.fitted(values)
    transformed = warp.forward(values)
    torch.testing.assert_close(transformed.mean(), torch.tensor(0.0).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(transformed.std(correction=0), torch.tensor(1.0).double())
    grid = torch.linspace(float(values.min()) - 20, float(values.max()) + 20, 200).double()
    assert bool((warp.forward(grid).diff() > 0).all())
    torch.testing.assert_close(warp.backward(warp.forward(grid)), grid)


def test_outliers_do_not_decide_the_scale() -> None:
    """Standardised, the five best of these lie within 0.1 of each other."""
    transformed = Warp.fitted(TAILS).forward(TAILS)
    assert float(transformed[-1] - transformed[-5]) > 0.8
    assert float(transformed.min()) > -2


@pytest.mark.parametrize("n", [1, 5])
def test_equal_values_have_one_image(n: int) -> None:
    warp = Warp.fitted(torch.full((n,), 7.0))
    assert warp.forward(torch.tensor([6.0, 7.0, 9.0])).tolist() == [-1.0, 0.0, 2.0]


def test_limits_keep_their_place() -> None:
    slacks = torch.tensor([[-3.0], [-0.5], [0.0], [0.2], [0.6]]).double()
    outcomes = Outcomes(torch.arange(10.0).reshape(5, 2), slacks)
    transform = OutcomeTransform(outcomes)
    assert transform.transformed.shape == (5, 3)
    assert torch.equal(transform.transformed[:, 2] >= transform.thresholds[0], outcomes.feasible)
    torch.testing.assert_close(transform.values(transform.transformed[:, :2]), outcomes.values.double())
    never = OutcomeTransform(Outcomes(outcomes.values, slacks - 5))
    assert bool((never.transformed[:, 2] < never.thresholds[0]).all())


def test_objectives_span_what_keeps_the_limits_and_varies() -> None:
    values = torch.tensor([[1.0, 5.0, 7.0], [2.0, 5.0, 7.0], [9.0, 8.0, 7.0]]).double()
    low, high = OutcomeTransform(Outcomes(values, torch.tensor([[0.1], [0.1], [-0.1]]).double())).span
    assert (low.tolist(), high.tolist()) == ([1, 5, 7], [2, 8, 8])
    low, high = OutcomeTransform(Outcomes(values, torch.full((3, 1), -0.1).double())).span
    assert (low.tolist(), high.tolist()) == ([1, 5, 7], [9, 8, 8])
