"""PGD: projected ascent on the cross-entropy with steps of a fixed share of eps.

Source: Madry et al., 2018, https://arxiv.org/abs/1706.06083; step size relative to eps, 40 steps and judgement at the
last iterate as in Foolbox 3, which the published robustness dataset used.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from evaluation.attacks.base import (
    PUBLISHED_EPS,
    Pixels,
    Radii,
    Slots,
    SteppedAttack,
    ascent,
    broadcast,
    norm_l2,
    number,
    project,
    whole,
)
from evaluation.attacks.losses import cross_entropy
from evaluation.randomness import normal, uniform


class PGD(SteppedAttack):
    """PGD from a uniform random start, judged at its last iterate.

    Args:
        eps: radii in pixels, increasing.
        steps: number of gradient steps.
        relative_step: step length as a share of eps.
        random_start: start at a uniform draw from the ball, or at the image.
        norm: ``"linf"`` or ``"l2"``.
        name: prefix of the columns; None gives ``pgd`` or ``pgd_l2``.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    attacks_misclassified = True
    stops_when_fooled = False

    def __init__(
        self,
        eps: Radii = PUBLISHED_EPS,
        steps: int = 40,
        relative_step: int | float = 1 / 30,
        *,
        random_start: bool = True,
        norm: str = "linf",
        name: str | None = None,
    ) -> None:
        super().__init__(name or ("pgd" if norm == "linf" else f"pgd_{norm}"), eps, norm)
        whole(self.name, steps=steps)
        number(self.name, relative_step=relative_step)
        self.steps, self.relative_step, self.random_start = steps, relative_step, random_start

    @property
    def evaluations(self) -> int:
        """One gradient a step."""
        return self.steps

    def start(self, slots: Slots) -> Slots:
        """A point drawn uniformly from the ball."""
        inputs, eps, keys = slots["inputs"], slots["eps"], slots["keys"]
        if not self.random_start:
            return {"point": inputs.clone()}
        shape = inputs.shape[1:]
        if self.norm == "linf":
            delta = uniform(keys, shape) * 2 - 1
        else:
            delta = normal(keys, shape)
            share = uniform(keys, (), stream=1).double() ** (1 / shape.numel())
            delta = delta / (norm_l2(delta) + 1e-12) * broadcast(share.float())
        return {"point": (inputs + broadcast(eps) * delta.to(inputs)).clamp(0, 1)}

    def loss(self, logits: Float[Tensor, "slots classes"], slots: Slots) -> Float[Tensor, " slots"]:
        """Cross-entropy."""
        return cross_entropy(logits, slots["labels"])

    def update(self, slots: Slots, loss: Float[Tensor, " slots"], gradient: Pixels | None) -> Slots:
        """A step along the gradient, projected."""
        assert gradient is not None
        eps = broadcast(slots["eps"])
        # foolbox clips to the ball, then to [0, 1]
        point = torch.add(slots["point"], self.relative_step * eps * ascent(gradient, self.norm))
        return {"point": project(point, slots["inputs"], eps, self.norm)}
