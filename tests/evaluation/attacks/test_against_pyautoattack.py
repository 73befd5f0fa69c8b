"""APGD and Square against their authors' code: given the same draws, the same iterates."""

import math
import sys
from collections.abc import Callable

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from evaluation.attacks import auto_projected_gradient_descent as apgd_module
from evaluation.attacks import base
from evaluation.attacks.auto_projected_gradient_descent import APGD, checkpoints
from evaluation.attacks.base import Slots
from evaluation.attacks.functions import apgd, perturb, square
from evaluation.networks.compiled import CompiledNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|"
IMAGES = 24


class Recorder:
    """A model that remembers where it was asked."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        self.model, self.points = model, []

    def __call__(self, x: Tensor) -> Tensor:
        self.points.append(x.detach().clone())
        return self.model(x)


class Curved:
    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(3)
        self.first = torch.randn(3 * 8 * 8, 16, generator=rng) * 0.15
        self.second = torch.randn(16, 6, generator=rng)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.tanh((x - 0.5).flatten(1) @ self.first.to(x)) @ self.second.to(x)


def cell_network() -> CompiledNetwork:
    torch.manual_seed(5)
    network = CellNetwork(CELL, NetworkShape(6, 3, 4, 1, mean=(0.5, 0.4, 0.45), std=(0.2, 0.3, 0.25)))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
    with torch.no_grad():  # spread the classes: an untrained network has a favourite
        network.classifier.weight *= 8
        network.eval()
        network.classifier.bias -= network(torch.rand(64, 3, 8, 8)).mean(dim=0)
    return CompiledNetwork(network)


MODELS = {"smooth": Curved, "cells": cell_network}


@pytest.fixture(params=MODELS.keys())
def model(request: pytest.FixtureRequest) -> Callable[[Tensor], Tensor]:
    return MODELS[request.param]()


def pictures() -> Tensor:
    return torch.rand(IMAGES, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def reference_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our starts from torch's global generator, in the order the reference draws."""
    monkeypatch.setattr(apgd_module, "uniform", lambda keys, shape: torch.rand(len(keys), *shape))
    monkeypatch.setattr(apgd_module, "normal", lambda keys, shape: torch.randn(len(keys), *shape))


@pytest.fixture
def reference_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The L2 geometry in the reference's own terms, whose rounding an ascent would amplify."""
    monkeypatch.setattr(apgd_module, "norm_l2", length)
    monkeypatch.setattr(apgd_module, "project", lambda point, inputs, eps, norm: projected(point, inputs, eps))
    monkeypatch.setattr(apgd_module, "ascent", lambda gradient, norm: direction(gradient))


def length(x: Tensor) -> Tensor:
    return (x.contiguous() ** 2).view(len(x), -1).sum(-1).sqrt().view(-1, 1, 1, 1)


def direction(x: Tensor) -> Tensor:
    return x / (length(x) + 1e-12)


def projected(point: Tensor, inputs: Tensor, eps: Tensor) -> Tensor:
    delta = point - inputs
    return (inputs + direction(delta) * torch.minimum(eps, length(delta))).clamp(0, 1)


def test_the_l2_geometry_is_the_references_to_rounding() -> None:
    inputs = pictures().double()
    point = (
        inputs + torch.randn(inputs.shape, dtype=torch.float64) * torch.linspace(0.01, 0.3, IMAGES)[:, None, None, None]
    )
    eps = torch.full((IMAGES, 1, 1, 1), 1.5, dtype=torch.float64)
    found = base.project(point, inputs, eps, "l2")
    torch.testing.assert_close(found, projected(point, inputs, eps), rtol=0, atol=1e-12)
    torch.testing.assert_close(base.ascent(point, "l2"), direction(point), rtol=0, atol=1e-12)
    inside = (point - inputs).flatten(1).norm(dim=1) < 1.5
    assert 0 < int(inside.sum()) < IMAGES
    torch.testing.assert_close(found[inside], point[inside].clamp(0, 1), rtol=0, atol=1e-15)


ZERO_GRADIENTS = pytest.mark.filterwarnings("ignore:there are .* points with zero gradient")  # the reference's own
LOSSES = {"ce": ("ce", APGDAttack), "dlr": ("dlr", APGDAttack), "targeted_dlr": ("dlr-targeted", APGDAttack_targeted)}
NORMS = {"linf": "Linf", "l2": "L2"}
QUICK, LONG = [(0.5, 23), (4, 40), (8, 40)], (2, 100)  # eps in units of 1/255, steps


def visit(
    model: Callable[[Tensor], Tensor], x: Tensor, loss: str, norm: str, eps: float, steps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Iterates, final points of ours and theirs, best points where never fooled, and who is not."""
    labels = model(x).argmax(dim=1)
    ours, theirs = Recorder(model), Recorder(model)
    name, kind = LOSSES[loss]
    options = {} if loss == "targeted_dlr" else {"loss": name}
    reference = kind(theirs, n_iter=steps, norm=NORMS[norm], eps=eps, device="cpu", **options)
    reference.init_hyperparam(x)
    reference.y_target = model(x).sort(dim=1)[1][:, -2]
    torch.manual_seed(7)
    best, correct, _, _ = reference.attack_single_run(x, labels)
    torch.manual_seed(7)
    found = apgd(ours, x, labels, eps=eps, loss=loss, targets=1, steps=steps, norm=norm, unfooled="best")
    assert torch.equal(model(found).argmax(dim=1) == labels, correct)
    visited = ours.points[1:]  # the first call is the clean one
    assert len(visited) == steps + 1 or not bool(correct.any()), "we stop early only when all are fooled"
    return torch.stack(visited), torch.stack(theirs.points[: len(visited)]), found[correct], best[correct], correct


@pytest.mark.sample(3)
@pytest.mark.usefixtures("reference_draws")
@pytest.mark.parametrize(("eps", "steps"), [*QUICK, pytest.param(*LONG, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", LOSSES)
@ZERO_GRADIENTS
def test_apgd_visits_the_same_points(model: Callable[[Tensor], Tensor], loss: str, eps: float, steps: int) -> None:
    """Bit for bit: all iterates of all images, best points, and which images are fooled."""
    ours, theirs, found, best, _ = visit(model, pictures(), loss, "linf", eps / 255, steps)
    different = (ours != theirs).flatten(1).any(dim=1).nonzero().flatten()
    assert not len(different), f"first at iterate {int(different[0])}"
    assert torch.equal(found, best)


@pytest.mark.sample(1)
@pytest.mark.usefixtures("reference_draws", "reference_rounding")
@pytest.mark.parametrize("eps", [20, pytest.param(80, marks=pytest.mark.slow), 300])
@pytest.mark.parametrize("loss", LOSSES)
@ZERO_GRADIENTS
@pytest.mark.filterwarnings("ignore:the gradient is zero on 8%:evaluation.attacks.gradients.UnsoundAttackWarning")
def test_apgd_in_l2_visits_the_same_points(model: Callable[[Tensor], Tensor], loss: str, eps: float) -> None:
    ours, theirs, found, best, _ = visit(model, pictures(), loss, "l2", eps / 255, 30)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(found, best, rtol=0, atol=1e-6)


def schedule(model: Callable[[Tensor], Tensor], x: Tensor, loss: str, eps: float, steps: int) -> tuple[Tensor, Tensor]:
    """Whether the step size is halved, by iteration and image, and who is fooled, in the run :func:`visit` compares."""
    labels, sizes = model(x).argmax(dim=1), []

    class Spy(APGD):
        def update(self, slots: Slots, loss: Tensor, gradient: Tensor | None) -> Slots:
            changes = super().update(slots, loss, gradient)
            sizes.append(changes["step_size"] / slots["eps"])
            return changes

    torch.manual_seed(7)
    found = perturb(Spy(loss=loss, targets=1, steps=steps), model, x, labels, eps=eps / 255)
    history = torch.stack(sizes)
    assert bool(((history[1:] == history[:-1]) | (history[1:] == history[:-1] / 2)).all())
    return history[1:] < history[:-1], model(found).argmax(dim=1) != labels


@pytest.mark.slow
@pytest.mark.usefixtures("reference_draws")
@pytest.mark.parametrize("budgets", [QUICK, pytest.param([*QUICK, LONG], marks=pytest.mark.slow)])
def test_the_comparison_covers_every_case(budgets: list[tuple[float, int]]) -> None:
    """Of each budget compared bit for bit, some images are fooled and some not; step sizes are halved at each
    checkpoint and nowhere else, and in the runs of 40 steps also kept, at long windows and short, in many patterns.

    What one run of one network leaves (often a single pattern) is up to the rounding of the processor's kernels, so the
    condition is on all models and losses together. Each bound is at most half of what any kernels and seeds tried gave.
    """
    x, first, last = pictures(), 0, 0
    patterns: dict[bool, set[tuple[bool, ...]]] = {True: set(), False: set()}
    for eps, steps in budgets:
        runs = [schedule(build(), x, loss, eps, steps) for build in MODELS.values() for loss in LOSSES]
        halved, fooled = torch.cat([run[0] for run in runs], dim=1), torch.cat([run[1] for run in runs])
        assert fooled.sum() >= 10, f"{eps=}"
        assert (~fooled).sum() >= 6, f"{eps=}"
        at = checkpoints(steps)[1:].nonzero().flatten().tolist()
        assert halved.any(dim=1).nonzero().flatten().tolist() == at, f"{steps=}"
        if steps == 40:
            first, last = first + int((~halved[at[0]]).sum()), last + int((~halved[at[-1]]).sum())
            for column, who in zip(halved.T.tolist(), fooled.tolist(), strict=True):
                patterns[who].add(tuple(column))
    assert min(first, last) >= 12
    assert len(patterns[True]) >= 12
    assert len(patterns[False]) >= 6


@pytest.mark.usefixtures("reference_draws")
@pytest.mark.parametrize("eps", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_all_targets_and_restarts(model: Callable[[Tensor], Tensor], eps: float) -> None:
    """Runs on the survivors, target by target: the same images are fooled."""
    x, radius = pictures(), eps / 255
    labels = model(x).argmax(dim=1)
    labels[:3] = (labels[:3] + 1) % 6  # wrong from the start
    reference = APGDAttack_targeted(
        model, n_iter=12, eps=radius, n_target_classes=3, n_restarts=2, seed=4, device="cpu"
    )
    theirs = reference.perturb(x, labels)
    torch.manual_seed(4)
    ours = apgd(model, x, labels, eps=radius, loss="targeted_dlr", targets=3, restarts=2, steps=12)
    fooled = model(theirs).argmax(dim=1) != labels
    assert torch.equal(model(ours).argmax(dim=1) != labels, fooled)
    assert torch.equal(ours[~fooled], theirs[~fooled])
    assert torch.equal(ours[:3], x[:3])
    assert 3 < int(fooled.sum()) < IMAGES


def windows_by_the_code(steps: int) -> list[int]:
    """Iterations after which the published code checks, with its own counters."""
    attack = APGDAttack(None, n_iter=steps, eps=0.1)
    k, counter, found = attack.n_iter_2, 0, []
    for i in range(steps):
        counter += 1
        if counter == k:
            found.append((i + 1, k))
            k, counter = max(k - attack.size_decr, attack.n_iter_min), 0
    return found


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10, 20, 23, 50, 99, 100, 101, 200, 1000])
def test_checkpoints(steps: int) -> None:
    lengths = checkpoints(steps)
    assert lengths.shape == (steps + 1,)
    assert [(i, int(lengths[i])) for i in lengths.nonzero().flatten().tolist()] == windows_by_the_code(steps)


def test_checkpoints_of_a_hundred_steps() -> None:
    """Golden, and those of the paper: 22 %, then windows 3 % shorter each, at least 6 %."""
    lengths = checkpoints(100)
    assert lengths.nonzero().flatten().tolist() == [22, 41, 57, 70, 80, 87, 93, 99]
    assert lengths[lengths > 0].tolist() == [22, 19, 16, 13, 10, 7, 6, 6]
    shares, points = [0.0, 0.22], []
    while shares[-1] <= 1:
        points.append(math.ceil(round(shares[-1] * 100, 6)))
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    assert points == [22, 41, 57, 70, 80, 87, 93, 99]


# -------------------------------------------------------------------------------------------------------- Square


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("eps", "rescale"),
    [
        *((2, True), (8, False), (32, True)),
        *(pytest.param(eps, rescale, marks=pytest.mark.slow) for eps, rescale in ((2, False), (8, True), (32, False))),
    ],
)
def test_square_with_shared_windows(
    model: Callable[[Tensor], Tensor], eps: float, rescale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same proposals, accepted alike: equal images in the end, fooled or not."""
    module = sys.modules["evaluation.attacks.square_attack"]  # the package's attribute of this name is the function

    def signs(keys: Tensor, shape: tuple[int, ...], *, stream: Tensor | int = 0) -> Tensor:
        start = isinstance(stream, int)  # the reference's stripes differ between images, its windows do not
        drawn = torch.sign(2 * torch.rand((len(keys), *shape) if start else shape) - 1)
        return drawn if start else drawn.expand(len(keys), *shape)

    def integers(keys: Tensor, shape: tuple[int, ...], high: Tensor, *, stream: Tensor) -> Tensor:
        assert len(high.unique()) == 1
        return (high[0] * torch.rand(1)).long().expand(len(keys))

    monkeypatch.setattr(module, "signs", signs)
    monkeypatch.setattr(module, "integers", integers)
    x, radius, queries = pictures(), eps / 255, 120
    labels = model(x).argmax(dim=1)
    reference = SquareAttack(model, n_queries=queries, eps=radius, resc_schedule=rescale, device="cpu")
    reference.init_hyperparam(x)
    torch.manual_seed(9)
    spent, theirs = reference.attack_single_run(x, labels)
    torch.manual_seed(9)
    ours = square(model, x, labels, eps=radius, queries=queries, rescale=rescale, windows="shared", unfooled="best")
    assert torch.equal(ours, theirs)
    fooled = model(ours).argmax(dim=1) != labels
    assert bool(fooled[spent < queries + 1].all() | fooled.all())
