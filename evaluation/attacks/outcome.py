"""Outcomes of attacks: per image and radius, and as summaries, files and a plot."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.runtime.digests import of_arrays, of_json
from agnet.runtime.files import write_bytes, write_text
from agnet.runtime.names import inside
from agnet.runtime.reading import damaged
from agnet.runtime.sealed import SEAL
from evaluation.attacks.base import in_units_of_255
from evaluation.attacks.gradients import Checks
from evaluation.data.npz import read_npz

Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class AttackOutcome:
    """One attack at one radius, or the clean images, judged by the network at full precision.

    Attributes:
        attack: the attack's name, or ``"clean"``.
        norm: the ball, or an empty string for the clean images.
        eps: radius in pixels.
        mode: ``"published"`` or ``"worst_case"``, see :func:`evaluation.evaluate`.
        labels: true class of every image.
        predicted: class of each reported image.
        robust: whether the image counts as correctly classified under the attack.
        confidence: highest softmax of each reported image.
        true_confidence: softmax of the true class.
        forwards: model evaluations spent on each image.
        gradients: input gradients spent on each image.
    """

    attack: str
    norm: str
    eps: float
    mode: str
    labels: Int[Tensor, " images"]
    predicted: Int[Tensor, " images"]
    robust: Bool[Tensor, " images"]
    confidence: Float[Tensor, " images"]
    true_confidence: Float[Tensor, " images"]
    forwards: Int[Tensor, " images"]
    gradients: Int[Tensor, " images"]

    def __repr__(self) -> str:
        return f"AttackOutcome({self.column}, {self.mode}: {self.accuracy:.2f} % of {len(self.labels)} images)"

    @property
    def eps_255(self) -> float:
        """Radius in units of 1/255, as columns and files have it."""
        return float(in_units_of_255(self.eps))

    @property
    def column(self) -> str:
        """Name of the accuracy in a table, e.g. ``pgd_eps0.5``."""
        return self.attack if self.attack == "clean" else f"{self.attack}_eps{self.eps_255:g}"

    @property
    def accuracy(self) -> float:
        """Percent of the images that count as correctly classified."""
        return 100.0 * float(self.robust.double().mean())

    def calibration_error(self, bins: int = 15) -> float:
        """Expected calibration error: mean distance of accuracy and confidence over bins of confidence, in percent.

        Source: Guo et al., 2017, https://arxiv.org/abs/1706.04599, section 2.

        Args:
            bins: number of bins of equal width; an image at the edge of two belongs to the lower one.
        """
        confidence, right = self.confidence.double(), (self.predicted == self.labels).double()
        place = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
        surplus = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, confidence - right)
        return 100.0 * float(surplus.abs().sum()) / len(place)

    def part(self, rows: slice) -> "AttackOutcome":
        """The outcome of some of the images."""
        names = ("labels", "predicted", "robust", "confidence", "true_confidence", "forwards", "gradients")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def confusion(self, num_classes: int) -> Int[Tensor, "classes classes"]:
        """Counts of reported images: rows are true classes, columns predicted ones."""
        flat = torch.bincount(self.labels * num_classes + self.predicted, minlength=num_classes**2)
        return flat.view(num_classes, num_classes)

    def summary(self) -> Row:
        """Accuracy, mean confidences (None where there is no such image) and mean cost per image."""
        right = self.predicted == self.labels

        def mean(values: Tensor) -> float | None:
            return float(values.double().mean()) if len(values) else None

        return {
            "attack": self.attack,
            "norm": self.norm,
            "eps": self.eps_255,
            "mode": self.mode,
            "images": len(self.labels),
            "accuracy": self.accuracy,
            "confidence": mean(self.confidence),
            "confidence_right": mean(self.confidence[right]),
            "confidence_wrong": mean(self.confidence[~right]),
            "confidence_true": mean(self.true_confidence),
            "forwards": mean(self.forwards),
            "gradients": mean(self.gradients),
        }

    def details(self, num_classes: int) -> dict[str, object]:
        """The summary, the confusion matrix, and the robust bits of all images, packed, in hexadecimal."""
        bits = np.packbits(self.robust.numpy())
        return {**self.summary(), "confusion": self.confusion(num_classes).tolist(), "robust": bits.tobytes().hex()}


@dataclass(frozen=True)
class Evaluation:
    """Outcomes of several attacks on one network and one set of images; the clean outcome comes first.

    Attributes:
        outcomes: one for the clean images, then one for each attack and radius.
        num_classes: logits of the network.
        settings: mode, seed, precision and the attacks' settings.
        adversarial: reported images of the attacks whose images were kept, by column.
        checks: doubts whether the accuracies are a sign of robustness: ``zero_gradients``, the share of
            ``zero_gradients_of`` images on which the gradient is zero (if an attack follows gradients and the network
            is not constant), and ``randomised``, whether the model gave other logits when asked again.
    """

    outcomes: tuple[AttackOutcome, ...]
    num_classes: int
    settings: dict[str, object]
    adversarial: dict[str, Tensor] = field(default_factory=dict, repr=False)
    checks: Checks = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        accuracies = ", ".join(f"{column} {accuracy:.2f} %" for column, accuracy in self.accuracies.items())
        return f"Evaluation({len(self.outcomes[0].labels)} images, {self.num_classes} classes: {accuracies})"

    def __getitem__(self, column: str) -> AttackOutcome:
        for outcome in self.outcomes:
            if outcome.column == column:
                return outcome
        raise KeyError(f"no outcome {column}; there are {', '.join(o.column for o in self.outcomes)}")

    @property
    def accuracies(self) -> dict[str, float]:
        """Percent correct by column: ``clean``, ``pgd_eps0.5``, ..."""
        return {outcome.column: outcome.accuracy for outcome in self.outcomes}

    def summary(self) -> list[Row]:
        """One row per outcome, see :meth:`AttackOutcome.summary`."""
        return [outcome.summary() for outcome in self.outcomes]

    def details(self) -> list[dict[str, object]]:
        """One entry per outcome, see :meth:`AttackOutcome.details`."""
        return [outcome.details(self.num_classes) for outcome in self.outcomes]

    def joined(self, other: "Evaluation") -> "Evaluation":
        """This evaluation with the attacks of another one of the same network and images."""
        attacks = {**self.settings["attacks"], **other.settings["attacks"]}  # pyright: ignore
        return Evaluation(
            self.outcomes + other.outcomes[1:],
            self.num_classes,
            {**self.settings, "attacks": attacks},
            {**self.adversarial, **other.adversarial},
            {**self.checks, **other.checks},
        )

    def save(self, folder: Path) -> None:
        """Write ``summary.csv``, ``images.npz`` (results per image), ``evaluation.json`` and ``accuracy.png``.

        Raises:
            StorageError: if the operating system refuses.
        """
        rows = self.summary()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(inside(folder, "summary.csv"), text.getvalue())
        save_outcomes(inside(folder, "images.npz"), self)
        content = {"settings": self.settings, "confusion_rows": "true classes", "outcomes": self.details()}
        content["checks"] = self.checks
        write_text(inside(folder, "evaluation.json"), json.dumps(content))
        write_bytes(inside(folder, "accuracy.png"), plot(self.outcomes))


PER_IMAGE = ("predicted", "robust", "confidence", "true_confidence", "forwards", "gradients")


def save_outcomes(path: Path, evaluation: Evaluation) -> None:
    """Write the outcome of every image as ``.npz``: arrays ``labels`` and ``<column>/<quantity>``, text ``about``.

    Their hash is in the array ``sha256``.

    Raises:
        StorageError: if the operating system refuses.
    """
    about = {
        "num_classes": evaluation.num_classes,
        "settings": evaluation.settings,
        "checks": evaluation.checks,
        "outcomes": [
            {"attack": o.attack, "norm": o.norm, "eps": o.eps_255, "mode": o.mode} for o in evaluation.outcomes
        ],
    }
    arrays = {"about": np.array(json.dumps(about)), "labels": evaluation.outcomes[0].labels.numpy()}
    for outcome in evaluation.outcomes:
        arrays |= {f"{outcome.column}/{name}": getattr(outcome, name).numpy() for name in PER_IMAGE}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays, **{SEAL: np.array(_hash(arrays))})
    write_bytes(path, buffer.getvalue())


def load_outcomes(path: Path) -> Evaluation:
    """Read what :func:`save_outcomes` has written.

    Raises:
        UnreadableFile: if the file is damaged, or was changed after it was written.
    """
    try:
        found = read_npz(path)
    except ConfigurationError as error:
        raise damaged(path, "it is no whole .npz", "delete it and run again") from error
    seal = found.pop(SEAL, None)
    if seal is None or str(seal) != _hash(found):
        raise damaged(path, "its content does not match its hash", "delete it and run again")
    try:
        about = json.loads(str(found.pop("about")))
        arrays = {name: torch.from_numpy(array) for name, array in found.items()}
        outcomes: list[AttackOutcome] = []
        for entry in about["outcomes"]:
            column = entry["attack"] if entry["attack"] == "clean" else f"{entry['attack']}_eps{entry['eps']:g}"
            values: dict[str, Any] = {name: arrays[f"{column}/{name}"] for name in PER_IMAGE}
            in_pixels = {**entry, "eps": entry["eps"] / 255}
            outcomes.append(AttackOutcome(**in_pixels, labels=arrays["labels"], **values))
        return Evaluation(tuple(outcomes), about["num_classes"], about["settings"], checks=about["checks"])
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}", "delete it and run again") from error


def _hash(arrays: Mapping[str, np.ndarray]) -> str:
    return of_json({name: of_arrays(array) for name, array in arrays.items()})


def plot(outcomes: Sequence[AttackOutcome]) -> bytes:
    """Draw accuracy against eps, one line per attack, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    clean = next(outcome for outcome in outcomes if outcome.attack == "clean")
    axes.axhline(clean.accuracy, color="0.5", linestyle=":", label="clean")
    names = list(dict.fromkeys(o.attack for o in outcomes if o.attack != "clean"))
    for name, marker in zip(names, "osD^vP*X<>" * (1 + len(names) // 10), strict=False):
        points = [(o.eps_255, o.accuracy) for o in outcomes if o.attack == name]
        axes.plot(*zip(*points, strict=True), marker=marker, markersize=4, linewidth=1.4, label=name)
    positive = sorted({o.eps_255 for o in outcomes if o.eps > 0})
    if positive:
        axes.set_xscale("symlog", linthresh=positive[0])
        axes.set_xlim(0 if any(o.eps == 0 for o in outcomes[1:]) else positive[0] * 0.8, positive[-1] * 1.25)
        ticks = positive[-1:]  # those whose labels do not run into each other
        for value in reversed(positive):
            if value <= ticks[-1] / 1.25:
                ticks.append(value)
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axes.minorticks_off()
    axes.set_ylim(0, 100)
    axes.set_xlabel("eps in units of 1/255")
    axes.set_ylabel("accuracy in %")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
