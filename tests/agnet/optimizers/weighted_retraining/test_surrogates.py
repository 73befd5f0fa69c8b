import pytest
import torch

from agnet import MLPSurrogate, XGBoostSurrogate
from agnet.errors import ConfigurationError


def test_parameter_count_equals_the_papers_predictor() -> None:
    assert sum(p.numel() for p in MLPSurrogate(84, 1).parameters()) == 28_645


def test_predictions_come_back_in_the_units_of_the_values() -> None:
    surrogate = MLPSurrogate(5, 2)
    values = torch.tensor([[90.0, 1.0], [92.0, 5.0], [94.0, 9.0]], dtype=torch.float64)
    surrogate.calibrate(values)
    targets = surrogate.targets(values)
    assert torch.allclose(targets.mean(dim=0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(targets.std(dim=0, correction=0), torch.ones(2), atol=1e-6)
    features = torch.rand(3, 5)
    expected = surrogate(features) * values.std(dim=0, correction=0).float() + values.mean(dim=0).float()
    assert torch.allclose(surrogate.predict(features), expected)


def test_a_constant_objective_does_not_divide_by_zero() -> None:
    surrogate = MLPSurrogate(5, 1)
    surrogate.calibrate(torch.full((4, 1), 7.0))
    assert surrogate.targets(torch.full((4, 1), 7.0)).tolist() == [[0.0]] * 4
    assert surrogate.predict(torch.rand(2, 5)).flatten().tolist() == pytest.approx([7.0, 7.0])


def test_scale_travels_with_the_weights() -> None:
    surrogate, other = MLPSurrogate(5, 1), MLPSurrogate(5, 1)
    surrogate.calibrate(torch.tensor([[1.0], [5.0]]))
    other.load_state_dict(surrogate.state_dict())
    features = torch.rand(3, 5)
    assert other.predict(features).equal(surrogate.predict(features))


def test_prediction_is_differentiable_in_the_graph() -> None:
    features = torch.rand(64, 84, requires_grad=True)  # wide enough that the ReLUs cannot all be off by chance
    MLPSurrogate(84, 1)(features).sum().backward()
    assert features.grad is not None
    assert bool(features.grad.any())


@pytest.mark.parametrize("objective", ["reg:squarederror", "rank:pairwise"])
def test_trees_order_what_they_were_fitted_to(objective: str) -> None:
    """Two columns on different scales, both in their own units afterwards; the same arguments give the same trees."""
    rng = torch.Generator().manual_seed(0)
    features = (torch.rand(80, 12, generator=rng) < 0.5).float()
    outputs = torch.stack([90 + features[:, :4].sum(dim=1), -0.01 * features[:, 4:9].sum(dim=1)], dim=1).double()
    surrogate = XGBoostSurrogate(12, 2, objective=objective, boosting_rounds=60)
    surrogate.fit(features, outputs, seed=0)
    predicted = surrogate.predict(features)
    for column in range(2):
        found, true = predicted[:, column], outputs[:, column]
        assert torch.corrcoef(torch.stack([found.double(), true]))[0, 1] > 0.8
        assert found.mean().item() == pytest.approx(true.mean().item(), rel=0.05)
        assert found.std().item() == pytest.approx(true.std().item(), rel=0.3)
    again = XGBoostSurrogate(12, 2, objective=objective, boosting_rounds=60)
    again.fit(features, outputs, seed=0)
    assert again.predict(features).equal(predicted)


@pytest.mark.parametrize("objective", ["reg:squarederror", "rank:pairwise"])
def test_trees_of_a_constant(objective: str) -> None:
    surrogate = XGBoostSurrogate(5, 1, objective=objective, boosting_rounds=5)
    surrogate.fit(torch.rand(4, 5), torch.full((4, 1), 7.0), seed=0)
    assert surrogate.predict(torch.rand(2, 5)).flatten().tolist() == pytest.approx([7.0, 7.0], abs=0.1)


def test_another_loss_of_trees_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'absolute'.*rank:pairwise"):
        XGBoostSurrogate(5, 1, objective="absolute")
