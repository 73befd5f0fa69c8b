"""The training recipe of final networks."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from agnet.errors import ConfigurationError
from evaluation.training.adversarial import AbstractAdversary, check_epochs

SCHEDULES = ("cosine", "exponential", "linear")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class FinalRecipe:
    """SGD with momentum, as in DARTS' published code; the defaults are those for CIFAR-10.

    Attributes:
        epochs: passes over the training images.
        batch_size: images of a step, of all processes together; an incomplete last batch is dropped.
        learning_rate: initial rate, for this batch size.
        momentum: factor of the momentum, without Nesterov's correction.
        weight_decay: weight decay of all parameters.
        schedule: the rate's way down, epoch by epoch: ``cosine`` or ``linear`` to zero, or ``exponential``.
        decay: factor of an exponential schedule.
        warmup_epochs: so many epochs approach the schedule's rate in equal steps.
        gradient_clip: largest Euclidean norm of the gradient; 0 for no limit.
        auxiliary_weight: weight of the auxiliary head's loss.
        drop_path: probability of dropping a path at the end; it rises linearly from 0, epoch by epoch.
        label_smoothing: share of the target that all classes have equally.
        precision: number format of convolutions and products; all but float32 by autocast, ``float16`` with a scaled
            loss.
        adversarial: method of adversarial training; None for standard training.

    Raises:
        ConfigurationError: if a value is outside its range.
    """

    epochs: int = 600
    batch_size: int = 96
    learning_rate: float = 0.025
    momentum: float = 0.9
    weight_decay: float = 3e-4
    schedule: str = "cosine"
    decay: float = 1.0
    warmup_epochs: int = 0
    gradient_clip: float = 5.0
    auxiliary_weight: float = 0.4
    drop_path: float = 0.2
    label_smoothing: float = 0.0
    precision: str = "float32"
    adversarial: AbstractAdversary | None = None

    def __post_init__(self) -> None:
        if self.momentum >= 1:
            raise ConfigurationError(f"recipe.momentum={self.momentum}: give a number from 0 and below 1")
        for name, choices in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: give one of {', '.join(choices)}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: give 1 or more")
        for name in ("drop_path", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: give a number from 0 to below 1")
        numbers = ("learning_rate", "momentum", "weight_decay", "gradient_clip", "auxiliary_weight", "decay")
        for name in (*numbers, "warmup_epochs"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: give a finite number from 0")
        if self.adversarial is not None:
            check_epochs(self.adversarial, self.epochs)

    def describe(self) -> dict[str, Any]:
        """Settings as plain values; ``adversarial`` is there in adversarial training only."""
        values = dataclasses.asdict(dataclasses.replace(self, adversarial=None))
        del values["adversarial"]
        return values if self.adversarial is None else {**values, "adversarial": self.adversarial.describe()}

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0.

        Example:
            >>> [FinalRecipe(epochs=4).rate(epoch) for epoch in (0, 2)]
            [0.025, 0.0125]
        """
        match self.schedule:
            case "cosine":
                factor = 0.5 * (1 + math.cos(math.pi * epoch / self.epochs))
            case "linear":
                factor = 1 - epoch / self.epochs
            case _:
                factor = self.decay**epoch
        return self.learning_rate * factor * min(1.0, (epoch + 1) / (self.warmup_epochs or 1))

    def dropped(self, epoch: int) -> float:
        """Probability of dropping a path in an epoch."""
        return self.drop_path * epoch / self.epochs
