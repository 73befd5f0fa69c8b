"""Measures of gradients and features, against closed forms and written-out loops."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agnet.errors import InvalidInput
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.training_free.fisher import fisher_information
from evaluation.training_free.grad_norm import gradient_norm
from evaluation.training_free.initialization import initialize
from evaluation.training_free.snip import connection_sensitivity
from evaluation.training_free.zen import STEP, zen_score

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


def linear() -> tuple[nn.Module, nn.Linear, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A linear classifier of flat images, its images and labels, and by hand the loss's gradient by its logits."""
    rng = torch.Generator().manual_seed(1)
    network = nn.Sequential(nn.Flatten(), layer := nn.Linear(3, 4)).double()
    images, labels = torch.rand(5, 1, 1, 3, generator=rng, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0])
    by_logits = (network(images).softmax(dim=1) - F.one_hot(labels, 4)).detach() / 5
    return network, layer, images, labels, by_logits


def test_snip_and_grad_norm_of_a_linear_classifier() -> None:
    network, layer, images, labels, by_logits = linear()
    gradient = by_logits.T @ images.flatten(1)
    expected = float((layer.weight.detach() * gradient).abs().sum())
    assert connection_sensitivity(network, images, labels) == pytest.approx(expected)
    assert gradient_norm(network, images, labels) == pytest.approx(math.sqrt(float(gradient.square().sum())))


def test_fisher_of_a_linear_classifier() -> None:
    network, _, images, labels, by_logits = linear()
    channels = (network(images).detach() * by_logits).square().mean(dim=0) / 2
    weights_of_a_channel = 3
    assert fisher_information(network, images, labels) == pytest.approx(weights_of_a_channel * float(channels.sum()))


def test_snip_and_grad_norm_equal_a_loop_over_the_layers(
    network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    snip, norm = connection_sensitivity(network, *batch), gradient_norm(network, *batch)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    F.cross_entropy(network.train()(batch[0]), batch[1]).backward()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    pairs = [(layer.weight.detach(), layer.weight.grad) for layer in layers if layer.weight.grad is not None]
    assert snip == pytest.approx(sum(float((weight * grad).abs().sum()) for weight, grad in pairs), rel=1e-5)
    assert norm == pytest.approx(sum(float(grad.norm()) for _, grad in pairs), rel=1e-5)


def test_fisher_is_the_squared_gradient_of_a_mask_on_every_image_and_channel(
    network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    found = fisher_information(network, *batch)
    masks: list[tuple[int, torch.Tensor]] = []

    def masked(layer: nn.Module, _: object, output: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(*output.shape[:2], *[1] * (output.ndim - 2), requires_grad=True)
        masks.append((layer.weight[0].numel(), mask))  # pyright: ignore
        return output * mask

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(masked)
    F.cross_entropy(network.train()(batch[0]), batch[1]).backward()
    used = [(count, mask.grad) for count, mask in masks if mask.grad is not None]
    expected = sum(count * float(gradient.square().mean(dim=0).sum()) / 2 for count, gradient in used)
    assert found == pytest.approx(expected, rel=1e-4)


def test_scale_of_normalised_weights_is_nothing_to_snip_but_divides_the_gradient(
    network: CellNetwork, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    snip, norm = connection_sensitivity(network, *batch), gradient_norm(network, *batch)
    with torch.no_grad():
        network.stem[0].weight *= 4  # pyright: ignore
    assert connection_sensitivity(network, *batch) == pytest.approx(snip, rel=1e-3)
    assert gradient_norm(network, *batch) < norm


class Features(nn.Module):
    """Linear features, normalised or not, and their average; a second normalisation may have no effect."""

    def __init__(self, weight: torch.Tensor, *, normalize: bool = False, idle: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
        self.conv.weight.data = weight[:, :, None, None]
        self.norm = nn.BatchNorm2d(weight.shape[0], eps=1e-12) if normalize else nn.Identity()
        self.idle = nn.BatchNorm2d(weight.shape[1]) if idle else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.idle is not None:
            self.idle(7 * x)
        return self.norm(self.conv(x)).mean(dim=(2, 3))


def test_zen_score_of_linear_features_is_how_far_the_noise_moves_them() -> None:
    rng = torch.Generator().manual_seed(0)
    weight, noise = torch.randn(3, 2, generator=rng), torch.randn(8, 2, 4, 4, generator=rng)
    labels = torch.zeros(8, dtype=torch.int64)
    unit = weight / weight.square().mean().sqrt()
    moved = torch.einsum("kc,nchw->nkhw", unit, noise[4:])
    expected = math.log(STEP * float(moved.abs().sum(dim=(1, 2, 3)).mean()))
    assert zen_score(Features(weight), noise, labels) == pytest.approx(expected, abs=1e-3)
    assert zen_score(Features(5 * weight), noise, labels) == pytest.approx(expected, abs=1e-3)
    assert zen_score(Features(weight), noise[:3], labels[:3]) == zen_score(Features(weight), noise[:2], labels[:2])


def test_zen_score_gives_back_what_normalisations_divide_by() -> None:
    rng = torch.Generator().manual_seed(0)
    noise, labels = torch.randn(8, 1, 6, 6, generator=rng), torch.zeros(8, dtype=torch.int64)
    normalized = Features(torch.tensor([[3.0]]), normalize=True)
    x, moved = noise[:4].double(), (noise[:4] + STEP * noise[4:]).double()
    deviations = [float(values.std(correction=0)) for values in (x, moved)]
    apart = ((x - x.mean()) / deviations[0] - (moved - moved.mean()) / deviations[1]).abs().sum(dim=(1, 2, 3)).mean()
    score = zen_score(normalized, noise, labels)
    assert score == pytest.approx(math.log(float(apart)) + math.log(deviations[0]), abs=1e-3)
    # the mean and deviation of 144 pixels move a little with the noise, which plain features ignore
    assert score == pytest.approx(zen_score(Features(torch.tensor([[3.0]])), noise, labels), abs=0.05)


def test_zen_score_leaves_out_normalisations_without_effect() -> None:
    noise, labels = torch.randn(8, 2, 4, 4), torch.zeros(8, dtype=torch.int64)
    weight = torch.randn(3, 2)
    assert zen_score(Features(weight, idle=True), noise, labels) == zen_score(Features(weight), noise, labels)


def test_what_a_measure_cannot_see_is_refused() -> None:
    images, labels = torch.rand(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(InvalidInput, match="1 images; the Zen-Score compares pairs"):
        zen_score(flat, images[:1], labels[:1])
    with pytest.raises(InvalidInput, match="Sequential averages no map of features"):
        zen_score(flat, images, labels)

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(4, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) @ self.weight

    with pytest.raises(InvalidInput, match="Bare calls no Conv2d or Linear"):
        fisher_information(Bare(), images, labels)
