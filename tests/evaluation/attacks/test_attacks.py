"""Attacks as functions, on models whose worst case is known in closed form."""

import json
import math
from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor
from torch.nn import functional as F

from agnet.errors import ConfigurationError, InvalidInput
from evaluation.attacks.auto_attack import AutoAttack, Ensemble
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import AbstractAttack, BatchAttack
from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.fast_adaptive_boundary import FABT, fab_t
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.functions import apgd, fgsm, pgd, square
from evaluation.attacks.losses import cross_entropy, dlr, margin, targeted_dlr
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.attacks.square_attack import Square

PIXELS = (2, 4, 5)
"""Channels, height and width of the images."""

Function = Callable[..., Tensor]


class Linear:
    """``logits = W x + b`` in double precision; the margin's slope in every direction is known."""

    def __init__(self, classes: int = 2, seed: int = 0, scale: float = 1.0) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.weight = scale * torch.randn(classes, *PIXELS, generator=rng, dtype=torch.float64)
        # Square's windows, like the published code's, never reach the last row and column
        self.weight[..., -1, :] = self.weight[..., :, -1] = 0
        self.bias = -0.5 * self.weight.flatten(1).sum(dim=1)  # balances images around 0.5
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.flatten(1) @ self.weight.flatten(1).T + self.bias

    def critical(self, x: Tensor, labels: Tensor, order: int) -> Tensor:
        """Smallest radius, per image, at which some class draws level: the closed form, away from pixel bounds."""
        logits = x.flatten(1) @ self.weight.flatten(1).T + self.bias
        gaps = logits.gather(1, labels[:, None]) - logits
        slopes = (self.weight[labels][:, None] - self.weight[None]).flatten(2).norm(dim=2, p=order)
        return (gaps / slopes.clamp(min=1e-9)).scatter(1, labels[:, None], torch.inf).amin(dim=1)


class Curved:
    """A smooth model with curvature, so that a second gradient differs from the first."""

    def __init__(self, classes: int = 5, seed: int = 0) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.first = Linear(8, seed, scale=0.5)
        self.second = torch.randn(8, classes, generator=rng, dtype=torch.float64)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.tanh(self.first(x)) @ self.second


def images(n: int, *, low: float = 0.4, high: float = 0.6, seed: int = 1) -> Tensor:
    """Images away from the pixel bounds by default."""
    rng = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, *PIXELS, generator=rng, dtype=torch.float64)


def plain_pgd(model: Function, x: Tensor, y: Tensor, **options: object) -> Tensor:
    """Twenty steps of 0.3 eps cross the ball from anywhere, and glide along it in L2."""
    return pgd(model, x, y, steps=20, relative_step=0.3, **options)


def apgd_dlr(model: Function, x: Tensor, y: Tensor, **options: object) -> Tensor:
    return apgd(model, x, y, loss="dlr", **options)


def apgd_t(model: Function, x: Tensor, y: Tensor, **options: object) -> Tensor:
    return apgd(model, x, y, loss="targeted_dlr", targets=4, **options)


def short_square(model: Function, x: Tensor, y: Tensor, **options: object) -> Tensor:
    return square(model, x, y, queries=60, rescale=True, **options)


ALL = {"fgsm": fgsm, "pgd": plain_pgd, "apgd_ce": apgd, "apgd_dlr": apgd_dlr, "apgd_t": apgd_t, "square": short_square}
EVERY = pytest.mark.parametrize("attack", ALL.values(), ids=ALL.keys())
IN_L2 = {name: ALL[name] for name in ("pgd", "apgd_ce", "apgd_dlr", "apgd_t")}
EVERY_L2 = pytest.mark.parametrize("attack", IN_L2.values(), ids=IN_L2.keys())


# ------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("attack", [fgsm, plain_pgd, apgd], ids=["fgsm", "pgd", "apgd"])
@pytest.mark.parametrize("eps", [1 / 255, 0.02, 0.05, 0.2])
def test_two_classes_are_told_apart_exactly_when_they_can_be(attack: Function, eps: float) -> None:
    """Robust if and only if the margin exceeds eps times the L1 norm of the weights' difference."""
    model, x = Linear(), images(200)
    labels = model(x).argmax(dim=1)
    robust = model(attack(model, x, labels, eps=eps)).argmax(dim=1) == labels
    assert torch.equal(robust, model.critical(x, labels, 1) > eps)


def test_the_radii_of_the_closed_form_decide_something() -> None:
    model, x = Linear(), images(200)
    critical = model.critical(x, model(x).argmax(dim=1), 1)
    shares = [float((critical > eps).double().mean()) for eps in (1 / 255, 0.02, 0.05, 0.2)]
    assert 1 > shares[0] > 0.5 > shares[1] > shares[-1] == 0


@pytest.mark.slow
@pytest.mark.parametrize("attack", [apgd, apgd_dlr, apgd_t, short_square], ids=["ce", "dlr", "targeted", "square"])
def test_many_classes_bound_what_can_be_claimed(attack: Function) -> None:
    """Nobody fools an image inside its closed-form radius."""
    model, x = Linear(classes=5), images(150)
    labels = model(x).argmax(dim=1)
    critical = model.critical(x, labels, 1)
    for eps in (0.002, 0.006, 0.02):
        fooled = model(attack(model, x, labels, eps=eps)).argmax(dim=1) != labels
        assert 0 < int(fooled.sum()) < len(x)
        assert bool((critical[fooled] <= eps + 1e-12).all())


@pytest.mark.parametrize(("attack", "reach"), [(apgd, 0.55), (apgd_dlr, 0.6), (apgd_t, 0.999)], ids=["ce", "dlr", "t"])
def test_many_classes_thresholds_are_reached(attack: Function, reach: float) -> None:
    """OutcomeTransform make the nearest boundary certain; without them the ascent may end at another one."""
    model, x = Linear(classes=5), images(150)
    labels = model(x).argmax(dim=1)
    critical = model.critical(x, labels, 1)
    for eps in (0.002, 0.006, 0.02):
        fooled = model(attack(model, x, labels, eps=eps)).argmax(dim=1) != labels
        assert bool(fooled[critical < reach * eps].all())


@EVERY_L2
def test_thresholds_in_l2(attack: Function) -> None:
    model, x = Linear(classes=5), images(150)
    labels = model(x).argmax(dim=1)
    critical = model.critical(x, labels, 2)
    for eps in (0.01, 0.03):
        adversarial = attack(model, x, labels, eps=eps, norm="l2")
        fooled = model(adversarial).argmax(dim=1) != labels
        assert bool((critical[fooled] <= eps * (1 + 1e-6)).all())
        assert bool(fooled[critical < (0.999 if attack is apgd_t else 0.7) * eps].all())
        assert float((adversarial - x).flatten(1).norm(dim=1).max()) <= eps * (1 + 1e-6)


@pytest.mark.parametrize("attack", [plain_pgd, apgd], ids=["pgd", "apgd"])
def test_two_classes_in_l2(attack: Function) -> None:
    """Steps along one gradient all but reach the ball's far side: robust iff margin > eps times the L2 norm."""
    model, x = Linear(), images(200)
    labels = model(x).argmax(dim=1)
    critical = model.critical(x, labels, 2)
    for eps in (0.01, 0.03, 0.1):
        robust = model(attack(model, x, labels, eps=eps, norm="l2")).argmax(dim=1) == labels
        assert bool(robust[critical > eps].all())
        assert not bool(robust[critical < 0.97 * eps].any())


@pytest.mark.slow
@pytest.mark.parametrize("windows", ["per_sample", "shared"])
def test_square_comes_close_with_enough_queries(windows: str) -> None:
    model, x = Linear(), images(60)
    labels = model(x).argmax(dim=1)
    critical, eps = model.critical(x, labels, 1), 0.02
    adversarial = square(model, x, labels, eps=eps, queries=1200, rescale=True, windows=windows)
    fooled = model(adversarial).argmax(dim=1) != labels
    assert bool((critical[fooled] <= eps + 1e-12).all())
    assert bool(fooled[critical < 0.9 * eps].all())
    assert 0.1 < float(fooled.double().mean()) < 1


@pytest.mark.parametrize("attack", [fgsm, plain_pgd], ids=["fgsm", "pgd"])
def test_pixel_bounds_limit_the_damage_as_they_should(attack: Function) -> None:
    """Every pixel that matters goes as far against the weights as the ball and [0, 1] let it."""
    model, x, eps = Linear(), images(100, low=0, high=1), 0.3
    labels = model(x).argmax(dim=1)
    difference = (model.weight[0] - model.weight[1]) * (1 - 2 * labels.double())[:, None, None, None]
    worst = (x - eps * difference.sign()).clamp(0, 1)
    found = torch.where(difference != 0, attack(model, x, labels, eps=eps), worst)
    torch.testing.assert_close(found, worst, rtol=0, atol=1e-12)


def test_attacks_are_for_the_true_label() -> None:
    """A misclassified image is pushed further away from its label, not towards it."""
    model, x = Linear(), images(50)
    wrong = 1 - model(x).argmax(dim=1)
    for attack in (fgsm, plain_pgd):
        assert bool((margin(model(attack(model, x, wrong, eps=0.1)), wrong) < margin(model(x), wrong)).all())


# --------------------------------------------------------------------------------------------------- properties


@EVERY
@pytest.mark.parametrize("eps", [0.0, 0.001, 8 / 255, 0.5, 1])
def test_ball_and_pixel_range(attack: Function, eps: float) -> None:
    x = images(30, low=0, high=1)
    x[0], x[1] = 0.0, 1.0
    labels = torch.arange(30) % 5
    adversarial = attack(Curved(), x, labels, eps=eps)
    assert adversarial.shape == x.shape
    assert adversarial.dtype == x.dtype
    assert not adversarial.requires_grad
    assert float((adversarial - x).abs().max()) <= eps + 1e-12
    assert 0 <= float(adversarial.min()) <= float(adversarial.max()) <= 1


@EVERY_L2
@pytest.mark.parametrize("eps", [0.0, 0.1, 3])
def test_ball_in_l2(attack: Function, eps: float) -> None:
    x = images(30, low=0, high=1)
    adversarial = attack(Curved(), x, torch.arange(30) % 5, eps=eps, norm="l2")
    assert float((adversarial - x).flatten(1).norm(dim=1).max()) <= eps * (1 + 1e-6)
    assert 0 <= float(adversarial.min()) <= float(adversarial.max()) <= 1


@EVERY
def test_no_radius_no_change(attack: Function) -> None:
    x, labels = images(10), torch.arange(10) % 5
    assert torch.equal(attack(Curved(), x, labels, eps=0), x)


@EVERY
def test_a_constant_network_cannot_be_attacked(attack: Function) -> None:
    """Neither one whose gradient is zero nor one that has none; images of its class stay in it."""
    x, labels = images(10), torch.zeros(10, dtype=torch.int64)
    logits = torch.tensor([1.0, 0.5, 0.2, 0.1, 0.0], dtype=torch.float64)
    for model in (lambda v: 0 * v.flatten(1)[:, :5] + logits, lambda v: logits.expand(len(v), -1)):
        adversarial = attack(model, x, labels, eps=0.2)
        if attack is not plain_pgd:  # which returns its last iterate, here its random start
            assert torch.equal(adversarial, x)
        assert bool((model(adversarial).argmax(dim=1) == 0).all())


@EVERY
def test_inputs_stay_as_they_were(attack: Function) -> None:
    x, labels = images(10), torch.arange(10) % 5
    before = x.clone()
    attack(Curved(), x, labels, eps=0.2)
    assert torch.equal(x, before)
    assert not x.requires_grad


@EVERY
def test_one_radius_per_sample(attack: Function) -> None:
    """Draws belong to (index, radius), so a sample alone draws what it draws in company."""
    model, x = Curved(), images(6)
    labels = model(x).argmax(dim=1)
    labels[0] = (labels[0] + 1) % 5
    radii = torch.tensor([0.0, 0.01, 0.02, 0.05, 0.1, 0.3], dtype=torch.float64)
    together = attack(model, x, labels, eps=radii)
    for i, radius in enumerate(radii.tolist()):
        options = {} if attack is fgsm else {"indices": torch.tensor([i])}
        alone = attack(model, x[i : i + 1], labels[i : i + 1], eps=radius, **options)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-7)


@EVERY
def test_misclassified_images(attack: Function) -> None:
    """FGSM and PGD move them all the same; APGD and Square, which look for one, have found one."""
    model, x = Curved(), images(20)
    wrong = (model(x).argmax(dim=1) + 1) % 5
    adversarial = attack(model, x, wrong, eps=0.1)
    assert torch.equal(adversarial, x) == (attack not in (fgsm, plain_pgd))


@EVERY
def test_gradients_are_taken_whatever_the_caller_does_with_his(attack: Function) -> None:
    model, x = Curved(), images(20)
    labels = model(x).argmax(dim=1)
    expected = attack(model, x, labels, eps=0.1)
    with torch.no_grad():
        assert torch.equal(attack(model, x, labels, eps=0.1), expected)
    assert torch.equal(attack(model, x.clone().requires_grad_(), labels, eps=0.1), expected)
    with torch.inference_mode(), pytest.raises(InvalidInput, match="inference_mode"):
        attack(model, x, labels, eps=0.1)


@pytest.mark.parametrize("attack", [fgsm, plain_pgd, apgd])
def test_logits_without_a_gradient_are_refused(attack: Function) -> None:
    """Such a model would look perfectly robust."""
    with pytest.raises(InvalidInput, match="have no gradient"):
        attack(lambda v: Curved()(v).detach(), images(4), torch.zeros(4, dtype=torch.int64), eps=0.1)


@EVERY
def test_logits_that_break_under_attack_are_refused(attack: Function) -> None:
    x = images(8)

    def model(v: Tensor) -> Tensor:
        """NaN wherever a pixel has left the original range; images of class 0, which argmax takes NaN for."""
        logits = Curved()(v) * 0 + torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64)
        return logits * torch.where(v.flatten(1).amax(dim=1, keepdim=True) > 0.601, torch.nan, 1.0)

    if attack is fgsm:  # whose result nobody evaluates
        return
    with pytest.raises(InvalidInput, match="under attack"):
        attack(model, x, torch.zeros(8, dtype=torch.int64), eps=0.3)


@pytest.mark.parametrize("attack", [fgsm, plain_pgd, apgd])
def test_nan_gradients_are_refused(attack: Function) -> None:
    """The sign of NaN is 0: the attack would stand still and the model look robust."""

    def model(v: Tensor) -> Tensor:
        return Curved()(v) + (v - v.detach()).flatten(1).sum(dim=1, keepdim=True).abs().sqrt() * torch.ones(5).double()

    with pytest.raises(InvalidInput, match="NaN gradients"):
        attack(model, images(3), Curved()(images(3)).argmax(dim=1), eps=0.1)


@EVERY
@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf")])
def test_impossible_radii_are_refused(attack: Function, eps: float) -> None:
    x, labels = images(2), torch.zeros(2, dtype=torch.int64)
    for radius in (eps, torch.tensor([0.1, eps], dtype=torch.float64)):
        with pytest.raises(InvalidInput, match="eps must be finite and >= 0"):
            attack(Curved(), x, labels, eps=radius)


@EVERY
def test_shapes_are_checked(attack: Function) -> None:
    with pytest.raises(TypeCheckError):
        attack(Curved(), images(3), torch.zeros(4, dtype=torch.int64), eps=0.1)


@pytest.mark.parametrize("attack", [plain_pgd, apgd, short_square], ids=["pgd", "apgd", "square"])
def test_the_seed_decides(attack: Function) -> None:
    model, x = Curved(), images(10)
    labels = model(x).argmax(dim=1)
    options = {} if attack is plain_pgd else {"unfooled": "best"}
    first, again, other = (attack(model, x, labels, eps=0.01, seed=seed, **options) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_single_precision_and_levels() -> None:
    model = Curved()
    x = (images(4, low=0, high=1) * 255).round().to(torch.uint8)
    x = x.float() / 255
    adversarial = apgd(lambda v: model(v.double()).float(), x, torch.arange(4), eps=8 / 255)
    assert adversarial.dtype == torch.float32
    with pytest.raises(InvalidInput, match=r"float16.*float32"):
        fgsm(lambda v: model(v.double()).half(), x.half(), torch.arange(4), eps=8 / 255)


# --------------------------------------------------------------------------------------------------- FGSM and PGD


def test_fgsm_is_its_formula() -> None:
    model, x, labels = Curved(), images(20, low=0, high=1), torch.arange(20) % 5
    point = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(point), labels, reduction="sum"), point)
    assert torch.equal(fgsm(model, x, labels, eps=0.1), (x + 0.1 * gradient.sign()).clamp(0, 1))


def start_of_pgd(model: Function, x: Tensor, labels: Tensor, *, eps: float, norm: str) -> Tensor:
    """Where PGD begins: one step too short to move a double."""
    return pgd(model, x, labels, eps=eps, steps=1, relative_step=1e-30, norm=norm)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_is_its_loop(norm: str) -> None:
    """Written out for one image at a time, from the same start."""
    model, x, labels = Curved(), images(6, low=0, high=1), torch.arange(6) % 5
    eps, steps, relative_step = 0.1 if norm == "linf" else 0.5, 9, 0.2
    found = pgd(model, x, labels, eps=eps, steps=steps, relative_step=relative_step, norm=norm)
    starts = start_of_pgd(model, x, labels, eps=eps, norm=norm)
    for i in range(6):
        clean, point = x[i : i + 1], starts[i : i + 1]
        for _ in range(steps):
            point = point.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(model(point), labels[i : i + 1]), point)
            point = point.detach()
            if norm == "linf":
                delta = (point + relative_step * eps * gradient.sign() - clean).clamp(-eps, eps)
            else:
                delta = point + relative_step * eps * gradient / gradient.norm() - clean
                delta = delta * min(1, eps / float(delta.norm()))
            point = (clean + delta).clamp(0, 1)
        torch.testing.assert_close(found[i : i + 1], point, rtol=0, atol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_starts_uniformly_in_the_ball(norm: str) -> None:
    x = torch.full((400, *PIXELS), 0.5, dtype=torch.float64)
    starts = start_of_pgd(Curved(), x, torch.zeros(400, dtype=torch.int64), eps=0.1, norm=norm) - 0.5
    assert float(starts.mean().abs()) < 5 * 0.1 / math.sqrt(3 * starts.numel())
    if norm == "linf":
        assert 0.099 < float(starts.abs().max()) <= 0.1
        assert abs(float(starts.var()) * 3 / 0.01 - 1) < 0.05
    else:  # the length's distribution function is (length / eps) ^ pixels
        share = (starts.flatten(1).norm(dim=1) / 0.1) ** math.prod(PIXELS)
        assert float(share.max()) <= 1 + 1e-6
        assert abs(float(share.mean()) - 0.5) < 5 * math.sqrt(1 / 12 / 400)


def test_one_step_of_pgd_is_fgsm() -> None:
    x, labels = images(20, low=0, high=1), torch.arange(20) % 5
    one = pgd(Curved(), x, labels, eps=0.1, steps=1, relative_step=1, random_start=False)
    assert torch.equal(one, fgsm(Curved(), x, labels, eps=0.1))


def test_more_steps_do_more_harm_on_a_curved_model() -> None:
    model, x = Curved(), images(200, low=0.2, high=0.8)
    labels = model(x).argmax(dim=1)

    def loss(adversarial: Tensor) -> float:
        return float(F.cross_entropy(model(adversarial), labels))

    harm = [loss(fgsm(model, x, labels, eps=0.2)), loss(pgd(model, x, labels, eps=0.2))]
    harm.append(loss(apgd(model, x, labels, eps=0.2, unfooled="best")))
    assert loss(x) < harm[0] < harm[1]


def test_one_gradient_per_step() -> None:
    model, x, labels = Linear(), images(3), torch.zeros(3, dtype=torch.int64)
    pgd(model, x, labels, eps=0.1, steps=6)
    assert model.calls == 6 + 1, "and one to see that the model can be attacked at all"


# -------------------------------------------------------------------------------------------------------- losses


def literal_losses(z: list[float], y: int, t: int) -> tuple[float, float, float, float]:
    """Cross-entropy, margin, DLR and targeted DLR of one image, as the papers write them."""
    ordered = sorted(z, reverse=True)
    highest_other = max(v for k, v in enumerate(z) if k != y)
    return (
        math.log(sum(math.exp(v) for v in z)) - z[y],
        z[y] - highest_other,
        -(z[y] - highest_other) / (ordered[0] - ordered[2] + 1e-12),
        -(z[y] - z[t]) / (ordered[0] - 0.5 * (ordered[2] + ordered[3]) + 1e-12),
    )


def test_losses_are_their_formulas() -> None:
    logits = torch.randn(60, 6, dtype=torch.float64)
    logits[10:20] = logits[10:20].round()  # ties
    logits[20:25] = 1.0
    logits[25:30, 0] = logits[25:30, 3] = 5.0
    labels, targets = torch.arange(60) % 6, (torch.arange(60) // 6) % 6
    found = zip(
        cross_entropy(logits, labels).tolist(),
        margin(logits, labels).tolist(),
        dlr(logits, labels).tolist(),
        targeted_dlr(logits, labels, targets).tolist(),
        strict=True,
    )
    for row, values in enumerate(found):
        expected = literal_losses(logits[row].tolist(), int(labels[row]), int(targets[row]))
        assert values == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_dlr_does_not_feel_scale_and_shift() -> None:
    logits, labels = torch.randn(20, 5, dtype=torch.float64), torch.arange(20) % 5
    torch.testing.assert_close(dlr(logits * 7 + 3, labels), dlr(logits, labels))
    torch.testing.assert_close(
        targeted_dlr(logits * 7 + 3, labels, 4 - labels), targeted_dlr(logits, labels, 4 - labels)
    )


# ------------------------------------------------------------------------------------------------------ settings

NAN = float("nan")


@pytest.mark.parametrize("kind", [FGSM, PGD, APGD, Square, AutoAttack, FABT])
@pytest.mark.parametrize(
    "eps",
    [[], [-1], [1, -1], [0.2, 0.1], [1, 1], [256 / 255], [8], [NAN], [1, NAN], [NAN, 1], [0.1, 0.1 + 1e-9]],
    ids=str,
)
def test_radii_of_a_table(kind: type[AbstractAttack], eps: list[float]) -> None:
    with pytest.raises(ConfigurationError, match=r"attack \w+: eps=\[.*give (increasing )?values (within|that differ)"):
        kind(eps)  # pyright: ignore[reportCallIssue]


def test_a_radius_that_was_divided_twice_draws_a_warning() -> None:
    match = r"eps=0.00012\d+ is 0.031\d+/255: Python takes eps in pixels in \[0, 1\], e.g. 8 / 255; a configuration"
    for make in (lambda: APGD([8 / 255 / 255]), lambda: BatchAttack(some_attack, "x", [8 / 255**2, 8 / 255])):
        with pytest.warns(UserWarning, match=match):
            make()
    x = images(2)
    with pytest.warns(UserWarning, match=match):
        fgsm(Curved(), x, torch.zeros(2, dtype=torch.int64), eps=torch.tensor([0, 8 / 255**2], dtype=torch.float64))
    FGSM([0, 0.1 / 255])


def test_one_radius_and_one_attack_need_no_list() -> None:
    x, labels = images(2), torch.zeros(2, dtype=torch.int64)
    alone = evaluate(Curved(), x, labels, FGSM(8 / 255))
    assert alone.accuracies == evaluate(Curved(), x, labels, [FGSM([8 / 255])]).accuracies


@pytest.mark.parametrize("value", [0, 0.1, 0.3, 0.5, 1, 2.5, 3, 7.65, 8, 100 / 3, 255, 1e6, 0.123456789], ids=str)
def test_units_of_255_have_no_float_dust(value: float) -> None:
    found = PGD([value / 255], norm="l2").eps_255
    assert json.dumps(found) == json.dumps([float(f"{value:.15g}") if value % 1 else int(value)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PGD([1 / 255], steps=-1), "attack pgd: steps=-1; give a whole number of at least 1"),
        (lambda: PGD([1 / 255], relative_step=0), "attack pgd: .*relative_step=0; give a number above 0"),
        (lambda: PGD([1 / 255], relative_step=float("nan")), "attack pgd: .*relative_step=nan; give a number above 0"),
        (lambda: PGD([1 / 255], norm="l1"), "attack pgd_l1: norm=l1; give linf or l2"),
        (lambda: APGD([1 / 255], "hinge"), "attack hinge: loss=hinge; give one of ce, dlr, targeted_dlr"),
        (lambda: APGD([1 / 255], steps=0), "attack apgd_ce: steps=0.*at least 1"),
        (lambda: APGD([1 / 255], restarts=0), "attack apgd_ce: .*restarts=0.*at least 1"),
        (lambda: APGD([1 / 255], "targeted_dlr", targets=0), "attack apgd_t: .*targets=0.*at least 1"),
        (lambda: APGD([1 / 255], unfooled="last"), "attack apgd_ce: unfooled=last; give clean or best"),
        (lambda: Square([1 / 255], queries=0), "attack square: queries=0"),
        (lambda: Square([1 / 255], initial_share=0), "attack square: .*initial_share=0; give a number above 0"),
        (lambda: Square([1 / 255], initial_share=1.5), "attack square: .*initial_share=1.5.*within"),
        (lambda: Square([1 / 255], windows="both"), "attack square: windows=both; give per_sample or shared"),
        (lambda: Square([1 / 255], unfooled="last"), "attack square: unfooled=last; give clean or best"),
        (lambda: Ensemble([]), "attack ensemble: members none; give at least one"),
        (lambda: Ensemble([PGD([1 / 255]), APGD([2 / 255])]), r"members pgd: eps_255=\[1\].*apgd_ce: eps_255=\[2\]"),
        (
            lambda: Ensemble([PGD([1 / 255]), APGD([1 / 255], norm="l2")]),
            "attack ensemble: members .*norm=l2; give .*one eps and norm",
        ),
    ],
)
def test_settings_out_of_range(make: Callable[[], AbstractAttack], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_names() -> None:
    attacks = [
        FGSM(),
        PGD(),
        PGD(norm="l2"),
        APGD(),
        APGD(loss="dlr"),
        APGD(loss="targeted_dlr"),
        APGD(norm="l2"),
        Square(),
    ]
    expected = ["fgsm", "pgd", "pgd_l2", "apgd_ce", "apgd_dlr", "apgd_t", "apgd_ce_l2", "square"]
    assert [attack.name for attack in attacks] == expected
    assert APGD(name="mine", norm="l2").name == "mine"


def some_attack(model: Function, inputs: Tensor, labels: Tensor, *, eps: float, norm: str, seed: int) -> Tensor:
    return inputs


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(),
        PGD([1 / 255, 2.5 / 255]),
        APGD(),
        APGD(loss="targeted_dlr"),
        Square(),
        FABT(),
        AutoAttack([4 / 255]),
        BatchAttack(some_attack, "x"),
    ],
    ids=lambda attack: type(attack).__name__,
)
def test_descriptions_are_plain_values(attack: AbstractAttack) -> None:
    described = json.loads(json.dumps(attack.describe()))
    assert described["attack"] == type(attack).__name__
    assert described["eps"] == list(attack.eps_255)
    assert described["name"] == attack.name
    if isinstance(attack, AutoAttack):
        assert [member["attack"] for member in described["members"]] == ["APGD", "APGD", "FABT", "Square"]
        assert described["members"][1]["targets"] == 9
    if isinstance(attack, BatchAttack):
        assert "<" not in described["function"].replace("<locals>", ""), "a name, not an address"


def test_losses_that_need_more_classes() -> None:
    x, labels = images(4), torch.zeros(4, dtype=torch.int64)
    for loss, classes, message in (
        ("dlr", 2, "2 classes; loss=dlr needs 3, use ce"),
        ("targeted_dlr", 3, "3 classes; loss=targeted_dlr needs 4, use ce"),
        ("targeted_dlr", 5, "targets=9, but 5 classes leave 4 wrong ones; give targets=4"),
    ):
        bias = torch.zeros(classes, dtype=torch.float64)
        bias[0] = 1
        with pytest.raises(ConfigurationError, match=message):
            apgd(lambda v, b=bias: v.flatten(1)[:, : len(b)] * 0 + b, x, labels, eps=0.1, loss=loss)


# ----------------------------------------------------------------------------------------------------------- FAB


def test_fab_leaves_the_global_generator_alone() -> None:
    model, x = Linear(classes=4), images(10).float()
    wrapped = lambda v: model(v.double()).float()  # noqa: E731
    labels = wrapped(x).argmax(dim=1)
    state = torch.random.get_rng_state()
    found = fab_t(wrapped, x, labels, eps=0.01, seed=3, targets=3, steps=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert float((found - x).abs().max()) <= 0.01 + 1e-6
    fooled = wrapped(found).argmax(dim=1) != labels
    critical = model.critical(x.double(), labels, 1)
    assert bool((critical[fooled] <= 0.01 + 1e-6).all())
    assert bool(fooled[critical < 0.9 * 0.01].all()), "on a linear model, FAB projects onto the boundary at once"


def test_fab_restores_the_generator_after_an_error_too() -> None:
    def broken(v: Tensor) -> Tensor:
        raise RuntimeError("no")

    state = torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="no"):
        fab_t(broken, images(2).float(), torch.zeros(2, dtype=torch.int64), eps=0.01, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
