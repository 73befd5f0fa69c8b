"""Adversarial training: every batch is perturbed against the weights of the moment, and the network learns from that.

A method says where the perturbation starts, how a gradient moves it, and what the network's loss then is; what they
share is here. Images are ``[batch, channels, height, width]`` for one network, and ``[batch, members, channels, height,
width]`` for a stack of networks, each of which gets its own perturbation from the same start.

The start belongs to (seed, image, epoch) through :mod:`evaluation.randomness`, so neither the order of the images nor
the networks that are trained together change it.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.attacks.base import in_units_of_255
from evaluation.attacks.slots import gradient_of
from evaluation.randomness import uniform

Pixels = Float[Tensor, "batch *members channels height width"]
Logits = Float[Tensor, "batch *members classes"]
Labels = Int[Tensor, "batch *members"]
Ask = Callable[[Tensor], Tensor]
"""Logits of pixels in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class AbstractAdversary(abc.ABC):
    """A method of adversarial training.

    Attributes:
        eps: L-inf radius in pixels.
        relative_step: length of a step as a share of eps.
        batch_norm: statistics that batch normalisations use while the perturbation is computed: the running ones with
            ``eval``, as NAS-RobBench-201, or the batch's with ``train``, as Madry et al.; these move the running ones.
        warmup_epochs: the radius rises in equal steps over so many epochs.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    eps: int | float = 8 / 255
    relative_step: int | float = 0.25
    batch_norm: str = "eval"
    warmup_epochs: int = 0

    needs_clean_logits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.eps <= 1:
            raise ConfigurationError(
                f"adversarial.eps_255={in_units_of_255(self.eps)}; give a radius above 0 and up to 255, e.g. 8, or "
                "adversarial=none for standard training (Python takes eps in pixels, e.g. 8 / 255)"
            )
        check_above_0(relative_step=self.relative_step)
        if self.batch_norm not in ("eval", "train"):
            raise ConfigurationError(f"adversarial.batch_norm={self.batch_norm}; give eval or train")
        if type(self.warmup_epochs) is not int or self.warmup_epochs < 0:
            raise ConfigurationError(f"adversarial.warmup_epochs={self.warmup_epochs}; give a whole number from 0")

    @property
    @abc.abstractmethod
    def gradients(self) -> int:
        """Gradients that a perturbation takes."""

    @abc.abstractmethod
    def start(self, images: Pixels, keys: Int[Tensor, " batch"], eps: int | float) -> Pixels:
        """Where perturbations start."""

    def advance(self, point: Pixels, gradient: Pixels, images: Pixels, eps: int | float) -> Pixels:
        """The next point, after the gradient of :meth:`attack_loss` at ``point``: a step along its sign, projected."""
        return project(point + self.relative_step * eps * gradient.sign(), images, eps)

    def attack_loss(self, logits: Logits, labels: Labels, clean: Logits | None) -> Float[Tensor, ""]:
        """What the perturbation increases, summed over images and networks: cross-entropy.

        Args:
            logits: logits at the point.
            labels: classes of the images.
            clean: logits of the images themselves, if :attr:`needs_clean_logits`.
        """
        return summed_cross_entropy(logits, labels)

    def loss(
        self, network: Ask, images: Pixels, point: Pixels, labels: Labels, *, label_smoothing: float = 0.0
    ) -> Float[Tensor, ""]:
        """What training decreases, summed over images and networks: cross-entropy at the perturbed images.

        Args:
            network: the networks in training mode; classification is judged by the first answer that is asked for.
            images: pixels in [0, 1].
            point: perturbed images.
            labels: classes of the images.
            label_smoothing: share of the target that all classes have equally.
        """
        return summed_cross_entropy(network(point), labels, label_smoothing=label_smoothing)

    def radius(self, epochs: int | float) -> float:
        """Radius in pixels when so many epochs will have passed after the step.

        Example:
            >>> from evaluation.training.pgd import PGDTraining
            >>> [round(PGDTraining(eps=0.03, warmup_epochs=2).radius(epochs), 4) for epochs in (0.5, 1, 2, 3)]
            [0.0075, 0.015, 0.03, 0.03]
        """
        return self.eps * min(1.0, epochs / self.warmup_epochs) if self.warmup_epochs else self.eps

    def perturb(
        self, ask: Ask, images: Pixels, labels: Labels, keys: Int[Tensor, " batch"], *, eps: int | float | None = None
    ) -> Pixels:
        """Perturbed images.

        Args:
            ask: the networks, whose parameters need no gradients.
            images: pixels in [0, 1].
            labels: classes of the images.
            keys: keys of the start's draws, one per image.
            eps: radius in pixels; None for the method's own.
        """
        eps, clean = self.eps if eps is None else eps, None
        if self.needs_clean_logits:
            with torch.no_grad():
                clean = ask(images)
        point = self.start(images, keys, eps)
        with torch.enable_grad():
            for _ in range(self.gradients):
                point = point.detach().requires_grad_()
                gradient = gradient_of(self.attack_loss(ask(point), labels, clean), point)
                point = self.advance(point.detach(), gradient, images, eps)
        return point.detach()

    def describe(self) -> dict[str, Any]:
        """Settings as plain values, for metadata; ``eps`` is in units of 1/255 there."""
        return {"method": type(self).__name__, **dataclasses.asdict(self), "eps": in_units_of_255(self.eps)}


def summed_cross_entropy(logits: Logits, labels: Labels, *, label_smoothing: float = 0.0) -> Float[Tensor, ""]:
    """Cross-entropy, summed over images and networks."""
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum", label_smoothing=label_smoothing)


def project(point: Pixels, images: Pixels, eps: int | float) -> Pixels:
    """The point moved into the L-inf ball around the image, then into [0, 1]."""
    return torch.minimum(torch.maximum(point, images - eps), images + eps).clamp_(0, 1)


def uniform_start(images: Pixels, keys: Int[Tensor, " batch"], eps: int | float) -> Pixels:
    """A point drawn uniformly from the L-inf ball, moved into [0, 1]; all networks of a stack get the same."""
    return (images + eps * for_members(uniform(keys, images.shape[-3:]) * 2 - 1, images)).clamp_(0, 1)


def for_members(
    noise: Float[Tensor, "batch channels height width"], images: Pixels
) -> Float[Tensor, "batch *ones channels height width"]:
    """One image's noise for all networks that it is shown to, in the images' type."""
    ones = [1] * (images.ndim - noise.ndim)
    return noise.view(len(noise), *ones, *noise.shape[1:]).to(images)


def check_above_0(**settings: int | float) -> None:
    """Refuse settings of a method, by name, that are no finite numbers above 0.

    Raises:
        ConfigurationError: with the first such setting.
    """
    for name, value in settings.items():
        if not 0 < value < math.inf:
            raise ConfigurationError(f"adversarial.{name}={value}; give a number above 0")


def check_steps(steps: int) -> None:
    """Refuse a number of steps that is no whole number from 1.

    Raises:
        ConfigurationError: with the number.
    """
    if type(steps) is not int or steps < 1:
        raise ConfigurationError(f"adversarial.steps={steps}; give a whole number from 1")


def check_epochs(adversary: AbstractAdversary, epochs: int) -> None:
    """Refuse adversarial training that would not take place.

    Raises:
        ConfigurationError: if there are no epochs, or fewer than the radius rises over.
    """
    if not epochs:
        raise ConfigurationError("recipe.epochs=0 with adversarial training: give epochs, or adversarial=none")
    if adversary.warmup_epochs > epochs:
        raise ConfigurationError(
            f"adversarial.warmup_epochs={adversary.warmup_epochs} of recipe.epochs={epochs}: give at most that"
        )
