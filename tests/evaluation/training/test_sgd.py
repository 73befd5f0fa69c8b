import dataclasses
import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.data.augment import augment
from evaluation.data.bundled import digits
from evaluation.data.images import Images, ImageSplits
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.networks.stacked import NetworkStack, initialize, named_uniform
from evaluation.training.sgd import STACKED_VALUES, Recipe, fit, train

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
    rng = torch.Generator().manual_seed(3)
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    orders = [torch.randperm(70, generator=rng) for _ in range(2)]
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


# ------------------------------------------------------------------------------------------------------- many networks

COLOUR = NetworkShape(
    num_classes=10, in_channels=3, channels=3, cells_per_stage=1, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.2)
)
POOLED = "|nor_conv_1x1~0|+|avg_pool_3x3~0|none~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
FULL = Recipe(
    epochs=2,
    batch_size=8,
    learning_rate=0.05,
    momentum=0.8,
    weight_decay=1e-2,
    flip=True,
    crop_padding=2,
    anneal="epoch",
)


def coloured(n: int = 20, size: int = 8) -> Images:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.rand(n, 3, size, size, generator=rng, dtype=torch.float64)
    return Images(pixels, torch.randint(10, (n,), generator=rng))


def plainly(architecture: str, images: Images, recipe: Recipe, *, seed: int) -> tuple[CellNetwork, list[float]]:
    """A plain eager network and the framework's own optimiser; the network and the loss of every step."""
    network = CellNetwork(architecture, COLOUR)
    initialize(network, seed=seed)
    network.to(images.pixels.dtype).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=1.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    generator, losses = torch.Generator().manual_seed(seed), []
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)
        for first in range(0, len(images) - recipe.batch_size + 1, recipe.batch_size):
            rows = order[first : first + recipe.batch_size]
            pixels = augment(
                images.pixels[rows], rows, flip=recipe.flip, padding=recipe.crop_padding, seed=seed, epoch=epoch
            )
            loss = F.cross_entropy(network(pixels), images.labels[rows])
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return network.eval(), losses


def test_networks_that_take_turns_are_plain_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, weights and running statistics of the benchmark's recipe, to 1e-10, in double precision."""
    architectures, images = [RESNET, MIXED, POOLED], coloured()
    networks = [FusedNetwork(a, COLOUR, seed=3).double() for a in architectures]
    losses: list[float] = []
    cross_entropy = F.cross_entropy

    def listening(*args, **kwargs):
        losses.append(cross_entropy(*args).item())
        return cross_entropy(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(F, "cross_entropy", listening)
        train(networks, images, FULL, seed=3)
    for i, (architecture, fused) in enumerate(zip(architectures, networks, strict=True)):
        plain, expected = plainly(architecture, images, FULL, seed=3)
        assert losses[i :: len(networks)] == pytest.approx(expected, rel=1e-10)
        wanted = plain.state_dict()
        for name, tensor in fused.network.state_dict().items():
            torch.testing.assert_close(tensor, wanted[name], rtol=1e-10, atol=1e-13, msg=f"{architecture} {name}")


def test_a_stack_is_plain_networks_too() -> None:
    """The pool of small maps is a product with a single-precision matrix, so cells without a pool."""
    images = coloured()
    stack = NetworkStack([RESNET, MIXED], COLOUR, seed=3).double()
    train(stack, images, FULL, seed=3)
    for i, architecture in enumerate((RESNET, MIXED)):
        plain, _ = plainly(architecture, images, FULL, seed=3)
        wanted = plain.state_dict()
        for name, tensor in stack.network(i).state_dict().items():
            torch.testing.assert_close(tensor, wanted[name], rtol=1e-10, atol=1e-13, msg=f"{architecture} {name}")


@pytest.mark.parametrize("size", [8, 32], ids=["as a stack", "taking turns"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fit_hands_over_trained_networks(size: int, precision: str) -> None:
    """The seed decides and nothing else, for either way; the networks see bytes as they see pixels."""
    assert (COLOUR.channels * size**2 <= STACKED_VALUES) == (size == 8)
    pixels = coloured(size=size)
    images = Images((pixels.stored * 255).to(torch.uint8), pixels.labels)
    recipe = dataclasses.replace(FULL, precision=precision)

    def made(seed: int, images: Images = images) -> list[CellNetwork]:
        return fit([RESNET, POOLED], COLOUR, images, recipe, seed=seed)

    first, other = made(0), made(1)
    torch.manual_seed(99)
    for again in (made(0), made(0, Images(images.pixels, images.labels))):
        for network, same, different in zip(first, again, other, strict=True):
            assert isinstance(network, CellNetwork)
            assert not network.training
            state = same.state_dict()
            assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
            assert not torch.equal(network.classifier.weight, different.classifier.weight)
    assert all(p.dtype == torch.float32 for p in first[0].parameters())


def test_the_two_ways_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    images = Images(coloured().stored.float(), coloured().labels)
    stacked = fit([RESNET, MIXED], COLOUR, images, FULL, seed=0)
    monkeypatch.setattr("evaluation.training.sgd.STACKED_VALUES", 0)
    for mine, theirs in zip(fit([RESNET, MIXED], COLOUR, images, FULL, seed=0), stacked, strict=True):
        torch.testing.assert_close(mine(images.pixels), theirs(images.pixels), rtol=1e-3, atol=1e-3)


def test_rates() -> None:
    """The benchmark's cosine moves between epochs, ours by default between steps; both begin alike."""
    steps, epochs = Recipe(epochs=4, learning_rate=2.0), Recipe(epochs=4, learning_rate=2.0, anneal="epoch")
    assert [epochs.rate(e, 3, 10) for e in range(4)] == pytest.approx([1 + math.cos(math.pi * e / 4) for e in range(4)])
    assert [steps.rate(e, 5, 10) for e in range(4)] == pytest.approx(
        [1 + math.cos(math.pi * (e + 0.5) / 4) for e in range(4)]
    )
    assert steps.rate(0, 0, 10) == epochs.rate(0, 9, 10) == 2.0


@pytest.mark.parametrize("steps", [1, 2, 3, 20, 57])
def test_one_cycle_is_the_frameworks(steps: int) -> None:
    recipe = Recipe(epochs=steps, learning_rate=0.3, schedule="one_cycle")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=steps, cycle_momentum=False)
    for step in range(steps):
        if steps > 3:  # of fewer the framework's first phase has no length
            assert recipe.rate(step, 0, 1) == pytest.approx(optimizer.param_groups[0]["lr"])
        assert 0 < recipe.rate(step, 0, 1) <= 0.3
        optimizer.step()
        if step < steps - 1:
            theirs.step()


def test_plain_momentum(tiny: ImageSplits) -> None:
    """One step is the same with either; the second is not."""
    recipe = Recipe(epochs=1, batch_size=48, learning_rate=0.05, weight_decay=0.0)
    plain = dataclasses.replace(recipe, nesterov=False)
    images = in_double_precision(tiny.train)
    first, second = trained([RESNET], images, recipe), trained([RESNET], images, plain)
    assert not torch.equal(first.classifier_weight, second.classifier_weight)
    fresh = NetworkStack([RESNET], SHAPE, seed=0).double()
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.05, momentum=0.9)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(0))
    for step, rows in enumerate((order[:48], order[48:])):
        optimizer.param_groups[0]["lr"] = recipe.rate(0, step, 2)
        optimizer.zero_grad()
        logits = fresh(images.pixels[rows].unsqueeze(1)).flatten(0, 1)
        (F.cross_entropy(logits, images.labels[rows], reduction="sum") / 48).backward()
        optimizer.step()
    assert torch.equal(fresh.classifier_weight, second.classifier_weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anneal": "never"}, "recipe.anneal=never: give step or epoch"),
        ({"precision": "float16"}, "recipe.precision=float16: give float32 or bfloat16"),
        ({"crop_padding": -1}, "recipe.crop_padding=-1: neither may be negative"),
        ({"epochs": -1}, "recipe.epochs=-1"),
    ],
)
def test_impossible_recipes_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Recipe(**change)


@pytest.mark.gpu
def test_training_on_a_gpu_is_training_here() -> None:
    images = Images(coloured().stored.float(), coloured().labels)
    here, there = (fit([RESNET, MIXED], COLOUR, images, FULL, seed=0, device=device) for device in ("cpu", "cuda"))
    for mine, theirs in zip(here, there, strict=True):
        torch.testing.assert_close(mine(images.pixels), theirs.cpu()(images.pixels), rtol=1e-2, atol=1e-2)
