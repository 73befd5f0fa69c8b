"""Measures of networks whose values can be written down."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agnet.errors import InvalidInput
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.training_free import flops, jacov, linear_regions, naswot, ntk, parameters, synflow
from evaluation.training_free.initialization import initialize
from evaluation.training_free.jacov import OFFSET
from evaluation.training_free.measure import Function
from evaluation.training_free.ntk import SINGULAR


def unlabelled(function: Function) -> Callable[[nn.Module, torch.Tensor], float]:
    return lambda network, x: function(network, x, torch.zeros(len(x), dtype=torch.int64))


condition_number = unlabelled(ntk.condition_number)
num_regions = unlabelled(linear_regions.num_regions)
synaptic_flow = unlabelled(synflow.synaptic_flow)
log_determinant = unlabelled(naswot.log_determinant)
jacobian_score = unlabelled(jacov.jacobian_score)
num_parameters = unlabelled(parameters.num_parameters)
num_macs = unlabelled(flops.num_macs)


class Linear(nn.Module):
    """``hidden`` layers of weights on flat images, without rectifiers unless asked for."""

    def __init__(self, *weights: torch.Tensor, rectify: bool = False) -> None:
        super().__init__()
        self.weights = nn.ParameterList(weights)
        self.rectify = rectify

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for weight in self.weights:
            x = x @ weight.T
            if self.rectify:
                x = F.relu(x)
        return x


def images(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)[:, None, None, :]


def test_ntk_of_a_linear_layer_is_the_condition_of_the_images_gram_matrix() -> None:
    # gradient of the summed logits with respect to W is 1 x^T: G = classes * X X^T with eigenvalues 9 and 1
    assert condition_number(Linear(torch.randn(3, 2)), images([3.0, 0.0], [0.0, 1.0])) == pytest.approx(9.0)


def test_ntk_equals_a_loop_over_the_images_in_train_mode() -> None:
    torch.manual_seed(0)
    network = CellNetwork(
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|", NetworkShape(4, 1, 2, 1)
    )
    network.train()
    x = torch.rand(5, 1, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = condition_number(network, x)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    weights = [w for w in network.parameters() if w.ndim > 1]
    rows = []
    for i in range(len(x)):
        gradients = torch.autograd.grad(network(x)[i].sum(), weights, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([g.flatten() for g in gradients]).double())
    eigenvalues = torch.linalg.eigvalsh(torch.stack(rows) @ torch.stack(rows).T)
    assert found == pytest.approx(float(eigenvalues[-1] / eigenvalues[0]), rel=1e-3)


@pytest.mark.parametrize("bad", [1.0, math.nan])
def test_a_singular_kernel_and_one_that_is_no_number_count_alike(bad: float) -> None:
    assert condition_number(Linear(torch.ones(2, 2)), images([1.0, bad], [1.0, bad])) == SINGULAR


def test_one_rectifier_has_two_regions() -> None:
    network = Linear(torch.tensor([[1.0, 0.0]]), rectify=True)
    assert num_regions(network, images([1.0, 5.0], [2.0, -7.0], [-1.0, 0.0])) == 2
    assert num_regions(network, images([1.0, 5.0], [2.0, -7.0])) == 1


@pytest.mark.parametrize("kind", [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, torch.relu_])
def test_rectifiers_are_seen_whoever_calls_them(kind: object) -> None:
    class Network(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return kind(x.flatten(1) * 1)  # pyright: ignore

    assert num_regions(Network(), images([1.0, -1.0], [-1.0, 1.0], [-1.0, 2.0])) == 2


def test_without_rectifiers_there_is_nothing_to_count() -> None:
    with pytest.raises(InvalidInput, match="Linear calls no ReLU"):
        num_regions(Linear(torch.ones(2, 2)), images([1.0, 0.0]))


def test_synaptic_flow_of_two_linear_layers() -> None:
    # R = 1^T |W2| |W1| 1 is of degree one in each layer, so each contributes R
    first, second = torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([[-1.0, 2.0]])
    network = Linear(first, second)
    assert synaptic_flow(network, images([9.0, 9.0])) == pytest.approx(2 * (1 * 3 + 2 * 7))
    assert torch.equal(network.weights[0], first)


def test_naswot_of_orthogonal_codes() -> None:
    network = Linear(torch.eye(4), rectify=True)
    # codes 1100 and 1010 agree in half of their places: K = [[4, 2], [2, 4]]
    x = images([1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0])
    assert log_determinant(network, x) == pytest.approx(math.log(12))
    # opposite codes agree nowhere: K = 4 I
    opposite = images([1.0, 1.0, -1.0, -1.0], [-1.0, -1.0, 1.0, 1.0])
    assert log_determinant(network, opposite) == pytest.approx(math.log(16))


def test_equal_codes_score_lowest_but_finite() -> None:
    network = Linear(torch.eye(2), rectify=True)
    equal = log_determinant(network, images([1.0, -1.0], [2.0, -3.0]))
    assert math.isfinite(equal)
    assert equal < log_determinant(network, images([1.0, -1.0], [-1.0, 1.0]))


def test_jacobian_score_of_equal_gradients() -> None:
    # a linear network has one gradient everywhere: eigenvalues 2 and 0
    score = jacobian_score(Linear(torch.tensor([[1.0, 2.0, 5.0]])), images([1.0, 0.0, 1.0], [2.0, 1.0, 3.0]))
    expected = -sum(math.log(v + OFFSET) + 1 / (v + OFFSET) for v in (2.0, 0.0))
    assert score == pytest.approx(expected, rel=1e-4)


def test_counts() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False), nn.Flatten(), nn.Linear(16, 3))
    x = torch.zeros(2, 4, 2, 2)
    assert num_parameters(network, x) == 4 * 2 * 9 + 16 * 3 + 3
    assert num_macs(network, x) == 4 * 4 * 2 * 9 + 3 * 17


def test_initial_weights_are_the_seeds() -> None:
    networks = [nn.Sequential(nn.Conv2d(8, 64, 3), nn.BatchNorm2d(64), nn.Linear(4, 2)) for _ in range(3)]
    for network, seed in zip(networks, (0, 0, 1), strict=True):
        initialize(network, seed=seed)
    first, same, other = (network[0].weight for network in networks)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    # 4,608 draws: the standard deviation is known to about one percent; the bound is five times that
    assert float(first.detach().std()) == pytest.approx(math.sqrt(2 / 72), rel=0.05)  # pyright: ignore
    assert float(networks[0][2].bias.detach().abs().max()) == 0  # pyright: ignore
