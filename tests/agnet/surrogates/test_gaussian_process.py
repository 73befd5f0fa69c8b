"""The Gaussian process against its formulas."""

import numpy as np
import pytest
import scipy.optimize
import torch

from agnet.surrogates.gaussian_process import JITTER, GaussianProcess, _distances, _energy
from tests.agnet.surrogates.regression import data


def test_a_process_interpolates_and_doubts_what_is_far() -> None:
    features, targets = data(80)
    model = GaussianProcess()
    model.fit(features, targets, seed=0)
    near, far = model.predict(features), model.predict(features + 100)
    assert float((near.mean - targets).abs().max()) < 0.3
    assert bool((near.std.max(dim=0).values < far.std.min(dim=0).values).all())
    amplitudes = torch.tensor([kernel.amplitude for kernel in model.kernels])
    torch.testing.assert_close(far.std.amax(dim=0), amplitudes, rtol=1e-2, atol=0)


def test_a_process_is_the_textbook_formula() -> None:
    features, targets = data(30)
    model = GaussianProcess()
    model.fit(features[:20], targets[:20], seed=0)
    posterior = model.predict(features[20:])
    for i, kernel in enumerate(model.kernels):
        y, known, new = targets[:20, i], features[:20].double(), features[20:].double()
        noise = (kernel.noise**2 + JITTER) * torch.eye(20, dtype=torch.float64)
        inverse = torch.linalg.inv(kernel(_distances(known, known)) + noise)
        cross = kernel(_distances(new, known))
        mean = y.mean() + cross @ inverse @ (y - y.mean())
        variance = kernel.amplitude**2 - (cross @ inverse * cross).sum(dim=1)
        torch.testing.assert_close(posterior.mean[:, i].double(), mean, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(posterior.std[:, i].double(), variance.sqrt(), rtol=1e-2, atol=1e-3)


def test_believing_is_refitting_with_the_mean_and_the_same_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = data(40)
    model = GaussianProcess()
    model.fit(features[:30], targets[:30], seed=0)
    posterior, before = model.predict(features), model.predict(features)
    for row in (35, 31):
        posterior.believe(row)
    assert torch.equal(posterior.mean, before.mean)
    assert bool((posterior.std <= before.std + 1e-6).all())
    kernels = iter(model.kernels)
    monkeypatch.setattr(model, "_kernel", lambda distances, targets: next(kernels))
    rows = [*range(30), 35, 31]
    model.fit(features[rows], torch.cat([targets[:30], before.mean[[35, 31]].double()]), seed=0)
    torch.testing.assert_close(posterior.std, model.predict(features).std, rtol=1e-2, atol=1e-3)


def test_the_gradient_is_the_slope() -> None:
    features, targets = data(15)
    distances, column = _distances(features.double(), features.double()).numpy(), targets[:, 0].numpy()
    for at in ([0.3, 0.0, -2.0], [-0.5, 0.4, -1.0]):
        numeric = scipy.optimize.approx_fprime(np.array(at), lambda x: _energy(x, distances, column)[0], 1e-6)
        np.testing.assert_allclose(_energy(np.array(at), distances, column)[1], numeric, rtol=1e-3, atol=1e-3)
