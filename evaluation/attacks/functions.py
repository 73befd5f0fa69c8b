"""Each attack as a pure function of a batch: ``(model, inputs, labels, *, eps, ...) -> adversarial inputs``."""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from agnet.errors import InvalidInput
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import Model, SteppedAttack, broadcast, radii, radius_code, warn_of_doubtful
from evaluation.attacks.classifier import Classifier
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.gradients import UnsoundAttackWarning, doubts, is_zero
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.attacks.slots import ask, fresh_slots, gradient_of
from evaluation.attacks.square_attack import Square
from evaluation.checks import (
    check_differentiable,
    check_images,
    check_logits,
    check_model,
    check_seed,
    check_sound,
)
from evaluation.data.images import in_unit_interval

Batch = Float[Tensor, "batch channels height width"]
Labels = Int[Tensor, " batch"]
Eps = int | float | Float[Tensor, "*#batch"]


def fgsm(model: Model, inputs: Batch, labels: Labels, *, eps: Eps) -> Batch:
    """Fast gradient sign method: ``clip(x + eps sign(grad))``.

    Args:
        model: logits of images; a module must be in evaluation mode.
        inputs: images in [0, 1].
        labels: true class of every image.
        eps: L-inf radius in pixels, one number or one per sample.

    Raises:
        InvalidInput: if model, inputs, labels or eps are not usable.
    """
    return perturb(FGSM(), model, inputs, labels, eps=eps)


def pgd(
    model: Model,
    inputs: Batch,
    labels: Labels,
    *,
    eps: Eps,
    steps: int = 40,
    relative_step: int | float = 1 / 30,
    random_start: bool = True,
    norm: str = "linf",
    seed: int = 0,
    indices: Labels | None = None,
) -> Batch:
    """Projected gradient descent; returns the last iterate.

    Args:
        model: logits of images; a module must be in evaluation mode.
        inputs: images in [0, 1].
        labels: true class of every image.
        eps: radius in pixels, one number or one per sample.
        steps: number of gradient steps.
        relative_step: step length as a share of eps.
        random_start: start at a uniform draw from the ball, or at the image.
        norm: ``"linf"`` or ``"l2"``.
        seed: seed of the start.
        indices: the images' indices, to which random draws belong besides seed and eps; 0, 1, ... by default.

    Raises:
        InvalidInput: if model, inputs, labels or eps are not usable.
        ConfigurationError: if a setting is out of range.
    """
    attack = PGD(steps=steps, relative_step=relative_step, random_start=random_start, norm=norm)
    return perturb(attack, model, inputs, labels, eps=eps, seed=seed, indices=indices)


def apgd(
    model: Model,
    inputs: Batch,
    labels: Labels,
    *,
    eps: Eps,
    loss: str = "ce",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    norm: str = "linf",
    unfooled: str = "clean",
    seed: int = 0,
    indices: Labels | None = None,
) -> Batch:
    """Auto-PGD; returns the first misclassified iterate of each image, misclassified images as they are.

    Args:
        model: logits of images; a module must be in evaluation mode.
        inputs: images in [0, 1].
        labels: true class of every image.
        eps: radius in pixels, one number or one per sample.
        loss: ``"ce"``, ``"dlr"`` or ``"targeted_dlr"``.
        steps: iterations of a run.
        restarts: runs (for every target).
        targets: target classes of ``"targeted_dlr"``.
        norm: ``"linf"`` or ``"l2"``.
        unfooled: the image to return where none is fooled: the ``"clean"`` one or the iterate of the ``"best"`` loss.
        seed: seed of the starts.
        indices: the images' indices, to which random draws belong besides seed and eps; 0, 1, ... by default.

    Raises:
        InvalidInput: if model, inputs, labels or eps are not usable.
        ConfigurationError: if a setting is out of range, or the loss needs more classes.
    """
    attack = APGD(loss=loss, steps=steps, restarts=restarts, targets=targets, norm=norm, unfooled=unfooled)
    return perturb(attack, model, inputs, labels, eps=eps, seed=seed, indices=indices)


def square(
    model: Model,
    inputs: Batch,
    labels: Labels,
    *,
    eps: Eps,
    queries: int = 5000,
    rescale: bool = False,
    windows: str = "per_sample",
    unfooled: str = "clean",
    seed: int = 0,
    indices: Labels | None = None,
) -> Batch:
    """Square attack; returns the first misclassified proposal of each image, misclassified images as they are.

    Args:
        model: logits of images; a module must be in evaluation mode.
        inputs: images in [0, 1].
        labels: true class of every image.
        eps: L-inf radius in pixels, one number or one per sample.
        queries: number of proposals.
        rescale: stretch the window schedule to ``queries``.
        windows: ``"per_sample"`` or ``"shared"``, see :class:`~evaluation.attacks.square_attack.Square`.
        unfooled: the image to return where none is fooled: the ``"clean"`` one or the ``"best"`` found.
        seed: seed of the proposals.
        indices: the images' indices, to which random draws belong besides seed and eps; 0, 1, ... by default.

    Raises:
        InvalidInput: if model, inputs, labels or eps are not usable.
        ConfigurationError: if a setting is out of range.
    """
    attack = Square(queries=queries, rescale=rescale, windows=windows, unfooled=unfooled)
    return perturb(attack, model, inputs, labels, eps=eps, seed=seed, indices=indices)


@torch.enable_grad()
def perturb(
    attack: SteppedAttack,
    model: Model,
    inputs: Batch,
    labels: Labels,
    *,
    eps: Eps,
    seed: int = 0,
    indices: Labels | None = None,
) -> Batch:
    """Run an attack's state machine on one batch; its own radii are not used.

    Args:
        attack: the attack to run.
        model: logits of images; a module must be in evaluation mode.
        inputs: images in [0, 1].
        labels: true class of every image.
        eps: radius in pixels, one number or one per sample.
        seed: seed of all draws.
        indices: the images' indices, to which random draws belong besides seed and eps; 0, 1, ... by default.

    Returns:
        Adversarial images, within the ball and [0, 1].

    Raises:
        InvalidInput: if model, inputs, labels or eps are not usable.

    Warns:
        UnsoundAttackWarning: if the first gradient is zero on many images.
    """
    check_images(inputs, labels)
    check_model(model)
    check_seed(seed)
    exact = torch.tensor(radii(attack.name, eps), dtype=torch.float64, device="cpu")
    if len(exact) not in (1, len(inputs)):
        raise InvalidInput(f"{len(exact)} values of eps for {len(inputs)} images; give one, or one per image")
    exact = exact.expand(len(inputs))
    if not bool(((exact >= 0) & exact.isfinite()).all()):
        raise InvalidInput(f"eps must be finite and >= 0 (pixels, e.g. 8 / 255), got {eps}")
    radius = exact.to(inputs)
    warn_of_doubtful(exact.tolist())
    labels = labels.long()
    indices = torch.arange(len(inputs), device="cpu") if indices is None else indices
    if indices.shape != labels.shape:
        raise InvalidInput(f"{len(indices)} indices for {len(inputs)} images; give one index per image")
    model = Classifier(model)
    inputs = in_unit_interval(inputs)
    clean = inputs.detach().clone().requires_grad_()
    clean_logits = model(clean)
    check_logits(clean_logits, inputs, labels, min_classes=2)
    attack.check_classes(clean_logits.shape[1])
    if attack.needs_gradient or attack.needs_clean_gradient:
        check_differentiable(clean_logits)
    of_clean = {"clean_logits": clean_logits.detach()}
    flat: Tensor | None = None  # where the first gradient is zero
    if attack.needs_clean_gradient:
        gradient = gradient_of(F.cross_entropy(clean_logits, labels, reduction="sum"), clean)
        check_sound(~gradient.isnan())  # the sign of NaN is 0, which would pass for a flat loss
        flat = is_zero(gradient)
        of_clean["clean_sign"] = gradient.sign()
    clean, clean_logits = clean.detach(), clean_logits.detach()
    varied = not bool((clean_logits == clean_logits[:1]).all())
    result, decided = clean.clone(), torch.zeros_like(labels, dtype=torch.bool)
    if attack.stops_when_fooled:
        decided = clean_logits.argmax(dim=1) != labels
    codes = radius_code(exact)
    for attempt in range(attack.attempts):
        rows = (~decided).nonzero().squeeze(1)
        if not len(rows):
            break
        here = rows.cpu()
        slots = fresh_slots(
            attack,
            clean[rows],
            labels[rows],
            radius[rows],
            indices=indices.cpu()[here],
            codes=codes[here],
            attempt=torch.full_like(here, attempt),
            seed=seed,
            clean={name: values[rows] for name, values in of_clean.items()},
        )
        fooled = torch.zeros_like(rows, dtype=torch.bool)
        found = slots["point"]
        for _ in range(attack.evaluations):
            logits, loss, gradient = ask(attack, model, slots)
            check_sound(logits.isfinite())
            if gradient is not None:
                check_sound(~gradient.isnan())
                flat = is_zero(gradient) if flat is None else flat
            if attack.stops_when_fooled:
                new = (logits.argmax(dim=1) != slots["labels"]) & ~fooled
                found, fooled = torch.where(broadcast(new), slots["point"], found), fooled | new
                if bool(fooled.all()):
                    break
            slots |= attack.update(slots, loss, gradient) | {"step": slots["step"] + 1}
        final = attack.final(slots)
        result[rows] = torch.where(broadcast(fooled), found, slots["inputs"] if final is None else final)
        decided[rows] = fooled
    if flat is not None and varied:  # a constant network is robust
        for doubt in doubts({"zero_gradients": float(flat.double().mean()), "zero_gradients_of": len(flat)}):
            warnings.warn(doubt, UnsoundAttackWarning, stacklevel=3)
    return result.detach()
