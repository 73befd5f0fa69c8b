"""Training networks side by side, on one sequence of mini-batches."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agnet.errors import ConfigurationError
from evaluation.data.augment import augment
from evaluation.data.images import Images, in_unit_interval
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.networks.stacked import NetworkStack
from evaluation.randomness import keys
from evaluation.training.adversarial import AbstractAdversary, check_epochs, summed_cross_entropy
from evaluation.training.robust_validation import RobustValidation, Subject
from evaluation.training.subject import shown, under_attack

STACKED_VALUES = 1_024
"""Up to so many values per image in the first stage, stacks are the faster way on a CPU: overhead outweighs traffic.

Measured by ``python -m benchmarks.training``: with 4 channels of 8x8 pixels, 16 cells train 2.0 times as fast in a
stack as one after the other, with 4 of 16x16 1.3 times, with 8 of 16x16 0.8 times, with 16 of 32x32 0.3 times.
"""


_CHOICES = {
    "anneal": ("step", "epoch"),
    "precision": ("float32", "bfloat16"),
    "schedule": ("cosine", "one_cycle"),
    "select": ("last", "best_robust"),
}
_LATER = ("nesterov", "schedule", "select", "adversarial")
"""Settings of :class:`Recipe` that no table named before they came; their defaults are what was done then."""


@dataclass(frozen=True)
class Recipe:
    """NAS-Bench-201's recipe (SGD, Nesterov, cosine), shortened; ``conf/recipe/nasbench201.yaml`` is the whole of it.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; an incomplete last batch is dropped.
        learning_rate: highest rate; see ``schedule``.
        momentum: factor of the momentum.
        weight_decay: weight decay of all parameters.
        flip: mirror half of the images, chosen anew in every epoch.
        crop_padding: crop every image at a random place of a black frame of so many pixels, chosen anew in every epoch
            (the benchmark: 4 for CIFAR, 2 for ImageNet16); 0 for none.
        anneal: follow the schedule with every ``step``, or with every ``epoch`` as the benchmark does.
        precision: number format of convolutions and products; ``bfloat16`` by autocast, with weights and statistics in
            float32.
        nesterov: whether the momentum is Nesterov's.
        schedule: ``cosine`` from the highest rate to zero, or ``one_cycle``: up from 1/25 of the highest rate for 30 %
            of the steps, then down to 1/250,000 of it, both along cosines (Smith & Topin, 2018,
            https://arxiv.org/abs/1708.07120, with the framework's constants).
        select: weights to hand over: of the ``last`` epoch, or of the one with the best accuracy under PGD on
            validation images, ``best_robust`` (Rice et al., 2020, https://arxiv.org/abs/2002.11569).
        adversarial: method of adversarial training; None for standard training.

    Raises:
        ConfigurationError: if a setting is none of its values or negative.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    flip: bool = False
    crop_padding: int = 0
    anneal: str = "step"
    precision: str = "float32"
    nesterov: bool = True
    schedule: str = "cosine"
    select: str = "last"
    adversarial: AbstractAdversary | None = None

    def __post_init__(self) -> None:
        if self.momentum >= 1:
            raise ConfigurationError(f"recipe.momentum={self.momentum}: give a number from 0 and below 1")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: give {' or '.join(choices)}")
        for name in ("learning_rate", "momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: give a finite number from 0")
        if min(self.epochs, self.crop_padding) < 0:
            raise ConfigurationError(
                f"recipe.epochs={self.epochs}, recipe.crop_padding={self.crop_padding}: neither may be negative"
            )
        if self.nesterov and not self.momentum:
            raise ConfigurationError("recipe.momentum=0 with Nesterov's correction: give recipe.nesterov=false")
        if self.adversarial is not None:
            check_epochs(self.adversarial, self.epochs)
        elif self.select != "last":
            raise ConfigurationError(
                f"recipe.select={self.select} without adversarial training: give adversarial=pgd, or recipe.select=last"
            )

    def rate(self, epoch: int, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, counted from 0 in its epoch."""
        done = epoch * steps_per_epoch + (step if self.anneal == "step" else 0)
        steps = self.epochs * steps_per_epoch
        if self.schedule == "one_cycle":
            return self.learning_rate * _one_cycle(done, steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done / steps))

    def describe(self) -> dict[str, Any]:
        """Settings as plain values; those that came later are left out where they are what was always done."""
        values = dataclasses.asdict(dataclasses.replace(self, select="last", adversarial=None)) | {
            "select": self.select,
            "adversarial": None if self.adversarial is None else self.adversarial.describe(),
        }
        later = {field.name: field.default for field in dataclasses.fields(self) if field.name in _LATER}
        return {name: value for name, value in values.items() if name not in later or value != later[name]}


def _one_cycle(done: int, steps: int) -> float:
    """Share of the highest rate after so many steps of all."""
    top, last = 0.3 * steps - 1, max(steps - 1, 1)
    if done <= top:
        low, share = 1 / 25, (top - done) / top if top else 0.0
    else:
        low, share = 1 / 250_000, (done - top) / (last - top)
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share))


def fit(
    architectures: Sequence[str],
    shape: NetworkShape,
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    valid: Images | None = None,
) -> list[CellNetwork]:
    """Train architectures from scratch, the fastest way for their size, and hand over plain networks.

    That is one stack for small features and on a GPU (where it saves launches), and separate networks otherwise.

    Args:
        architectures: the cells' strings.
        shape: widths, depth and classes of every network.
        images: the training split, on any device.
        recipe: schedule and optimiser settings.
        seed: seed of the initial weights, the image order, the augmentation and the perturbations.
        device: device to train on.
        valid: the validation split, for ``recipe.select=best_robust``.

    Returns:
        Networks in evaluation mode, on the device.

    Raises:
        ConfigurationError: if :func:`train` refuses the recipe, or it needs validation images and there are none.
    """
    return [
        network
        for network, _ in fit_and_validate(architectures, shape, images, recipe, seed=seed, device=device, valid=valid)
    ]


def fit_and_validate(
    architectures: Sequence[str],
    shape: NetworkShape,
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    valid: Images | None = None,
) -> list[tuple[CellNetwork, dict[str, Any]]]:
    """As :func:`fit`, and say what validation images told of adversarial training.

    Returns:
        Networks, each with a record of plain values; accuracies are in percent. With ``recipe.select=best_robust`` it
        has the ``epoch`` that was chosen, from 1, and the accuracies ``valid_pgd`` after every epoch. Of one-step
        training it has the accuracies ``pgd`` and ``fgsm``, and ``catastrophic_overfitting``, if there are validation
        images.

    Raises:
        ConfigurationError: if :func:`train` refuses the recipe, or it needs validation images and there are none.
    """
    best = recipe.select == "best_robust"
    if best and not valid:
        raise ConfigurationError("recipe.select=best_robust needs validation images: give some, or recipe.select=last")
    images, device = images.to(device), torch.device(device)
    if device.type != "cpu" or shape.channels * images.size**2 <= STACKED_VALUES:
        networks = NetworkStack(architectures, shape, seed=seed).to(device)
        subjects: list[Subject] = [networks]
    else:
        networks = [FusedNetwork(architecture, shape, seed=seed).to(device) for architecture in architectures]
        subjects = [*networks]
    adversary, validation = recipe.adversarial, None
    if adversary is not None and valid:
        validation = RobustValidation(subjects, valid.to(device), adversary, seed=seed)
    train(networks, images, recipe, seed=seed, after_epoch=validation.keep_best if validation and best else None)
    if validation and adversary and adversary.gradients == 1 and not best:
        validation.look()
    if isinstance(networks, NetworkStack):
        last = [networks.network(member).eval() for member in range(len(networks))]
    else:
        last = [fused.network.eval() for fused in networks]
    if validation is None:
        return [(network, {}) for network in last]
    return [
        (found.network or network, found.record(recipe.select))
        for network, found in zip(last, validation.found, strict=True)
    ]


def train(
    networks: NetworkStack | Sequence[FusedNetwork],
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    after_epoch: Callable[[], None] | None = None,
) -> None:
    """Train networks on the same sequence of mini-batches, in place.

    Each gets the gradients it would get alone: losses are summed over the networks of a stack, and separate networks
    take turns within every step. The same seed gives the same weights on the same kind of device.

    Args:
        networks: a stack or separate networks, on the images' device.
        images: the training split.
        recipe: schedule and optimiser settings.
        seed: seed of the image order, the augmentation and the perturbations.
        after_epoch: called after every epoch; it may leave the networks in whatever mode.

    Raises:
        ConfigurationError: if the batch size is not positive, or so large that there would be no step.
    """
    if not 1 <= recipe.batch_size <= len(images):
        raise ConfigurationError(f"recipe.batch_size={recipe.batch_size}: give 1..{len(images)}, the training images")
    members = [networks] if isinstance(networks, NetworkStack) else list(networks)
    rng = torch.Generator().manual_seed(seed)
    steps_per_epoch = len(images) // recipe.batch_size
    optimizer = torch.optim.SGD(
        [parameter for member in members for parameter in member.parameters()],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        foreach=True,
    )
    device, adversary = images.labels.device, recipe.adversarial
    for epoch in range(recipe.epochs):
        for member in members:
            member.train()
        order = torch.randperm(len(images), generator=rng).to(device)
        for step in range(steps_per_epoch):
            rows = order[step * recipe.batch_size :][: recipe.batch_size]
            stored = augment(
                images.stored[rows], rows, flip=recipe.flip, padding=recipe.crop_padding, seed=seed, epoch=epoch
            )
            pixels, labels = in_unit_interval(stored), images.labels[rows]
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(epoch, step, steps_per_epoch)
            optimizer.zero_grad()
            with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
                for member in members:
                    inputs, wanted = shown(member, pixels, labels)
                    point = inputs
                    if adversary is not None:
                        key = keys(seed, "adversarial", rows, torch.full_like(rows, epoch))
                        radius = adversary.radius(epoch + (step + 1) / steps_per_epoch)
                        with under_attack(member, adversary.batch_norm, recipe.precision) as ask:
                            point = adversary.perturb(ask, inputs, wanted, key, eps=radius)
                    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                        if adversary is None:
                            loss = summed_cross_entropy(member(inputs), wanted)
                        else:
                            loss = adversary.loss(member, inputs, point, wanted)
                        loss = loss / len(pixels)
                    loss.backward()
            optimizer.step()
        if after_epoch is not None:
            after_epoch()
