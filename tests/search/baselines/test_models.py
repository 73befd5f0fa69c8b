"""What each model learns, and what decides it."""

from collections.abc import Callable

import pytest
import torch

from agnet.surrogates.base import AbstractModel
from agnet.surrogates.gaussian_process import GaussianProcess
from search import BoostedTrees, NetworkEnsemble
from tests.agnet.surrogates.regression import data

MODELS: list[Callable[[], AbstractModel]] = [GaussianProcess, BoostedTrees, NetworkEnsemble]


@pytest.mark.parametrize("make", MODELS)
def test_they_generalise(make: Callable[[], AbstractModel]) -> None:
    features, targets = data(200)
    model = make()
    model.fit(features[:150], targets[:150], seed=0)
    posterior = model.predict(features[150:])
    assert posterior.mean.shape == posterior.std.shape == (50, 2)
    error = (posterior.mean - targets[150:]).square().mean(dim=0)
    assert bool((error < 0.5 * targets[150:].var(dim=0)).all())
    assert bool((posterior.std > 0).all())


@pytest.mark.parametrize("make", MODELS)
def test_data_and_seed_decide(make: Callable[[], AbstractModel]) -> None:
    features, targets = data(40)
    used, fresh = make(), make()
    used.fit(features[:20], targets[:20], seed=9)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    for model in (used, fresh):
        model.fit(features, targets, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(used.predict(features).mean, fresh.predict(features).mean)
    assert torch.equal(used.predict(features).std, fresh.predict(features).std)


@pytest.mark.parametrize("make", [BoostedTrees, NetworkEnsemble])
def test_seeds_differ(make: Callable[[], AbstractModel]) -> None:
    features, targets = data(40)
    means = []
    for seed in (0, 2**31 - 1):
        model = make()
        model.fit(features, targets, seed=seed)
        means.append(model.predict(features).mean)
    assert not torch.equal(*means)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("n", [1, 2, 16])
def test_little_and_constant_data_give_numbers(make: Callable[[], AbstractModel], n: int) -> None:
    features, _ = data(30)
    model = make()
    model.fit(features[:n], torch.zeros(n, 3, dtype=torch.float64), seed=0)
    posterior = model.predict(features)
    posterior.believe(4)
    assert bool(posterior.mean.isfinite().all())
    assert bool((posterior.std.isfinite() & (posterior.std > 0)).all())
