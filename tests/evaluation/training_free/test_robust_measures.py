"""Measures made for robustness, against closed forms and written-out loops."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.attacks.functions import fgsm
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.training_free.croze import consistency
from evaluation.training_free.gradients import perturbed
from evaluation.training_free.initialization import initialize
from evaluation.training_free.ntk import condition_number
from evaluation.training_free.robust_ntk import robust_condition_number

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"


@pytest.fixture
def network() -> CellNetwork:
    network = CellNetwork(CELL, NetworkShape(4, 1, 2, 1))
    initialize(network, seed=0)
    return network


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(6, 1, 8, 8, generator=rng), torch.arange(6) % 4


def test_perturbed_images_are_those_of_fgsm(network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    network.eval()
    assert torch.equal(perturbed(network, *batch, eps_255=8), fgsm(network, *batch, eps=8 / 255))


def test_unperturbed_copies_are_consistent_in_every_layer_that_learns(
    network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    # stem, 2 convolutions in each of 3 cells, 3 in each of 2 reductions, classifier; a node that reaches no output: 1
    assert consistency(network, *batch, eps_255=0, radius=0) == pytest.approx(4 * (1 + 3 + 6 + 1))
    assert consistency(network, *batch) < 4 * 11
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_consistency_of_a_linear_classifier() -> None:
    rng = torch.Generator().manual_seed(1)
    weight = torch.randn(4, 3, generator=rng, dtype=torch.float64)
    images, labels = torch.rand(5, 1, 1, 3, generator=rng), torch.tensor([0, 1, 2, 3, 0])
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 4, bias=False))
    network[1].weight.data = weight.clone()
    theta, x, y = weight.abs(), images.flatten(1).double(), F.one_hot(labels, 4)
    g = ((x @ theta.T).softmax(1) - y).T @ x / 5
    theta_hat = theta + 2 * theta.norm() / g.norm() * g
    x_hat = (x + 0.01 * (((x @ theta_hat.T).softmax(1) - y) @ theta_hat).sign()).clamp(0, 1)
    g_hat = ((x_hat @ theta_hat.T).softmax(1) - y).T @ x_hat / 5

    def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a * b).sum() / (a.norm() * b.norm()))

    features = 1 + cosine(x @ theta.T, x_hat @ theta_hat.T)
    expected = features * (1 + cosine(theta, theta_hat)) * abs(cosine(g, g_hat))
    assert consistency(network.double(), images, labels) == pytest.approx(expected)


def test_robust_ntk_equals_a_loop_over_the_images(
    network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    network.train()
    moved = perturbed(network, *batch, eps_255=8)
    weights = [weight for weight in network.parameters() if weight.ndim > 1]
    rows = []
    for i in range(len(moved)):
        gradients = [
            torch.autograd.grad(network(images)[i].sum(), weights, allow_unused=True, materialize_grads=True)
            for images in (batch[0], moved)
        ]
        rows.append(sum(torch.cat([gradient.flatten() for gradient in of]).double() for of in gradients) / 2)
    eigenvalues = torch.linalg.eigvalsh(torch.stack(rows) @ torch.stack(rows).T)  # pyright: ignore
    expected = float(eigenvalues[-1] / eigenvalues[0])
    assert robust_condition_number(network, *batch) == pytest.approx(expected, rel=1e-3)


def test_without_a_perturbation_robust_ntk_is_ntk(
    network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    robust = robust_condition_number(network, *batch, eps_255=0)
    assert robust == pytest.approx(condition_number(network, *batch), rel=1e-3)
    assert robust != pytest.approx(robust_condition_number(network, *batch, eps_255=8), rel=1e-3)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf])
def test_a_step_is_a_number_from_0(network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor], bad: float) -> None:
    with pytest.raises(ConfigurationError, match=f"eps_255={bad}; give a number from 0"):
        robust_condition_number(network, *batch, eps_255=bad)
    with pytest.raises(ConfigurationError, match=f"radius={bad}; give a number from 0"):
        consistency(network, *batch, radius=bad)
