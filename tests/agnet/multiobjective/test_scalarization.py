import pytest
import torch

from agnet.multiobjective.scalarization import RHO, chebyshev, draw_weights


def test_weights_are_uniform_on_the_simplex() -> None:
    weights = draw_weights(4000, 3, rng=torch.Generator().manual_seed(0))
    assert torch.allclose(weights.sum(dim=1), torch.ones(4000).double())
    assert bool((weights > 0).all())
    assert weights.mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    # a coordinate of a uniform point of the simplex is Beta(1, 2): above one half with probability one quarter
    assert (weights > 0.5).double().mean(dim=0).tolist() == pytest.approx([0.25] * 3, abs=0.03)
    assert draw_weights(3, 1, rng=torch.Generator()).tolist() == [[1.0]] * 3


def test_by_hand() -> None:
    values, weights = torch.tensor([[20.0, 0.1]]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    found = chebyshev(values, weights, low=torch.tensor([10.0, 0.0]), high=torch.tensor([30.0, 0.4]))
    # a half and three quarters are missing
    expected = [-(0.5625 + RHO * (0.125 + 0.5625)), -(0.5 + RHO * 0.5)]
    assert found[0].tolist() == pytest.approx(expected)


def test_every_member_of_a_concave_front_is_best_for_some_weights() -> None:
    """A weighted sum finds the two ends of such a front only."""
    x = torch.linspace(0, 1, 9).double()
    values = torch.stack([x, (1 - x**0.7) ** (1 / 0.7)], dim=1)
    weights = torch.stack([torch.linspace(0, 1, 400), 1 - torch.linspace(0, 1, 400)], dim=1)
    scores = chebyshev(values, weights, low=torch.zeros(2), high=torch.ones(2))
    assert set(scores.argmax(dim=0).tolist()) == set(range(9))


def test_one_objective_keeps_its_order_and_a_constant_one_does_no_harm() -> None:
    values = torch.tensor([[3.0], [1.0], [2.0]])
    scores = chebyshev(values, torch.ones(1, 1), low=torch.tensor([1.0]), high=torch.tensor([3.0]))
    assert scores[:, 0].argsort().tolist() == [1, 2, 0]
    constant = torch.cat([values, torch.full((3, 1), 7.0)], dim=1)
    low, high = constant.min(dim=0).values, constant.max(dim=0).values
    assert chebyshev(constant, torch.tensor([[0.5, 0.5]]), low=low, high=high)[:, 0].argsort().tolist() == [1, 2, 0]
