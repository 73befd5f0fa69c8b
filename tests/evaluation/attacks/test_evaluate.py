"""What users hand in and get back."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn
from torch.nn import functional as F

from agnet.errors import ConfigurationError, InvalidInput
from evaluation import evaluate
from evaluation.attacks.auto_attack import AutoAttack, Ensemble
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import BatchAttack
from evaluation.attacks.evaluate import default_batch_size
from evaluation.attacks.fast_adaptive_boundary import FABT
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.attacks.square_attack import Square
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
SMALL = [FGSM([1 / 255, 8 / 255]), PGD([4 / 255], steps=2), APGD([4 / 255], steps=2), Square([4 / 255], 3)]


def classifier(classes: int = 5) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, classes)).eval()
    with torch.no_grad():
        model[3].weight *= 6
    return model


def levels(n: int = 12) -> Tensor:
    return torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def data(model: Callable[[Tensor], Tensor], n: int = 12) -> tuple[Tensor, Tensor]:
    images = levels(n).float() / 255
    with torch.no_grad():
        return images, model(images).argmax(dim=1)


# --------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["published", "worst_case"])
def test_levels_are_pixels(mode: str, precision: str) -> None:
    """uint8 images give the bits of float images divided by 255."""
    torch.manual_seed(0)
    model = CellNetwork(CELL, NetworkShape(5, 3, 4, 1)).eval()
    images, labels = data(model)
    first = evaluate(model, images, labels, SMALL, mode=mode, precision=precision, keep_images=True)
    second = evaluate(model, levels(), labels, SMALL, mode=mode, precision=precision, keep_images=True)
    for a, b in zip(first.outcomes, second.outcomes, strict=True):
        assert torch.equal(a.robust, b.robust)
        assert torch.equal(a.confidence, b.confidence)
    assert all(torch.equal(first.adversarial[k], second.adversarial[k]) for k in first.adversarial)


def test_modules_functions_and_closures_are_models() -> None:
    model = classifier()
    images, labels = data(model)
    first, second = (evaluate(m, images, labels, SMALL) for m in (model, lambda x: model(x)))
    for a, b in zip(first.outcomes, second.outcomes, strict=True):
        assert torch.equal(a.predicted, b.predicted)
    assert all(p.grad is None for p in model.parameters()), "nobody asked for gradients of weights"


def test_the_clean_outcome_and_confidences() -> None:
    model = classifier()
    images, labels = data(model)
    labels[:4] = (labels[:4] + 1) % 5
    found = evaluate(model, images, labels, [FGSM([4 / 255])])
    assert list(found.accuracies) == ["clean", "fgsm_eps4"]
    assert found.accuracies["clean"] == pytest.approx(100 * 8 / 12)
    point = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(point), labels, reduction="sum"), point)
    for outcome, x in (
        (found["clean"], images),
        (found["fgsm_eps4"], (images + 4 / 255 * gradient.sign()).clamp(0, 1)),
    ):
        for i in range(12):
            exponentials = model(x)[i].double().exp()
            probabilities = (exponentials / exponentials.sum()).tolist()
            assert float(outcome.confidence[i]) == pytest.approx(max(probabilities), rel=1e-4)
            assert float(outcome.true_confidence[i]) == pytest.approx(probabilities[labels[i]], rel=1e-4)
            assert int(outcome.predicted[i]) == int(np.argmax(probabilities))
    assert found.num_classes == 5


def test_settings_and_files(tmp_path: Path) -> None:
    model = classifier()
    images, labels = data(model)
    attacks = [*SMALL, AutoAttack([2 / 255], targets=4, steps=2, queries=2)]
    found = evaluate(model, images, labels, attacks, seed=3)
    settings = json.loads(json.dumps(found.settings))
    assert (settings["seed"], settings["mode"], settings["precision"]) == (3, "published", "float32")
    assert list(settings["attacks"]) == ["fgsm", "pgd", "apgd_ce", "square", "autoattack"]
    found.save(tmp_path)
    with np.load(tmp_path / "images.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["autoattack_eps2/robust"], found["autoattack_eps2"].robust.numpy())


@pytest.mark.parametrize("compiled", [True, False])
def test_an_attack_of_batches_is_given_no_empty_one(compiled: bool) -> None:
    network = CellNetwork("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", NetworkShape(in_channels=1))
    model = network.eval() if compiled else lambda x: network.eval()(x)
    images = torch.rand(3, 1, 8, 8)
    labels = (network.eval()(images).argmax(dim=1) + 1) % 10
    sizes: list[int] = []

    def attack(model: object, inputs: Tensor, labels: Tensor, **settings: object) -> Tensor:
        sizes.append(len(inputs))
        return inputs

    found = evaluate(model, images, labels, [BatchAttack(attack, "mine"), FABT([1 / 255], targets=2, steps=2)])
    assert sizes == []
    assert {*found.accuracies.values()} == {0.0}


def test_autoattack_is_the_worst_of_its_members() -> None:
    model = classifier()
    images, labels = data(model, 30)
    state = torch.random.get_rng_state()
    attack = AutoAttack([1 / 255, 3 / 255], targets=4, steps=4, queries=10)
    found = evaluate(model, images, labels, [attack, *attack.members])
    assert torch.equal(torch.random.get_rng_state(), state)
    for eps in (1, 3):
        members = [found[f"{m.name}_eps{eps}"].robust for m in attack.members if m.name != "fab_t"]
        worst, robust = torch.stack(members).all(dim=0), found[f"autoattack_eps{eps}"].robust
        # FAB's draws belong to its batch, so in the ensemble it may find others than alone; what it finds is true
        assert bool((robust <= worst).all())
        assert bool((robust >= (worst & found[f"fab_t_eps{eps}"].robust)).all()) or eps == 3
    without = Ensemble([m for m in attack.members if m.name != "fab_t"], name="rest")
    rest = evaluate(model, images, labels, [without])
    for eps in (1, 3):
        worst = torch.stack([found[f"{m.name}_eps{eps}"].robust for m in without.members]).all(dim=0)
        assert torch.equal(rest[f"rest_eps{eps}"].robust, worst)
    assert 0 < rest.accuracies["rest_eps1"] < 100


def test_autoattack_is_its_members_in_turn_on_the_images_that_are_left() -> None:
    """By hand, at each radius: the same bits after every member, FAB's draws included."""
    model = classifier()
    images, labels = data(model, 30)
    labels[:3] = (labels[:3] + 1) % 5
    attack = AutoAttack([1 / 255, 3 / 255], targets=4, steps=3, queries=10)
    found = evaluate(model, images, labels, [attack], seed=5)
    stages = ("autoattack_apgd_ce", "autoattack_apgd_t", "autoattack_fab_t", "autoattack")
    assert attack.stages == stages
    for k, eps in enumerate((1, 3)):
        left = (model(images).argmax(dim=1) == labels).nonzero().squeeze(1)
        for stage, member in zip(
            stages, AutoAttack(attack.eps[k], targets=4, steps=3, queries=10).members, strict=True
        ):
            part = evaluate(model, images[left], labels[left], [member], seed=5, indices=left)
            left = left[part[f"{member.name}_eps{eps}"].robust]
            robust = torch.zeros(30, dtype=torch.bool)
            robust[left] = True
            assert robust.equal(found[f"{stage}_eps{eps}"].robust)
            assert found[f"{stage}_eps{eps}"].accuracy == pytest.approx(100 * len(left) / 30)
    assert found.accuracies["clean"] == 90
    assert found.accuracies["autoattack_apgd_ce_eps1"] > found.accuracies["autoattack_eps3"], "members find something"


def test_members_of_one_name_are_counted() -> None:
    attack = Ensemble([FGSM([0.1]), FGSM([0.1]), PGD([0.1])], name="mine")
    assert attack.stages == ("mine_fgsm", "mine_fgsm_2", "mine")
    model = classifier()
    with pytest.raises(ConfigurationError, match="mine_fgsm, mine_fgsm_2, mine: give each its own name"):
        evaluate(model, *data(model), [FGSM([0.1], name="mine_fgsm"), attack])


@pytest.mark.parametrize("mode", ["published", "worst_case"])
def test_other_peoples_attacks(mode: str) -> None:
    """A function over batches; it is called for the images to attack, in float pixels."""
    seen = []

    def shift(
        model: Callable, inputs: Tensor, labels: Tensor, *, eps: float, norm: str, seed: int, sign: int
    ) -> Tensor:
        seen.append((len(inputs), round(eps * 255, 6), norm, seed, sign))
        return (inputs + sign * eps).clamp(0, 1)

    model = classifier()
    images, labels = data(model)
    labels[0] = (labels[0] + 1) % 5
    attack = BatchAttack(shift, "shift", [2 / 255, 60 / 255], sign=-1)
    found = evaluate(model, images, labels, [attack], mode=mode, seed=9, batch_size=8)
    assert seen[:2] == [(8, 2.0, "linf", 9, -1), (3, 2.0, "linf", 9, -1)]
    for eps in (2, 60):
        wrong = model((images - eps / 255).clamp(0, 1)).argmax(dim=1) != labels
        wrong[0] = True
        if mode == "worst_case":
            wrong |= model((images - 2 / 255).clamp(0, 1)).argmax(dim=1) != labels
        assert torch.equal(found[f"shift_eps{eps}"].robust, ~wrong)


def test_constant_networks_keep_their_accuracy() -> None:
    model = CellNetwork("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", NetworkShape(5, 3, 4, 1)).eval()
    images, _ = data(model)
    attacks = [
        FGSM([1 / 255, 255 / 255]),
        PGD([8 / 255], steps=3),
        APGD([8 / 255], steps=3),
        Square([8 / 255], 3),
        APGD([8 / 255], "dlr", steps=2),
    ]
    for mode in ("published", "worst_case"):
        found = evaluate(model, images, torch.arange(12) % 5, attacks, mode=mode)
        assert len(set(found.accuracies.values())) == 1


def test_no_radius_changes_nothing() -> None:
    model = classifier()
    images, labels = data(model)
    attacks = [FGSM([0]), PGD([0], steps=3), APGD([0], steps=3, unfooled="best"), Square([0], 3, unfooled="best")]
    found = evaluate(model, images, labels, attacks, keep_images=True)
    assert set(found.accuracies.values()) == {100.0}
    assert all(torch.equal(adversarial, images) for adversarial in found.adversarial.values())


def test_images_with_gradients_and_callers_without() -> None:
    model = classifier()
    images, labels = data(model)
    expected = evaluate(model, images, labels, SMALL, keep_images=True)
    with torch.no_grad():
        found = evaluate(model, images.clone().requires_grad_(), labels, SMALL, keep_images=True)
    assert found.accuracies == expected.accuracies
    assert not any(adversarial.requires_grad for adversarial in found.adversarial.values())


def test_half_logits_are_judged_in_single() -> None:
    model = classifier()
    images, labels = data(model)
    found = evaluate(lambda x: model(x).bfloat16(), images, labels, [PGD([1 / 255], steps=2)])
    assert found["clean"].confidence.dtype == torch.float32
    assert found["pgd_eps1"].confidence.dtype == torch.float32


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    evaluate(model, *data(model), [FGSM([1 / 255])], progress=True)
    assert capsys.readouterr().err == ""


def test_default_batches_shrink_with_the_images() -> None:
    small, large = (default_batch_size(torch.empty(1, 3, size, size)) for size in (8, 64))
    assert small > large >= 8


# ---------------------------------------------------------------------------------------------------- errors


def refused(message: str, error: type[Exception] = InvalidInput, **changes: object) -> None:
    model = changes.pop("model", None) or classifier()
    images, labels = data(classifier())
    arguments = {"images": images, "labels": labels, "attacks": SMALL} | changes
    with pytest.raises(error, match=message):
        evaluate(model, **arguments)  # pyright: ignore[reportArgumentType]


def test_unusable_images_and_labels() -> None:
    images, labels = data(classifier())
    refused(r"labels range over 0\.\.7, but the model has 5 classes", labels=torch.arange(12).clamp(max=7))
    refused(r"pixels range over \[-\S+, \S+\], outside", images=images * 2 - 1)
    refused("NaN or infinite pixels", images=images / 0)
    refused(r"images of shape \[0, 3, 8, 8\]", images=images[:0], labels=labels[:0])
    refused("Type-check error", TypeCheckError, images=images[0])
    refused("Type-check error", TypeCheckError, labels=labels[:5])
    refused("Type-check error", TypeCheckError, labels=labels.float())
    refused("Type-check error", TypeCheckError, indices=torch.arange(5))


def test_unusable_models() -> None:
    refused(r"modules are in training mode \(first: Sequential\)", model=classifier().train())
    part = classifier()
    part[1].train()
    refused(r"1 modules are in training mode \(first: 1\)", model=part)
    model = classifier()
    refused("returned tuple; it must return a tensor of logits alone", model=lambda x: (model(x), x))
    refused(
        r"logits of shape \[12, 1\] .* at least 2 classes",
        model=lambda x: model(x)[:, :1],
        labels=torch.zeros(12, dtype=torch.int64),
    )
    refused("logits of 12 of 12 samples are not finite", model=lambda x: model(x) / 0)
    refused("have no gradient", model=lambda x: model(x).detach())
    with torch.inference_mode():
        refused("inference_mode")
    cells = CellNetwork(CELL, NetworkShape(5, 3, 4, 1))
    refused("training mode", model=cells)


def test_square_needs_no_gradient() -> None:
    model = classifier()
    images, labels = data(model)
    found, expected = (
        evaluate(m, images, labels, [Square([4 / 255], 5)]) for m in (lambda x: model(x).detach(), model)
    )
    assert torch.equal(found["square_eps4"].robust, expected["square_eps4"].robust)


@pytest.mark.parametrize(
    "attack", [PGD([8 / 255], steps=3), APGD([8 / 255], steps=3), Square([8 / 255], 5)], ids=lambda a: a.name
)
@pytest.mark.parametrize("mode", ["published", "worst_case"])
@pytest.mark.parametrize("chunk", [1, 10])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_break_only_under_attack(
    attack: PGD, mode: str, chunk: int, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels 0, the class that argmax takes NaN for: without a check such a model would be the most robust of all."""
    import dataclasses

    import evaluation.attacks.evaluate as evaluator

    prepare = evaluator._prepare
    monkeypatch.setattr(evaluator, "_prepare", lambda *a, **o: dataclasses.replace(prepare(*a, **o), chunk=chunk))
    images = levels().float() / 255 * 0.8 + 0.1

    def model(x: Tensor) -> Tensor:
        clean = (x * 255 - images[:1] * 255).flatten(1).abs().amin(dim=1) >= 0  # always true, and keeps the gradient
        original = torch.cdist(x.flatten(1), images.flatten(1)).amin(dim=1) < 1e-3
        logits = torch.tensor([1.0, 0, 0, 0, 0]) + 1e-3 * x.flatten(1)[:, :5]
        return torch.where((clean & original)[:, None], logits, value)

    with pytest.raises(InvalidInput, match="NaN or infinite logits, or NaN gradients, under attack"):
        evaluate(model, images, torch.zeros(12, dtype=torch.int64), [attack], mode=mode)


def test_nan_gradients() -> None:
    model = classifier()

    def rooted(x: Tensor) -> Tensor:
        return model(x) + (x - x.detach()).flatten(1).sum(dim=1, keepdim=True).abs().sqrt() * torch.arange(5)

    for attack in (FGSM([8 / 255]), PGD([8 / 255], steps=2), APGD([8 / 255], steps=2)):
        refused("NaN gradients, under attack", model=rooted, attacks=[attack])


def test_batch_attacks_that_return_nan() -> None:
    def broken(model: Callable, inputs: Tensor, labels: Tensor, *, eps: float, norm: str, seed: int) -> Tensor:
        return inputs * torch.nan

    refused("attack broken returned pixels within", attacks=[BatchAttack(broken, "broken", [1 / 255])])


def test_unknown_settings() -> None:
    refused("mode='best'.*published, worst_case", ConfigurationError, mode="best")
    refused("precision='float16'.*float32, float64, bfloat16", ConfigurationError, precision="float16")
    refused("batch_size=0; give at least 1", ConfigurationError, batch_size=0)
    refused("pgd, pgd: give each its own name", ConfigurationError, attacks=[PGD([1 / 255]), PGD([2 / 255])])
    refused("and none the name clean", ConfigurationError, attacks=[PGD([1 / 255], name="clean")])


def test_attacks_that_need_more_classes() -> None:
    for classes, attack, message in (
        (2, APGD([1 / 255], "dlr"), "2 classes; loss=dlr needs 3, use ce"),
        (3, APGD([1 / 255], "targeted_dlr"), "3 classes; loss=targeted_dlr needs 4, use ce"),
        (5, APGD([1 / 255], "targeted_dlr"), "5 classes leave 4 wrong ones; give targets=4"),
    ):
        model = classifier(classes)
        with pytest.raises(ConfigurationError, match=message):
            evaluate(model, *data(model), [attack])
