"""Steps that the pure functions and the scheduler share: begin a run, and evaluate the model at the slots."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from evaluation.attacks.base import Model, Pixels, Slots, SteppedAttack
from evaluation.randomness import keys


def fresh_slots(
    attack: SteppedAttack,
    inputs: Pixels,
    labels: Int[Tensor, " slots"],
    eps: Float[Tensor, " slots"],
    *,
    indices: Int[Tensor, " slots"],
    codes: Int[Tensor, " slots"],
    attempt: Int[Tensor, " slots"],
    seed: int,
    clean: Slots,
) -> Slots:
    """Slots at the beginning of a run.

    Args:
        attack: the attack to run.
        inputs: clean images of the slots.
        labels: true class of every image.
        eps: radii in pixels.
        indices: the images' indices, to which random draws belong, on the CPU.
        codes: the radii's codes for random draws (:func:`~evaluation.attacks.base.radius_code`), on the CPU.
        attempt: the runs, counted from 0, on the CPU.
        seed: seed of all draws.
        clean: ``clean_logits`` and ``clean_sign`` for :meth:`SteppedAttack.start`; they do not stay in the slots.
    """
    slots = {
        "inputs": inputs,
        "labels": labels,
        "eps": eps,
        "keys": keys(seed, attack.name, indices, codes, attempt).to(inputs.device),
        "shared_keys": keys(seed, attack.name, codes, attempt).to(inputs.device),
        "attempt": attempt.to(inputs.device),
        "step": torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device),
    }
    return slots | attack.start(slots | clean)


def ask(
    attack: SteppedAttack, model: Model, slots: Slots
) -> tuple[Float[Tensor, "slots classes"], Float[Tensor, " slots"], Pixels | None]:
    """Evaluate a model at every slot's point, without waiting for the device.

    Returns:
        Logits, losses, and the gradient of the loss if the attack reads it.
    """
    point = slots["point"].detach()
    with torch.set_grad_enabled(attack.needs_gradient):
        point.requires_grad_(attack.needs_gradient)
        logits = model(point)
        loss = attack.loss(logits, slots)
        gradient = gradient_of(loss.sum(), point) if attack.needs_gradient else None
    return logits.detach(), loss.detach(), gradient


def gradient_of(
    loss: Float[Tensor, ""], point: Float[Tensor, "*batch channels height width"]
) -> Float[Tensor, "*batch channels height width"]:
    """Gradient of a loss; zero if the loss does not depend on the point, as in a constant network."""
    return torch.autograd.grad(loss, point)[0] if loss.requires_grad else torch.zeros_like(point)
