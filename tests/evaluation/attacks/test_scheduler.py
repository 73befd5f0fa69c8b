"""Whatever runs beside a pair, its outcome is the same; and what an outcome must satisfy."""

import dataclasses
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import evaluation.attacks.evaluate as evaluator
from evaluation import evaluate
from evaluation.attacks.auto_attack import Ensemble
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import AbstractAttack, SteppedAttack
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.functions import apgd, pgd, square
from evaluation.attacks.outcome import Evaluation
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.attacks.scheduler import Ledger, Subject, _Run, run
from evaluation.attacks.square_attack import Square
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape

RICH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
ONES = "|nor_conv_1x1~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|nor_conv_1x1~0|skip_connect~1|nor_conv_1x1~2|"
POOLS = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
CONSTANT = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
QUANTITIES = ("robust", "predicted", "confidence", "true_confidence", "forwards", "gradients")
MODES = pytest.mark.parametrize("mode", ["published", "worst_case"])


def spread(cell: str, channels: int = 4, cells_per_stage: int = 1, *, classes: int = 6) -> CellNetwork:
    """A network with statistics as after training, that predicts all its classes."""
    torch.manual_seed(3)
    network = CellNetwork(cell, NetworkShape(classes, 3, channels, cells_per_stage, (0.5, 0.4, 0.45), (0.2, 0.3, 0.25)))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
    network.eval()
    with torch.no_grad():
        logits = network(torch.rand(64, 3, 8, 8))
        spread = logits.std(dim=0).mean() + 1e-3
        network.classifier.weight /= spread
        network.classifier.bias -= logits.mean(dim=0)
        network.classifier.bias /= spread
    return network


def pictures(n: int, size: int = 8) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def labels_of(network: nn.Module, x: Tensor) -> Tensor:
    """The network's own predictions, every fifth one wrong."""
    with torch.no_grad():
        labels = network(x).argmax(dim=1)
    labels[::5] = (labels[::5] + 1) % 6
    return labels


def attacks() -> list[AbstractAttack]:
    return [
        FGSM([1 / 255, 4 / 255]),
        PGD([0.5 / 255, 3 / 255], steps=4, relative_step=0.3),
        APGD([0.5 / 255, 2 / 255, 6 / 255], steps=5),
        APGD([3 / 255], "targeted_dlr", steps=2, targets=2, restarts=2, unfooled="best"),
        APGD([60 / 255], "dlr", steps=4, norm="l2", unfooled="best"),
        Square([2 / 255, 8 / 255], queries=9, rescale=True),
        Square([8 / 255], queries=6, windows="shared", unfooled="best", name="shared"),
    ]


def assert_same(first: Evaluation, second: Evaluation, rows: Tensor | slice = slice(None)) -> None:
    """All outcomes of the second, bit for bit, are those of the first on some of its images."""
    for outcome in second.outcomes:
        for name in QUANTITIES:
            expected, found = getattr(first[outcome.column], name)[rows], getattr(outcome, name)
            assert torch.equal(expected, found), f"{outcome.column} {name}"


# ---------------------------------------------------------------------------------------------------- invariance


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("cell", "channels", "cells_per_stage", "size", "mode"),
    [
        pytest.param(RICH, 2, 1, 8, "published", marks=pytest.mark.slow),
        (RICH, 2, 1, 8, "worst_case"),
        (ONES, 2, 1, 8, "published"),
        pytest.param(ONES, 4, 2, 8, "published", marks=pytest.mark.slow),
        pytest.param(POOLS, 8, 1, 16, "worst_case", marks=pytest.mark.slow),
        (CONSTANT, 16, 1, 8, "published"),
    ],
)
def test_company_does_not_matter(cell: str, channels: int, cells_per_stage: int, size: int, mode: str) -> None:
    """Batch size, order, shards and the attacks that run alongside: equal bits."""
    network, n = spread(cell, channels, cells_per_stage), 10
    x = pictures(n, size)
    y, everything, indices = labels_of(network, x), attacks(), torch.arange(n) * 3 + 1

    def attacked(
        rows: Tensor | slice, chosen: Sequence[AbstractAttack] = everything, **options: int | None
    ) -> Evaluation:
        return evaluate(network, x[rows], y[rows], chosen, mode=mode, indices=indices[rows], seed=5, **options)  # pyright: ignore

    whole = attacked(slice(None))
    if cell == RICH and size == 8 and channels == 2:
        assert whole["apgd_ce_eps6"].accuracy < whole["clean"].accuracy, "the comparison is of something"
    assert_same(whole, attacked(slice(None), batch_size=5))
    if cell == RICH:
        for batch_size in (1, 3, 7):
            assert_same(whole, attacked(slice(None, 4), everything[1:6:2], batch_size=batch_size), slice(None, 4))
    order = torch.randperm(n)
    assert_same(whole, attacked(order, batch_size=20), order)
    for shard in (slice(0, 5), slice(5, None)):
        assert_same(whole, attacked(shard, batch_size=40), shard)
    assert_same(whole, attacked(slice(None), everything[::-2]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "cells_per_stage", "size"),
    [(2, 2, 8), (4, 1, 8), (8, 1, 8), (16, 2, 8), (2, 1, 16), (4, 2, 16), (8, 2, 16), (16, 1, 16), (4, 1, 32)],
)
def test_company_does_not_matter_to_more_networks(channels: int, cells_per_stage: int, size: int) -> None:
    for cell, mode in ((RICH, "published"), (ONES, "worst_case"), (POOLS, "published")):
        test_company_does_not_matter(cell, channels, cells_per_stage, size, mode)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [pytest.param("published", marks=pytest.mark.slow), "worst_case"])
def test_bfloat16_search_is_as_reproducible(mode: str) -> None:
    network, x = spread(RICH), pictures(9)
    y = labels_of(network, x)
    first, second = (
        evaluate(network, x, y, attacks(), mode=mode, precision="bfloat16", batch_size=size) for size in (4, 100)
    )
    assert_same(first, second)


def chunked(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    prepare = evaluator._prepare
    monkeypatch.setattr(
        evaluator, "_prepare", lambda *args, **options: dataclasses.replace(prepare(*args, **options), chunk=chunk)
    )


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("mode", "precision"), [("published", "float32"), pytest.param("worst_case", "bfloat16", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("chunk", [10])
def test_looking_rarely_changes_nothing(mode: str, precision: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on devices that should not be waited for: ten evaluations between two looks."""
    network, x = spread(RICH), pictures(10)
    y = labels_of(network, x)
    often = evaluate(network, x, y, attacks(), mode=mode, precision=precision, batch_size=8)
    chunked(monkeypatch, chunk)
    assert_same(often, evaluate(network, x, y, attacks(), mode=mode, precision=precision, batch_size=8))


class NoWaiting(TorchDispatchMode):
    """Raises where the host would wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "is_nonzero", "_to_copy.device")):
            raise AssertionError(f"{func} waits for the device")
        if "aten.index.Tensor" in str(func) and any(i is not None and i.dtype == torch.bool for i in args[1]):
            raise AssertionError("indexing by a mask waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("attack", [a for a in attacks() if not isinstance(a, FGSM)], ids=lambda a: f"{a.name}{a.norm}")
def test_a_step_does_not_wait_for_the_device(attack: SteppedAttack) -> None:
    network, x = spread(RICH), pictures(6)
    subject = dataclasses.replace(subject_of(network, x, labels_of(network, x)), chunk=10)
    scheduler = _Run(
        attack, subject, torch.ones(len(attack.eps), 6, dtype=torch.bool), Ledger(subject, len(attack.eps)), True, print
    )
    scheduler._refill(6)
    slots = scheduler._advance(scheduler.slots)  # tables are made once
    with NoWaiting():
        for _ in range(attack.evaluations + 2):  # also past the end
            slots = scheduler._advance(slots)
    assert bool(slots["paused"].all())


def subject_of(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, *, search: Callable | None = None) -> Subject:
    found = evaluator._prepare(
        model, x, y, torch.arange(len(x)), seed=0, precision="float32", capacity=4, with_sign=True, with_gradient=True
    )
    return found if search is None else dataclasses.replace(found, search=search)


# ---------------------------------------------------------------------------------------- equal to the functions


def test_the_scheduler_is_the_functions() -> None:
    """Published mode: each attack's pure function gives the images that the scheduler reports."""
    network, x = spread(RICH).double(), pictures(12).double()
    y, eps = labels_of(network, x), 4 / 255
    chosen = [
        FGSM([eps]),
        PGD([eps], steps=5),
        APGD([eps], steps=8, unfooled="best"),
        Square([eps], 12, unfooled="best"),
    ]
    found = evaluate(network, x, y, chosen, precision="float64", keep_images=True, seed=2, batch_size=5)
    from evaluation.networks.compiled import CompiledNetwork

    model = CompiledNetwork(network, torch.float64)
    options = {"eps": eps, "seed": 2}
    expected = {
        "pgd_eps4": pgd(model, x, y, steps=5, **options),
        "apgd_ce_eps4": apgd(model, x, y, steps=8, unfooled="best", **options),
        "square_eps4": square(model, x, y, queries=12, unfooled="best", **options),
    }
    for column, images in expected.items():
        torch.testing.assert_close(found.adversarial[column], images, rtol=0, atol=1e-12)
        with torch.no_grad():
            logits = model(images)
        assert torch.equal(logits.argmax(dim=1), found[column].predicted)
        torch.testing.assert_close(logits.softmax(dim=1).amax(dim=1), found[column].confidence)


@MODES
def test_reported_images_are_what_is_reported_of_them(mode: str) -> None:
    """Inside their balls, and judged as the outcome says."""
    network, x = spread(ONES), pictures(15)
    y = labels_of(network, x)
    found = evaluate(network, x, y, attacks(), mode=mode, keep_images=True)
    for outcome in found.outcomes[1:]:
        images = found.adversarial[outcome.column]
        delta = (images - x).flatten(1)
        lengths = delta.norm(dim=1) if outcome.norm == "l2" else delta.abs().amax(dim=1)
        assert float(lengths.max()) <= outcome.eps * (1 + 1e-6) + 1e-7
        assert 0 <= float(images.min()) <= float(images.max()) <= 1
        with torch.no_grad():
            probabilities = network(images).softmax(dim=1)
        assert torch.equal(probabilities.argmax(dim=1), outcome.predicted)
        assert torch.equal(outcome.robust, outcome.predicted == y)
        torch.testing.assert_close(outcome.confidence, probabilities.amax(dim=1), rtol=1e-4, atol=1e-5)
        true = probabilities.gather(1, y[:, None]).squeeze(1)
        torch.testing.assert_close(outcome.true_confidence, true, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- worst case


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "attack",
    [
        APGD([0.5 / 255, 1 / 255, 2 / 255, 4 / 255], steps=6),
        PGD([0.5 / 255, 1 / 255, 2 / 255, 4 / 255], steps=6, relative_step=0.3),
        Square([2 / 255, 4 / 255, 8 / 255], queries=9),
    ],
    ids=lambda a: a.name,
)
def test_the_worst_case_is_the_worst_of_all_smaller_radii(attack: SteppedAttack) -> None:
    """Brute force: every radius by itself, any misclassified iterate, then a running OR."""
    network, x = spread(RICH), pictures(14)
    y = labels_of(network, x)
    found = evaluate(network, x, y, [attack], mode="worst_case", keep_images=True, seed=1)
    subject = dataclasses.replace(subject_of(network, x, y), seed=1)
    fooled = ~subject.correct
    previous = None
    for k, value in enumerate(attack.eps_255):
        outcome = found[f"{attack.name}_eps{value:g}"]
        anyhow = Ledger(subject, len(attack.eps))
        only = torch.zeros(len(attack.eps), len(x), dtype=torch.bool)
        only[k] = subject.correct
        run(attack, subject, only, anyhow, worst_case=True)  # with one radius to do, nothing can be carried
        carried = fooled.clone()
        fooled = fooled | anyhow.fooled[k]
        assert torch.equal(~outcome.robust, fooled)
        assert not bool(outcome.forwards[carried].any()), "images fooled before cost nothing"
        assert not bool(outcome.gradients[carried].any())
        assert torch.equal(outcome.forwards[~carried], anyhow.forwards[k][~carried])
        if previous is not None:
            before = ~previous.robust
            assert bool((outcome.robust <= previous.robust).all()), "robust images never come back"
            for name in ("predicted", "confidence", "true_confidence"):
                assert torch.equal(getattr(outcome, name)[before], getattr(previous, name)[before])
            images = found.adversarial[outcome.column]
            assert float((images - x)[before].abs().max()) <= previous.eps + 1e-7
        previous = outcome
    assert int(fooled.sum()) - int((~subject.correct).sum()) > 0


def test_published_radii_are_independent() -> None:
    network, x = spread(RICH), pictures(16)
    y = labels_of(network, x)
    together = evaluate(
        network, x, y, [APGD([0.5 / 255, 2 / 255, 6 / 255], steps=5), PGD([0.5 / 255, 2 / 255, 6 / 255], steps=5)]
    )
    for eps in (0.5, 2, 6):
        assert_same(together, evaluate(network, x, y, [APGD([eps / 255], steps=5), PGD([eps / 255], steps=5)]))


def test_misclassified_images() -> None:
    """FGSM and PGD attack them in published mode; otherwise they count as fooled, for nothing."""
    network, x = spread(RICH), pictures(20)
    y = labels_of(network, x)
    wrong = torch.zeros(20, dtype=torch.bool)
    wrong[::5] = True
    chosen = [FGSM([2 / 255]), PGD([2 / 255], steps=3), APGD([2 / 255], steps=3), Square([2 / 255], 3)]
    published = evaluate(network, x, y, chosen)
    for outcome in published.outcomes[1:]:
        everything = outcome.attack in ("fgsm", "pgd")
        assert bool((outcome.forwards[wrong] > 0).all()) == everything
        if not everything:
            assert not bool(outcome.robust[wrong].any())
            assert torch.equal(outcome.confidence[wrong], published["clean"].confidence[wrong])
    for outcome in evaluate(network, x, y, chosen, mode="worst_case").outcomes[1:]:
        assert not bool(outcome.robust[wrong].any())
        assert not bool(outcome.forwards[wrong].any())
        assert torch.equal(outcome.predicted[wrong], published["clean"].predicted[wrong])


# -------------------------------------------------------------------------------------------------------- counts


def test_costs() -> None:
    network, x = spread(RICH), pictures(16)
    with torch.no_grad():
        y = network(x).argmax(dim=1)
    found = evaluate(
        network,
        x,
        y,
        [
            FGSM([1 / 255]),
            PGD([1 / 255]),
            APGD([2 / 255], steps=9),
            APGD([2 / 255], steps=9, unfooled="best", name="best"),
            Square([4 / 255], 11),
        ],
    )
    assert set(found["clean"].forwards.tolist()) == {1}
    assert set(found["fgsm_eps1"].forwards.tolist()) == {1}, "its one gradient is shared by all radii"
    assert set(found["pgd_eps1"].forwards.tolist()) == {41}
    assert set(found["pgd_eps1"].gradients.tolist()) == {40}
    for name, most, gradients in (("apgd_ce_eps2", 10, True), ("best_eps2", 10, True), ("square_eps4", 12, False)):
        outcome = found[name]
        judged = (~outcome.robust) | (name == "best_eps2")
        spent = outcome.forwards - judged.long()
        assert bool((spent[outcome.robust] == most).all())
        assert bool(((spent >= 1) & (spent <= most)).all())
        assert torch.equal(outcome.gradients, spent if gradients else torch.zeros_like(spent))
        assert 0 < int(outcome.robust.sum()) < 16


# ------------------------------------------------------------------------------------------------ lying searches


@pytest.mark.sample(5)
@MODES
@pytest.mark.parametrize("chunk", [1, 10])
@pytest.mark.parametrize(
    "attack",
    [
        APGD([1 / 255, 4 / 255], steps=5),
        APGD([4 / 255], steps=5, unfooled="best"),
        PGD([1 / 255, 4 / 255], steps=5),
        Square([4 / 255], 6),
        FGSM([4 / 255]),
    ],
    ids=["apgd", "best", "pgd", "square", "fgsm"],
)
def test_a_search_that_cries_wolf_is_not_believed(attack: SteppedAttack, mode: str, chunk: int) -> None:
    """The search sees every image misclassified at every second look, the judge never: nobody is fooled, all ends."""
    network, x = spread(RICH), pictures(9)
    with torch.no_grad():
        y = network(x).argmax(dim=1)
    looks = []

    def judge(points: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(labels_by_nearest(points), 6).float() + 0 * points.flatten(1)[:, :6]

    def labels_by_nearest(points: Tensor) -> Tensor:
        return y[torch.cdist(points.flatten(1), x.flatten(1)).argmin(dim=1)]

    def search(points: Tensor) -> Tensor:
        looks.append(len(points))
        honest = judge(points)
        return honest.roll(1, dims=1) if len(looks) % 2 else honest

    subject = dataclasses.replace(subject_of(judge, x, y, search=search), chunk=chunk)
    ledger = Ledger(subject, len(attack.eps))
    run(attack, subject, ~ledger.fooled, ledger, worst_case=mode == "worst_case")
    assert not bool(ledger.fooled.any())
    assert torch.equal(ledger.predicted, y.expand(len(attack.eps), -1))
    if attack.evaluations:
        assert len(looks) >= attack.evaluations
        if attack.needs_gradient and chunk == 1 and (attack.stops_when_fooled or mode == "worst_case"):
            assert bool((ledger.forwards > attack.evaluations).all()), (
                "denied claims were judged, and the attack went on"
            )


@pytest.mark.sample(2)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@MODES
def test_successes_are_true_at_full_precision(mode: str, precision: str) -> None:
    network, x = spread(RICH), pictures(40)
    y = labels_of(network, x)
    found = evaluate(
        network,
        x,
        y,
        [APGD([0.2 / 255, 0.5 / 255, 1 / 255], steps=10)],
        mode=mode,
        precision=precision,
        keep_images=True,
    )
    for outcome in found.outcomes[1:]:
        with torch.no_grad():
            wrong = network(found.adversarial[outcome.column]).argmax(dim=1) != y
        assert torch.equal(wrong, ~outcome.robust)


# ------------------------------------------------------------------------------------------------------ ensembles


@MODES
def test_an_ensemble_is_the_worst_of_its_members(mode: str) -> None:
    network, x = spread(RICH), pictures(24)
    y = labels_of(network, x)
    radii = [0.5 / 255, 1 / 255, 2 / 255]
    members = [APGD(radii, steps=2), PGD(radii, steps=3), Square(radii, 8)]
    found = evaluate(network, x, y, [Ensemble(members, name="all"), *members], mode=mode)
    correct = found["clean"].robust
    for eps_255 in (0.5, 1, 2):
        worst = correct.clone()
        for member in members:
            worst &= found[f"{member.name}_eps{eps_255:g}"].robust
        assert torch.equal(found[f"all_eps{eps_255:g}"].robust, worst)
