import math

import pytest
import torch
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.data import Images, ImageSplits, digits
from evaluation.network import CellNetwork, NetworkShape
from evaluation.stack import NetworkStack, named_uniform
from evaluation.train import Recipe, train

RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
MIXED = "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_3x3~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_1x1~2|"
SHAPE = NetworkShape(num_classes=10, in_channels=1, channels=2, cells_per_stage=1, mean=0.3, std=0.4)


def in_double_precision(images: Images) -> Images:
    return Images(images.pixels.double(), images.labels)


def trained(architectures: list[str], images: Images, recipe: Recipe, *, seed: int = 0) -> NetworkStack:
    stack = NetworkStack(architectures, SHAPE, seed=0).to(images.pixels.dtype)
    train(stack, images, recipe, seed=seed)
    return stack


def answers(stack: NetworkStack, images: Images) -> torch.Tensor:
    with torch.no_grad():
        return stack.eval()(images.pixels.unsqueeze(1).expand(-1, len(stack), -1, -1, -1))


def test_training_teaches() -> None:
    """Two short epochs on the digits; a guess has a loss of ln 10."""
    splits = digits()
    shape = NetworkShape(10, 1, 4, 1, splits.mean, splits.std)
    stack = NetworkStack([RESNET, MIXED], shape, seed=0)
    train(stack, splits.train.first(640), Recipe(epochs=2, batch_size=32), seed=0)
    logits = answers(stack, splits.valid)
    for member in range(2):
        assert float(F.cross_entropy(logits[:, member], splits.valid.labels)) < 0.5 * math.log(10)


def test_training_is_deterministic(tiny: ImageSplits) -> None:
    recipe = Recipe(epochs=1, batch_size=32)
    first, second, other = (trained([RESNET], tiny.train, recipe, seed=seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))
    assert not torch.equal(first.classifier_weight, other.classifier_weight), "the seed orders the images"


def test_the_global_generator_plays_no_part(tiny: ImageSplits) -> None:
    torch.manual_seed(0)
    first = trained([RESNET], tiny.train, Recipe(epochs=1, batch_size=48))
    torch.manual_seed(1)
    second = trained([RESNET], tiny.train, Recipe(epochs=1, batch_size=48))
    assert torch.equal(first.classifier_weight, second.classifier_weight)


@pytest.mark.parametrize("batch_size", [96, 48], ids=["one step", "two steps"])
def test_a_stack_learns_what_its_members_learn_alone(tiny: ImageSplits, batch_size: int) -> None:
    images, recipe = in_double_precision(tiny.train), Recipe(epochs=1, batch_size=batch_size)
    together = answers(trained([RESNET, MIXED], images, recipe), images)
    for member, architecture in enumerate((RESNET, MIXED)):
        alone = answers(trained([architecture], images, recipe), images)
        torch.testing.assert_close(together[:, member], alone[:, 0], rtol=1e-8, atol=1e-8)


def test_training_is_the_benchmarks_recipe_on_a_plain_network(tiny: ImageSplits) -> None:
    """Written out: shuffled batches without the incomplete last one, Nesterov, weight decay, a cosine per step."""
    images = in_double_precision(tiny.train.first(70))
    recipe = Recipe(epochs=2, batch_size=32, learning_rate=0.05, momentum=0.8, weight_decay=1e-2)
    network = CellNetwork(MIXED, SHAPE).double()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 4 or name.startswith("classifier"):
            fan_in = parameter[0].numel() if parameter.ndim > 1 else network.classifier.in_features
            parameter.data = named_uniform(parameter.shape, fan_in**-0.5, seed=0, name=name).double()
    generator = torch.Generator().manual_seed(3)
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    orders = [torch.randperm(70, generator=generator) for _ in range(2)]
    for step, rows in enumerate(rows for order in orders for rows in (order[:32], order[32:64])):
        loss = F.cross_entropy(network(images.pixels[rows]), images.labels[rows])
        rate = 0.05 * (1 + math.cos(math.pi * step / 4)) / 2
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        for parameter, speed, gradient in zip(network.parameters(), velocity, gradients, strict=True):
            gradient = gradient + 1e-2 * parameter.detach()
            speed.mul_(0.8).add_(gradient)
            parameter.data -= rate * (gradient + 0.8 * speed)
    with torch.no_grad():
        expected = network.eval()(images.pixels)
    stack = trained([MIXED], images, recipe, seed=3)
    torch.testing.assert_close(answers(stack, images)[:, 0], expected, rtol=1e-8, atol=1e-8)


def test_no_epochs_is_no_training(tiny: ImageSplits) -> None:
    stack, fresh = trained([RESNET], tiny.train, Recipe(epochs=0)), NetworkStack([RESNET], SHAPE, seed=0)
    assert all(map(torch.equal, stack.state_dict().values(), fresh.state_dict().values()))


@pytest.mark.parametrize("batch_size", [97, 0, -1])
def test_a_batch_size_without_a_step_is_refused(tiny: ImageSplits, batch_size: int) -> None:
    """Otherwise a table of untrained networks would come out."""
    with pytest.raises(ConfigurationError, match=rf"batch_size={batch_size}: give 1\.\.96"):
        trained([RESNET], tiny.train, Recipe(batch_size=batch_size))
