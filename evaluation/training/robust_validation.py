"""Robust accuracy on validation images: which epoch is best, and whether one-step training has failed.

Adversarially trained networks overfit: accuracy under attack falls while they train on (Rice et al., 2020,
https://arxiv.org/abs/2002.11569). Training with one-step perturbations may overfit *catastrophically* (Wong et al.,
2020, https://arxiv.org/abs/2001.03994): within an epoch, the network learns to fool the single step, and accuracy under
PGD falls to 0 while that under FGSM stays high.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evaluation.data.images import Images
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork
from evaluation.networks.stacked import NetworkStack
from evaluation.randomness import keys
from evaluation.training.adversarial import AbstractAdversary, Ask
from evaluation.training.pgd import PGDTraining
from evaluation.training.subject import shown, under_attack

SELECTION_IMAGES = 500
"""Validation images, from the first, that epochs are compared on."""

OVERFITTING_IMAGES = 200
"""Validation images, from the first, that show whether one-step training has failed."""

_BATCH = 128
_COLLAPSED = 0.25
_WORKS = 20.0

Subject = NetworkStack | FusedNetwork
Accuracies = dict[str, Float[Tensor, " members"]]
"""Accuracy in percent under ``pgd`` and ``fgsm``, one for every network."""


def overfits(pgd: float, fgsm: float) -> bool:
    """Whether accuracies in percent show catastrophic overfitting: under PGD less than a quarter of that under FGSM.

    Example:
        >>> overfits(pgd=0.0, fgsm=85.0), overfits(pgd=30.0, fgsm=35.0), overfits(pgd=0.0, fgsm=3.0)
        (True, False, False)
    """
    return fgsm >= _WORKS and pgd < _COLLAPSED * fgsm


def compared(pgd: float, fgsm: float) -> dict[str, float | bool]:
    """What is recorded of one-step training: accuracies in percent under ``pgd`` and ``fgsm``, and what they show."""
    return {"pgd": pgd, "fgsm": fgsm, "catastrophic_overfitting": overfits(pgd, fgsm)}


def warning(network: str, record: Mapping[str, Any]) -> str:
    """What to tell the user of a network that overfits catastrophically."""
    return (
        f"catastrophic overfitting of {network}: {record['pgd']:.1f} % under PGD, {record['fgsm']:.1f} % under FGSM; "
        "not robust: train with adversarial=n_fgsm or adversarial=pgd, or a smaller adversarial.eps_255"
    )


def robust_accuracies(subject: nn.Module, images: Images, adversary: AbstractAdversary, *, seed: int) -> Accuracies:
    """Accuracy under PGD with 10 steps at the adversary's radius; under FGSM as well, where it takes one step.

    Args:
        subject: the networks.
        images: validation images on the networks' device.
        adversary: method of the training.
        seed: seed of the starts, which belong to it and the images' indices.
    """
    attacks = {"pgd": PGDTraining(eps=adversary.eps, steps=10)}
    if adversary.gradients == 1:
        attacks["fgsm"] = PGDTraining(eps=adversary.eps, steps=1, relative_step=1.0, random_start=False)
    right: dict[str, list[Tensor]] = {name: [] for name in attacks}
    with under_attack(subject) as ask:
        for rows in torch.arange(len(images), device=images.labels.device).split(_BATCH):
            inputs, labels = shown(subject, *images.batch(rows))
            key = keys(seed, "validation", rows)
            for name, attack in attacks.items():
                logits = _logits(ask, attack.perturb(ask, inputs, labels, key))
                # what has diverged must not pass for the first class
                right[name].append((logits.argmax(-1) == labels) & logits.isfinite().all(-1))
    return {name: 100 * torch.cat(found).double().mean(0).view(-1).cpu() for name, found in right.items()}


def _logits(ask: Ask, points: Tensor) -> Tensor:
    with torch.no_grad():
        return ask(points)


@dataclass
class Validated:
    """One network over its training.

    Attributes:
        pgd: accuracy in percent under PGD, by epoch if the best is looked for, else at the end if at all.
        fgsm: accuracy under FGSM, likewise, if the training takes one step.
        epoch: the epoch of the network, from 1.
        network: the best network so far.
    """

    pgd: list[float] = field(default_factory=list)
    fgsm: list[float] = field(default_factory=list)
    epoch: int = 0
    network: CellNetwork | None = None

    def record(self, select: str) -> dict[str, Any]:
        """What is kept beside the network's results, as plain values."""
        found: dict[str, Any] = {}
        if select == "best_robust":
            found = {"epoch": self.epoch, "valid_pgd": self.pgd}
        if self.fgsm:
            at = self.epoch - 1 if select == "best_robust" else -1
            found |= compared(self.pgd[at], self.fgsm[at])
        return found


class RobustValidation:
    """Looks at networks after every epoch and keeps the best of each, or looks once at the end.

    Args:
        subjects: networks in training; of a stack, each of its networks is judged by itself.
        images: validation images.
        adversary: method of the training.
        seed: seed of the attacks' starts.
    """

    def __init__(self, subjects: Sequence[Subject], images: Images, adversary: AbstractAdversary, *, seed: int) -> None:
        self.subjects, self.images, self.adversary, self.seed = subjects, images, adversary, seed
        self.found = [Validated() for subject in subjects for _ in range(_count(subject))]

    def keep_best(self) -> None:
        """Look at the networks, and keep those that are better than they were after any epoch before."""
        self._look(self.images.first(SELECTION_IMAGES), keep=True)

    def look(self) -> None:
        """Look whether one-step training has failed."""
        self._look(self.images.first(OVERFITTING_IMAGES), keep=False)

    def _look(self, images: Images, *, keep: bool) -> None:
        left = iter(self.found)
        for subject in self.subjects:
            accuracies = robust_accuracies(subject, images, self.adversary, seed=self.seed)
            for member in range(_count(subject)):
                validated = next(left)
                pgd = float(accuracies["pgd"][member])
                better = pgd > max(validated.pgd, default=-1.0)
                validated.pgd.append(pgd)
                if "fgsm" in accuracies:
                    validated.fgsm.append(float(accuracies["fgsm"][member]))
                if keep and better:
                    validated.epoch, validated.network = len(validated.pgd), copied(subject, member)


def _count(subject: Subject) -> int:
    return len(subject) if isinstance(subject, NetworkStack) else 1


def copied(subject: Subject, member: int) -> CellNetwork:
    """A copy of one of a subject's networks, in evaluation mode."""
    network = subject.network(member) if isinstance(subject, NetworkStack) else copy.deepcopy(subject.network)
    return network.eval()
