"""Adversarial training against loops that are written out, formulas and closed forms."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.data.bundled import digits
from evaluation.data.images import Images, ImageSplits
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.networks.stacked import NetworkStack, initialize
from evaluation.randomness import keys, normal, uniform
from evaluation.training.adversarial import AbstractAdversary
from evaluation.training.fgsm_rs import FGSMRS
from evaluation.training.n_fgsm import NFGSM
from evaluation.training.pgd import PGDTraining
from evaluation.training.sgd import Recipe, fit, train
from evaluation.training.subject import shown, under_attack
from evaluation.training.trades import TRADES, divergence

CELL = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|skip_connect~2|"
OTHER = "|nor_conv_1x1~0|+|skip_connect~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|"
CONSTANT = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SHAPE = NetworkShape(num_classes=3, in_channels=2, channels=2, cells_per_stage=1, mean=(0.4, 0.5), std=(0.2, 0.3))
EPS = 16 / 255


@pytest.fixture(scope="module")
def images() -> Images:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.rand(20, 2, 8, 8, generator=rng, dtype=torch.float64)
    return Images(pixels, torch.randint(3, (20,), generator=rng))


def written_out(adversary: AbstractAdversary) -> Callable[[Callable, Tensor, Tensor, Tensor, float], Tensor]:
    """The published perturbation, for one network: model, pixels, labels, keys, radius."""

    def projected(point: Tensor, x: Tensor, eps: float) -> Tensor:
        return torch.min(torch.max(point, x - eps), x + eps).clamp(0, 1)

    def perturb(model: Callable, x: Tensor, y: Tensor, key: Tensor, eps: float) -> Tensor:
        drawn = (uniform(key, x.shape[1:]) * 2 - 1).to(x)
        if isinstance(adversary, TRADES):
            point, clean = x + 0.001 * normal(key, x.shape[1:]).to(x), model(x).softmax(1).detach()
        elif isinstance(adversary, NFGSM):
            point, clean = (x + 2 * eps * drawn).clamp(0, 1), None
        else:
            point, clean = (x + eps * drawn).clamp(0, 1), None
        for _ in range(adversary.gradients):
            point.requires_grad_()
            logits = model(point)
            loss = (
                F.cross_entropy(logits, y) if clean is None else F.kl_div(logits.log_softmax(1), clean, reduction="sum")
            )
            (gradient,) = torch.autograd.grad(loss, point)
            point = point.detach() + adversary.relative_step * eps * gradient.sign()
            point = point.clamp(0, 1) if isinstance(adversary, NFGSM) else projected(point, x, eps)
        return point

    return perturb


def reference(
    network: NetworkStack | CellNetwork, images: Images, recipe: Recipe, *, seed: int
) -> NetworkStack | CellNetwork:
    """Training as one would write it for one network, or a stack of one."""
    adversary = recipe.adversarial
    assert adversary is not None
    perturb, stacked = written_out(adversary), isinstance(network, NetworkStack)

    def model(x: Tensor) -> Tensor:
        return network(x.unsqueeze(1))[:, 0] if stacked else network(x)

    optimizer = torch.optim.SGD(
        network.parameters(), lr=1.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    generator, steps = torch.Generator().manual_seed(seed), len(images) // recipe.batch_size
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)
        for step in range(steps):
            rows = order[step * recipe.batch_size :][: recipe.batch_size]
            x, y = images.batch(rows)
            eps = adversary.eps * min(1.0, (epoch + (step + 1) / steps) / (adversary.warmup_epochs or 1e-9))
            network.train(adversary.batch_norm == "train")
            point = perturb(model, x, y, keys(seed, "adversarial", rows, torch.full_like(rows, epoch)), eps)
            network.train()
            optimizer.param_groups[0]["lr"] = recipe.rate(epoch, step, steps)
            optimizer.zero_grad()
            if isinstance(adversary, TRADES):
                clean = model(x)
                robust = F.kl_div(model(point).log_softmax(1), clean.log_softmax(1), reduction="sum", log_target=True)
                loss = (F.cross_entropy(clean, y, reduction="sum") + adversary.beta * robust) / len(x)
            else:
                loss = F.cross_entropy(model(point), y, reduction="sum") / len(x)
            loss.backward()
            optimizer.step()
    return network.eval()


ADVERSARIES = [
    PGDTraining(eps=EPS, steps=3, relative_step=0.5),
    PGDTraining(eps=EPS, steps=2, batch_norm="train", warmup_epochs=2),
    FGSMRS(eps=EPS),
    NFGSM(eps=EPS, warmup_epochs=1),
    TRADES(eps=EPS, steps=2, beta=3.0),
    TRADES(eps=EPS, steps=2, batch_norm="train"),
]


def name(adversary: AbstractAdversary) -> str:
    return f"{type(adversary).__name__}, {adversary.batch_norm}"


@pytest.mark.parametrize("adversary", ADVERSARIES, ids=name)
def test_training_is_the_written_out_loop_bit_for_bit(adversary: AbstractAdversary, images: Images) -> None:
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=0.05, adversarial=adversary)
    mine, theirs = (NetworkStack([CELL], SHAPE, seed=3).double() for _ in range(2))
    train(mine, images, recipe, seed=3)
    wanted = reference(theirs, images, recipe, seed=3).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in mine.state_dict().items())


@pytest.mark.sample(2)
@pytest.mark.parametrize("adversary", ADVERSARIES, ids=name)
def test_plain_networks_learn_what_stacks_and_fused_networks_learn(
    adversary: AbstractAdversary, images: Images
) -> None:
    """Together or alone, and whichever way; a network that ignores its images disturbs nobody."""
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=0.05, adversarial=adversary)
    stack = NetworkStack([OTHER, CONSTANT, CELL], SHAPE, seed=3).double()
    fused = [FusedNetwork(cell, SHAPE, seed=3).double() for cell in (CELL, CONSTANT, OTHER)]
    train(stack, images, recipe, seed=3)
    train(fused, images, recipe, seed=3)
    for place, cell in ((2, CELL), (0, OTHER)):
        plain = CellNetwork(cell, SHAPE)
        initialize(plain, seed=3)
        wanted = reference(plain.double(), images, recipe, seed=3)(images.pixels)
        alone = fused[2 - place].network.eval()
        for found in (stack.eval().network(place)(images.pixels), alone(images.pixels)):
            torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-7)


def linear(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """Logits of two classes, of which the first is likelier the larger ``sum(weight * x)``."""

    def ask(x: Tensor) -> Tensor:
        score = (x * weight).flatten(-3).sum(-1)
        return torch.stack([score, -score], dim=-1)

    return ask


@pytest.mark.parametrize("members", [(), (3,)], ids=["one network", "a stack"])
def test_steps_have_their_closed_form_on_a_linear_network(members: tuple[int, ...]) -> None:
    """The gradient's sign is known everywhere: against the true class."""
    rng = torch.Generator().manual_seed(1)
    x = torch.rand(6, *members, 1, 4, 4, generator=rng, dtype=torch.float64)
    labels = torch.randint(2, (6, *members), generator=rng)
    weight = torch.randn(*members, 1, 4, 4, generator=rng, dtype=torch.float64)
    sign = weight.sign() * (2.0 * labels - 1)[..., None, None, None]
    key = keys(0, "adversarial", torch.arange(6))
    drawn = uniform(key, (1, 4, 4)).double().view(6, *[1 for _ in members], 1, 4, 4) * 2 - 1
    ask = linear(weight)

    start = (x + 0.1 * drawn).clamp(0, 1)
    ball = (x - 0.1, x + 0.1)
    found = PGDTraining(eps=0.1, steps=1, relative_step=0.5).perturb(ask, x, labels, key)
    torch.testing.assert_close(found, (start + 0.05 * sign).clamp(*ball).clamp(0, 1))
    found = PGDTraining(eps=0.1, steps=9).perturb(ask, x, labels, key)
    torch.testing.assert_close(found, (x + 0.1 * sign).clamp(0, 1), msg="nine quarters of eps cross the ball")
    found = PGDTraining(eps=0.1, steps=1, random_start=False).perturb(ask, x, labels, key)
    torch.testing.assert_close(found, (x + 0.025 * sign).clamp(0, 1))
    found = FGSMRS(eps=0.1).perturb(ask, x, labels, key)
    torch.testing.assert_close(found, (start + 0.125 * sign).clamp(*ball).clamp(0, 1))
    found = NFGSM(eps=0.1).perturb(ask, x, labels, key)
    torch.testing.assert_close(found, ((x + 0.2 * drawn).clamp(0, 1) + 0.1 * sign).clamp(0, 1))
    assert float((found - x).abs().max()) > 0.2, "the noise is not projected"
    assert torch.equal(FGSMRS(eps=0.1).perturb(ask, x, labels, key, eps=0.0), x), "a radius of its own"


def test_divergence_is_the_formula_with_its_gradients() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, clean = (torch.randn(5, 3, 4, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(2))
    p, q = clean.softmax(-1).detach(), logits.softmax(-1).detach()
    loss = divergence(logits, clean)
    of_each = (p * (p / q).log()).sum(-1, keepdim=True)
    assert loss.item() == pytest.approx(of_each.sum().item())
    found = torch.autograd.grad(loss, (logits, clean))
    torch.testing.assert_close(found[0], q - p)
    torch.testing.assert_close(found[1], p * ((p / q).log() - of_each))
    assert torch.autograd.gradcheck(divergence, (logits, clean))


def test_the_loss_of_trades_is_both_terms() -> None:
    """The gradient of its weights too, with autograd on the formula written out."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 6, generator=rng, dtype=torch.float64).requires_grad_()
    x, point = (torch.rand(5, 1, 2, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    labels = torch.tensor([0, 3, 1, 1, 2])
    loss = TRADES(beta=2.5).loss(lambda v: v.flatten(1) @ weight.T, x, point, labels)
    p, q = (F.softmax(v.flatten(1) @ weight.T, dim=1) for v in (x, point))
    wanted = -p[torch.arange(5), labels].log().sum() + 2.5 * (p * (p.log() - q.log())).sum()
    assert loss.item() == pytest.approx(wanted.item())
    torch.testing.assert_close(*(torch.autograd.grad(value, weight)[0] for value in (loss, wanted)))
    half = TRADES(beta=0.0).loss(lambda v: v.flatten(1) @ weight.T, x, point, labels, label_smoothing=0.2)
    wanted = F.cross_entropy(x.flatten(1) @ weight.T, labels, reduction="sum", label_smoothing=0.2)
    assert half.item() == pytest.approx(wanted.item())


def test_the_start_belongs_to_image_seed_and_epoch(images: Images) -> None:
    """The rounding of a sum over a batch aside, nothing else plays a part: points are equal bit for bit here."""
    network = NetworkStack([CELL, OTHER], SHAPE, seed=0).double()
    adversary, rows = PGDTraining(eps=EPS, steps=2), torch.arange(20)

    def points(rows: Tensor, seed: int = 0, epoch: int = 0) -> Tensor:
        key = keys(seed, "adversarial", rows, torch.full_like(rows, epoch))
        with under_attack(network) as ask:
            return adversary.perturb(ask, *shown(network, *images.batch(rows)), key)

    whole = points(rows)
    shuffled = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(points(shuffled), whole[shuffled], rtol=0, atol=1e-12)
    torch.testing.assert_close(points(rows[5:8]), whole[5:8], rtol=0, atol=1e-12)
    for other in (points(rows, seed=1), points(rows, epoch=1)):
        assert float((other - whole).abs().mean()) > 0.1 * EPS
    assert not torch.equal(whole[:, 0], whole[:, 1]), "each network gets its own"


def test_networks_are_as_they_were_after_an_attack(images: Images) -> None:
    for network in (NetworkStack([CELL], SHAPE, seed=0), FusedNetwork(CELL, SHAPE, seed=0)):
        network.train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        small = Images(images.pixels.float(), images.labels)
        inputs, labels = shown(network, small.pixels, small.labels)
        with under_attack(network) as ask:
            FGSMRS().perturb(ask, inputs, labels, torch.arange(20))
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
        assert all(module.training for module in network.modules())


def test_a_compiled_stack_perturbs_as_the_stack_does(images: Images) -> None:
    """In float32, where it is taken; a gradient's sign is the same but where it is nearly zero."""
    stack, labels = NetworkStack([CELL, OTHER], SHAPE, seed=0), images.labels
    inputs, wanted = shown(stack, images.pixels.float(), labels)
    adversary, key = PGDTraining(eps=EPS, steps=3), keys(0, "adversarial", torch.arange(20))
    with under_attack(stack) as ask:
        mine = adversary.perturb(ask, inputs, wanted, key)
        torch.testing.assert_close(ask(inputs), stack(inputs), rtol=1e-4, atol=1e-6)
        assert not torch.equal(ask(inputs), stack(inputs)), "it is another way of computing them"
        theirs = adversary.perturb(stack, inputs, wanted, key)
    assert float((mine != theirs).float().mean()) < 0.01


@pytest.mark.sample(3)
@pytest.mark.parametrize("size", [8, 32], ids=["as a stack", "taking turns"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("adversary", [FGSMRS(), TRADES(steps=1)], ids=name)
def test_fit_trains_adversarially_in_either_precision(size: int, precision: str, adversary: AbstractAdversary) -> None:
    shape = NetworkShape(num_classes=3, in_channels=3, channels=3, cells_per_stage=1, mean=0.5, std=0.3)
    stored = torch.randint(256, (16, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = Images(stored, torch.arange(16) % 3)
    recipe = Recipe(epochs=1, batch_size=8, precision=precision, adversarial=adversary)
    first, again = (fit([CELL, CONSTANT], shape, images, recipe, seed=0) for _ in range(2))
    standard = fit([CELL], shape, images, Recipe(epochs=1, batch_size=8, precision=precision), seed=0)[0]
    for one, same in zip(first, again, strict=True):
        assert not one.training
        assert all(map(torch.equal, one.state_dict().values(), same.state_dict().values()))
    assert not torch.equal(first[0].classifier.weight, standard.classifier.weight)


@pytest.mark.slow
def test_digits_become_robust() -> None:
    """Standard training knows the digits as well, keeps most of them at 8/255, and loses them at 32/255."""
    splits = digits()
    shape = NetworkShape(10, 1, 4, 1, splits.mean, splits.std)
    attack = PGD([8 / 255, 32 / 255], steps=20, relative_step=0.1)
    found: dict[str, list[float]] = {}
    for way, adversary in (("standard", None), ("robust", FGSMRS(eps=32 / 255))):
        (network,) = fit([CELL], shape, splits.train, Recipe(epochs=5, adversarial=adversary), seed=0)
        outcomes = evaluate(network, splits.test.stored, splits.test.labels, attack).outcomes
        found[way] = [outcome.accuracy for outcome in outcomes]
    assert found["robust"][0] > 85
    assert found["robust"][1] > 80
    assert found["robust"][2] > 50
    assert found["robust"][2] > found["standard"][2] + 40


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FGSMRS(eps=0), "adversarial.eps_255=0; give a radius above 0 and up to 255, e.g. 8"),
        (lambda: FGSMRS(eps=8), "adversarial.eps_255=2040; give a radius"),
        (lambda: FGSMRS(eps=math.nan), "adversarial.eps_255=nan"),
        (lambda: PGDTraining(steps=0), "adversarial.steps=0; give a whole number from 1"),
        (lambda: TRADES(steps=-1), "adversarial.steps=-1"),
        (lambda: PGDTraining(relative_step=0), "adversarial.relative_step=0; give a number above 0"),
        (lambda: NFGSM(noise=-1), "adversarial.noise=-1; give a number above 0"),
        (lambda: TRADES(beta=-1), "adversarial.beta=-1; give a number from 0, e.g. 6"),
        (lambda: TRADES(batch_norm="frozen"), "adversarial.batch_norm=frozen; give eval or train"),
        (lambda: NFGSM(warmup_epochs=-1), "adversarial.warmup_epochs=-1; give a whole number from 0"),
        (lambda: Recipe(epochs=5, adversarial=FGSMRS(warmup_epochs=6)), "warmup_epochs=6 of recipe.epochs=5"),
        (lambda: Recipe(epochs=0, adversarial=FGSMRS()), "recipe.epochs=0 with adversarial training"),
        (lambda: Recipe(select="best_robust"), "recipe.select=best_robust without adversarial training"),
        (lambda: Recipe(select="best", adversarial=FGSMRS()), "recipe.select=best: give last or best_robust"),
        (lambda: Recipe(schedule="linear"), "recipe.schedule=linear: give cosine or one_cycle"),
        (lambda: Recipe(momentum=0.0), "recipe.nesterov=false"),
    ],
)
def test_what_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_the_best_epoch_needs_validation_images(tiny: ImageSplits) -> None:
    recipe = Recipe(epochs=1, select="best_robust", adversarial=FGSMRS())
    shape = NetworkShape(10, 1, 2, 1)
    for valid in (None, tiny.valid.first(0)):
        with pytest.raises(ConfigurationError, match=r"recipe\.select=best_robust needs validation images"):
            fit([CELL], shape, tiny.train, recipe, seed=0, valid=valid)
