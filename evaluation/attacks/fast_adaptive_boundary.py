"""FAB-T, the minimum-norm attack of AutoAttack's ensemble, through its authors' published code (pyautoattack).

Source: Croce & Hein, 2020, https://arxiv.org/abs/1907.02044, targeted version.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from evaluation.attacks.base import PUBLISHED_EPS, BatchAttack, Model, Radii

NORMS = {"linf": "Linf", "l2": "L2"}


def fab_t(
    model: Model,
    inputs: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
    *,
    eps: float,
    seed: int,
    norm: str = "linf",
    targets: int = 9,
    steps: int = 100,
) -> Float[Tensor, "batch channels height width"]:
    """Targeted FAB; its random draws belong to the batch, not to the image.

    Args:
        model: logits of images.
        inputs: images in [0, 1].
        labels: true class of every image.
        eps: radius in pixels.
        seed: seed of its draws.
        norm: ``"linf"`` or ``"l2"``.
        targets: target classes tried.
        steps: iterations for each target.

    Returns:
        Adversarial images; where it fails, the clean ones.
    """
    from pyautoattack.fab_pt import FABAttack_PT

    attack = FABAttack_PT(
        model,
        norm=NORMS[norm],
        n_restarts=1,
        n_iter=steps,
        eps=eps,
        seed=seed,
        targeted=True,
        device=inputs.device,
        n_target_classes=targets,
    )
    state = torch.random.get_rng_state()  # it seeds the global generator
    try:
        return attack.perturb(inputs, labels)
    finally:
        torch.random.set_rng_state(state)


class FABT(BatchAttack):
    """FAB-T at several radii.

    Args:
        eps: radii in pixels, increasing.
        targets: target classes tried.
        steps: iterations for each target.
        norm: ``"linf"`` or ``"l2"``.
    """

    def __init__(self, eps: Radii = PUBLISHED_EPS, targets: int = 9, steps: int = 100, *, norm: str = "linf") -> None:
        super().__init__(fab_t, "fab_t", eps, norm, targets=targets, steps=steps)
