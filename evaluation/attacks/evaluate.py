"""Attack any classifier: the function behind :func:`evaluation.evaluate`."""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from agnet.errors import ConfigurationError, InvalidInput
from evaluation.attacks import scheduler
from evaluation.attacks.auto_attack import Ensemble
from evaluation.attacks.base import AbstractAttack, BatchAttack, Model, SteppedAttack
from evaluation.attacks.classifier import Classifier
from evaluation.attacks.gradients import UnsoundAttackWarning, doubts, is_zero, repeats
from evaluation.attacks.outcome import AttackOutcome, Evaluation
from evaluation.attacks.scheduler import Ledger, Subject
from evaluation.attacks.slots import gradient_of
from evaluation.checks import (
    check_differentiable,
    check_images,
    check_logits,
    check_model,
    check_seed,
    check_sound,
)
from evaluation.data.images import in_unit_interval
from evaluation.networks.compiled import CompiledNetwork
from evaluation.networks.nasbench201 import CellNetwork

MODES = ("published", "worst_case")
PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
_ASKED_AGAIN = 32
_WITH_GRADIENT = 128


def check_modes(mode: str, precision: str) -> None:
    """Refuse what :func:`evaluate` does not know.

    Raises:
        ConfigurationError: naming the choices.
    """
    if mode not in MODES or precision not in PRECISIONS:
        raise ConfigurationError(
            f"{mode=}, {precision=}; give mode one of {', '.join(MODES)} and precision one of {', '.join(PRECISIONS)}"
        )


def evaluate(
    model: Model | nn.Module,
    images: Shaped[Tensor, "images channels height width"],
    labels: Int[Tensor, " images"],
    attacks: AbstractAttack | Sequence[AbstractAttack],
    *,
    mode: str = "published",
    seed: int = 0,
    precision: str = "float32",
    indices: Int[Tensor, " images"] | None = None,
    batch_size: int | None = None,
    keep_images: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Attack a classifier at every radius of every attack.

    Every outcome belongs to its image, radius, attack and seed: it does not depend on the batch size, the order of the
    images, or which other images and attacks are run (bit for bit on CPU with networks of this project in float32 and
    float64; to rounding with models whose logits depend on the batch size by rounding). The model may compute on any
    device; give images and labels on the same one.

    Args:
        model: logits ``[batch, classes]`` of images ``[batch, channels, height, width]`` with pixels in [0, 1], any
            normalisation inside; a module must be in evaluation mode. A
            :class:`~evaluation.networks.nasbench201.CellNetwork` is compiled first.
        images: pixels in [0, 1], or uint8 levels.
        labels: true class of every image.
        attacks: one attack with its radii, or several.
        mode: ``"published"``: each radius by itself, PGD and FGSM judged at the last iterate on all images, APGD and
            Square on the correctly classified ones, as the published robustness dataset; ``"worst_case"``: any
            misclassified iterate counts, misclassified images count as fooled, and an image fooled at one radius counts
            as fooled at all larger ones.
        seed: seed of all random draws.
        precision: number format of the search: ``"float32"``, ``"float64"``, or ``"bfloat16"``, which is several times
            faster on processors with such units. Outcomes are judged in float32 (float64) in any case.
        indices: the images' indices in their data set, to which random draws belong; 0, 1, ... by default.
        batch_size: slots attacked at a time; by default as many as suit the device.
        keep_images: keep the reported images, ``Evaluation.adversarial``.
        progress: show a progress bar where there is a terminal.

    Returns:
        Outcomes: the clean images first, then each attack and radius; of an ensemble after each of its members.

    Raises:
        InvalidInput: if images, labels, model or logits are not usable; see :mod:`evaluation.checks`.
        ConfigurationError: if a setting is unknown, there is no attack, or two attacks share a name.

    Warns:
        UnsoundAttackWarning: if the model's gradients are zero on many images, or it draws at random: then a high
            accuracy is no sign of robustness. The shares are in ``Evaluation.checks``.
    """
    check_images(images, labels)
    check_model(model)
    check_seed(seed)
    attacks = [attacks] if isinstance(attacks, AbstractAttack) else list(attacks)
    if not attacks or not all(isinstance(attack, AbstractAttack) for attack in attacks):
        raise ConfigurationError(f"attacks={attacks}; give at least one attack, e.g. [PGD(eps=[8 / 255])]")
    names = [stage for attack in attacks for stage in attack.stages]
    if len({"clean", *names}) <= len(names):
        raise ConfigurationError(f"attacks {', '.join(names)}: give each its own name=..., and none the name clean")
    check_modes(mode, precision)
    if batch_size is not None and not (type(batch_size) is int and batch_size >= 1):
        raise ConfigurationError(f"{batch_size=}; give at least 1, a whole number")
    indices = torch.arange(len(images), device="cpu") if indices is None else indices
    if indices.shape != labels.shape:
        raise InvalidInput(f"{len(indices)} indices for {len(images)} images; give one index per image")
    members = [m for attack in attacks for m in (attack.members if isinstance(attack, Ensemble) else (attack,))]
    subject = _prepare(
        model,
        in_unit_interval(images.detach()).double() if precision == "float64" else images.detach(),
        labels.long(),
        indices.long(),
        seed=seed,
        precision=precision,
        capacity=batch_size or default_batch_size(images),
        with_sign=any(isinstance(m, SteppedAttack) and m.needs_clean_gradient for m in members),
        with_gradient=any(isinstance(m, SteppedAttack) and m.needs_gradient for m in members),
    )
    for doubt in doubts(subject.checks):
        warnings.warn(doubt, UnsoundAttackWarning, stacklevel=2)
    for member in members:
        if isinstance(member, SteppedAttack):
            member.check_classes(subject.clean_logits.shape[1])
    clean = Ledger(subject, 1)
    outcomes = [_outcome("clean", "", 0.0, mode, clean, 0)]
    adversarial: dict[str, Tensor] = {}
    worst_case = mode == "worst_case"
    for attack in attacks:
        ledger = Ledger(subject, len(attack.eps), keep_images=keep_images)
        parts = attack.members if isinstance(attack, Ensemble) else (attack,)
        for stage, member in zip(attack.stages, parts, strict=True):
            everything = isinstance(member, SteppedAttack) and member.attacks_misclassified and not worst_case
            todo = torch.ones_like(ledger.fooled) if everything and member is attack else ~ledger.fooled
            with tqdm(total=int(todo.sum()), desc=member.name, unit="pair", disable=None if progress else True) as bar:
                _run(member, subject, todo, ledger, worst_case=worst_case, tick=bar.update)
            for k, eps in enumerate(attack.eps):
                outcome = _outcome(stage, attack.norm, eps, mode, ledger, k)
                outcomes.append(outcome)
                if ledger.images is not None and stage == attack.name:
                    adversarial[outcome.column] = ledger.images[k]
    settings = {
        "mode": mode,
        "seed": seed,
        "precision": precision,
        "attacks": {attack.name: attack.describe() for attack in attacks},
        "torch": str(torch.__version__),
        "device": str(images.device),
    }
    return Evaluation(tuple(outcomes), subject.clean_logits.shape[1], settings, adversarial, dict(subject.checks))


def _run(attack: AbstractAttack, subject: Subject, todo: Tensor, ledger: Ledger, **options) -> None:
    if isinstance(attack, SteppedAttack):
        scheduler.run(attack, subject, todo, ledger, **options)
    elif isinstance(attack, BatchAttack):
        scheduler.run_batches(attack, subject, todo, ledger, **options)
    else:
        raise TypeError(f"{type(attack).__name__} is neither a SteppedAttack nor a BatchAttack nor an Ensemble")


def default_batch_size(images: Tensor) -> int:
    """Slots: on CPU as many as keep the features in the cache, on other devices as many as fill them."""
    pixels = images.shape[-1] * images.shape[-2]
    return max(2**17 // pixels, 8) if images.device.type == "cpu" else max(2**22 // pixels, 8)


def _prepare(
    model: Model | nn.Module,
    images: Tensor,
    labels: Tensor,
    indices: Tensor,
    *,
    seed: int,
    precision: str,
    capacity: int,
    with_sign: bool,
    with_gradient: bool,
) -> Subject:
    """Compile the model, pass the clean images through it, and look for what makes attacks fail."""
    search, judge = searcher_and_judge(model, precision)
    logits, signs, flat = [], [], []
    for rows in torch.arange(len(images), device=images.device).split(capacity):
        inputs = in_unit_interval(images[rows])
        if with_sign:
            with torch.enable_grad():
                inputs.requires_grad_()
                found = judge(inputs)
                check_logits(found, inputs, labels[rows], min_classes=2)
                gradient = gradient_of(F.cross_entropy(found, labels[rows], reduction="sum"), inputs)
                check_sound(~gradient.isnan())
                signs.append(gradient.sign().to(torch.int8))
                flat.append(is_zero(gradient))
        else:
            with torch.no_grad():
                found = judge(inputs)
            check_logits(found, inputs, labels[rows], min_classes=2)
        logits.append(found.detach())
    if with_sign or with_gradient:
        few = slice(2 if with_sign else min(_WITH_GRADIENT, capacity))
        with torch.enable_grad():
            inputs = in_unit_interval(images[few].clone()).requires_grad_()
            found = search(inputs)
            check_logits(found, inputs)
            check_differentiable(found)
            if not with_sign:
                flat.append(is_zero(gradient_of(F.cross_entropy(found, labels[few], reduction="sum"), inputs)))
    clean_logits = torch.cat(logits).float() if logits[0].itemsize < 4 else torch.cat(logits)
    few = slice(min(_ASKED_AGAIN, capacity))
    checks = repeats(judge, in_unit_interval(images[few].clone()), clean_logits[few])
    if flat and not bool((clean_logits == clean_logits[:1]).all()):  # a constant network is robust
        zero = torch.cat(flat)
        checks |= {"zero_gradients": float(zero.double().mean()), "zero_gradients_of": len(zero)}
    return Subject(
        search=search,
        judge=judge,
        images=images,
        labels=labels,
        indices=indices,
        clean_logits=clean_logits,
        clean_sign=torch.cat(signs) if signs else None,
        seed=seed,
        capacity=capacity,
        chunk=1 if images.device.type == "cpu" else 10,
        checks=checks,
    )


def searcher_and_judge(model: Model | nn.Module, precision: str) -> tuple[Classifier, Classifier]:
    """The model as attacks ask it and as it judges them."""
    exact = torch.float64 if precision == "float64" else torch.float32
    if isinstance(model, CellNetwork):
        judge = Classifier(CompiledNetwork(model, exact))
        return (Classifier(CompiledNetwork(model, torch.bfloat16)) if precision == "bfloat16" else judge), judge
    judge = Classifier(model)
    if precision != "bfloat16":
        return judge, judge

    def search(inputs: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        with torch.autocast(inputs.device.type, torch.bfloat16):
            return model(inputs).float()

    return Classifier(search), judge


def _outcome(name: str, norm: str, eps: float, mode: str, ledger: Ledger, k: int) -> AttackOutcome:
    clean = name == "clean"
    return AttackOutcome(
        attack=name,
        norm=norm,
        eps=eps,
        mode=mode,
        labels=ledger.labels,
        predicted=ledger.predicted[k].clone(),
        robust=~ledger.fooled[k],
        confidence=ledger.confidence[k].clone(),
        true_confidence=ledger.true_confidence[k].clone(),
        forwards=torch.ones_like(ledger.forwards[k]) if clean else ledger.forwards[k].clone(),
        gradients=ledger.gradients[k].clone(),
    )
