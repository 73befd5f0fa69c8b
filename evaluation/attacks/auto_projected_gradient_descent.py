"""APGD: projected ascent with momentum and a step size that adapts to each image.

Source: Croce & Hein, 2020, https://arxiv.org/abs/2003.01690, algorithm 1, with the choices of the authors' published
code where it differs from the text; those that look like accidents are named below, because the published robustness
dataset was made with them.
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError
from evaluation.attacks.base import (
    PUBLISHED_EPS,
    Pixels,
    Radii,
    Slots,
    SteppedAttack,
    ascent,
    broadcast,
    norm_l2,
    project,
    whole,
)
from evaluation.attacks.losses import cross_entropy, dlr, targeted_dlr
from evaluation.randomness import normal, uniform

NAMES = {"ce": "apgd_ce", "dlr": "apgd_dlr", "targeted_dlr": "apgd_t"}
CLASSES = {"ce": 2, "dlr": 3, "targeted_dlr": 4}
RHO, MOMENTUM = 0.75, 0.75


class APGD(SteppedAttack):
    """Auto-PGD; an image is fooled when any iterate is misclassified.

    Two traits of the published code are kept: at the first checkpoint the first iterate counts as an increase if its
    loss is above zero, and the momentum after a restart from the best point still refers to the iterate before it.

    Args:
        eps: radii in pixels, increasing.
        loss: ``"ce"``, ``"dlr"``, or ``"targeted_dlr"`` (APGD-T: one run for each of the likeliest wrong classes).
        steps: iterations of a run; each run takes ``steps + 1`` gradients.
        restarts: runs from fresh random starts (for every target, in APGD-T).
        targets: number of target classes of ``"targeted_dlr"``, at most the number of classes less one.
        norm: ``"linf"`` or ``"l2"``.
        unfooled: the image to report where none is fooled: the ``"clean"`` one, as in the published code, or the
            iterate of the ``"best"`` loss (of the last run).
        name: prefix of the columns; None gives ``apgd_ce``, ``apgd_dlr`` or ``apgd_t``, with ``_l2`` in that norm.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    def __init__(
        self,
        eps: Radii = PUBLISHED_EPS,
        loss: str = "ce",
        steps: int = 100,
        restarts: int = 1,
        *,
        targets: int = 9,
        norm: str = "linf",
        unfooled: str = "clean",
        name: str | None = None,
    ) -> None:
        suffix = "" if norm == "linf" else f"_{norm}"
        super().__init__(name or f"{NAMES.get(loss, loss)}{suffix}", eps, norm)
        if loss not in NAMES:
            raise ConfigurationError(f"attack {self.name}: loss={loss}; give one of {', '.join(NAMES)}")
        whole(self.name, steps=steps, restarts=restarts, targets=targets)
        if unfooled not in ("clean", "best"):
            raise ConfigurationError(f"attack {self.name}: unfooled={unfooled}; give clean or best")
        self.loss_name, self.steps, self.restarts, self.unfooled = loss, steps, restarts, unfooled
        self.targets = targets if loss == "targeted_dlr" else 1
        self.attempts = self.restarts * self.targets

    @property
    def evaluations(self) -> int:
        """One gradient at the start and one after each step."""
        return self.steps + 1

    def check_classes(self, num_classes: int) -> None:
        """Refuse too few classes for the loss or for the targets.

        Raises:
            ConfigurationError: naming the remedy.
        """
        if num_classes < CLASSES[self.loss_name]:
            raise ConfigurationError(
                f"attack {self.name}: {num_classes} classes; loss={self.loss_name} needs {CLASSES[self.loss_name]}, "
                "use ce"
            )
        if self.loss_name == "targeted_dlr" and self.targets >= num_classes:
            raise ConfigurationError(
                f"attack {self.name}: targets={self.targets}, but {num_classes} classes leave {num_classes - 1} wrong "
                f"ones; give targets={num_classes - 1}"
            )

    def start(self, slots: Slots) -> Slots:
        """A random point on the ball's surface."""
        inputs, eps, keys = slots["inputs"], slots["eps"], slots["keys"]
        shape = inputs.shape[1:]
        if self.norm == "linf":
            delta = uniform(keys, shape) * 2 - 1
            delta = delta / (delta.flatten(1).abs().amax(dim=1)[:, None, None, None] + 1e-12)
        else:
            delta = normal(keys, shape)
            delta = delta / (norm_l2(delta) + 1e-12)
        point = (inputs + broadcast(eps) * delta.to(inputs)).clamp(0, 1)
        zeros = torch.zeros_like(eps)
        # the classes by falling logit, the true one among them as in the published code: a correct image's is first
        rank = slots["attempt"] // self.restarts + 1
        target = slots["clean_logits"].argsort(dim=1, descending=True, stable=True).gather(1, rank[:, None]).squeeze(1)
        return {
            "point": point,
            "previous": point,
            "best": point,
            "best_gradient": torch.zeros_like(point),
            "step_size": 2 * eps,
            "loss": zeros,  # the published code compares the first iterate with an empty record
            "best_loss": torch.full_like(eps, -torch.inf),
            "checked_loss": torch.full_like(eps, -torch.inf),
            "increases": zeros,
            "halved": torch.ones_like(slots["labels"], dtype=torch.bool),
            "target": target,
        }

    def loss(self, logits: Float[Tensor, "slots classes"], slots: Slots) -> Float[Tensor, " slots"]:
        """The chosen loss."""
        if self.loss_name == "ce":
            return cross_entropy(logits, slots["labels"])
        if self.loss_name == "dlr":
            return dlr(logits, slots["labels"])
        return targeted_dlr(logits, slots["labels"], slots["target"])

    def update(self, slots: Slots, loss: Float[Tensor, " slots"], gradient: Pixels | None) -> Slots:
        """Keep the best point, adapt the step size at checkpoints, step with momentum."""
        assert gradient is not None
        step, point, inputs = slots["step"], slots["point"], slots["inputs"]
        first = step == 0
        improved = loss > slots["best_loss"]
        wide = broadcast(improved)
        best = torch.where(wide, point, slots["best"])
        best_gradient = torch.where(wide, gradient, slots["best_gradient"])
        best_loss = torch.where(improved, loss, slots["best_loss"])
        increases = torch.where(first, 0.0, slots["increases"] + (loss > slots["loss"]))
        checked_loss = torch.where(first, loss, slots["checked_loss"])

        # at a checkpoint, two signs of too large a step: the loss rose too rarely, or its record has not moved
        window = checkpoints(self.steps, step.device)[step]  # length of the window that ends here, or 0
        at_checkpoint = window > 0
        oscillates = increases <= RHO * window
        stagnates = ~slots["halved"] & (checked_loss >= best_loss)
        halve = at_checkpoint & (oscillates | stagnates)
        step_size = torch.where(halve, slots["step_size"] / 2, slots["step_size"])
        restart = broadcast(
            halve
        )  # with half the step, the slot goes on from its best point, with that point's gradient
        origin = torch.where(restart, best, point)
        direction = torch.where(restart, best_gradient, gradient)

        eps = broadcast(slots["eps"])
        target = project(origin + broadcast(step_size) * ascent(direction, self.norm), inputs, eps, self.norm)
        # momentum: the first step has none; both the step and the sum with the last move are projected
        a = broadcast(torch.where(first, 1.0, MOMENTUM).to(point))
        moved = origin + a * (target - origin) + (1 - a) * (origin - slots["previous"])
        return {
            "point": project(moved, inputs, eps, self.norm),
            "previous": origin,
            "best": best,
            "best_gradient": best_gradient,
            "best_loss": best_loss,
            "loss": torch.where(first, 0.0, loss),
            "increases": torch.where(at_checkpoint, 0.0, increases),
            "checked_loss": torch.where(at_checkpoint, best_loss, checked_loss),
            "halved": torch.where(at_checkpoint, halve, slots["halved"]),
            "step_size": step_size,
        }

    def final(self, slots: Slots) -> Pixels | None:
        """Nothing, or the point of the best loss."""
        return None if self.unfooled == "clean" else slots["best"]


@lru_cache
def checkpoints(steps: int, device: torch.device | str = "cpu") -> Int[Tensor, " evaluations"]:
    """For each evaluation, the number of iterations since the last checkpoint if it is one, else 0.

    The windows shrink from 22 % of the iterations by 3 % each to 6 %.

    Example:
        >>> checkpoints(100).nonzero().flatten().tolist()
        [22, 41, 57, 70, 80, 87, 93, 99]
    """
    window, shrink, shortest = max(int(0.22 * steps), 1), max(int(0.03 * steps), 1), max(int(0.06 * steps), 1)
    lengths = torch.zeros(steps + 1, dtype=torch.int64, device="cpu")
    position = window
    while position <= steps:
        lengths[position] = window
        window = max(window - shrink, shortest)
        position += window
    return lengths.to(device)
