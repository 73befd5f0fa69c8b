"""Signs that attacks fail although a model is not robust: gradients that are zero, logits drawn at random.

Source: Carlini et al., 2019, https://arxiv.org/abs/1902.06705, section 3; AutoAttack warns of the same.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from evaluation.attacks.base import Model, Pixels

_MANY = 0.01
_SAME = 1e-3  # of the largest logit of an image: rounding differs by much less between batches
Checks = dict[str, float | int | bool]


class UnsoundAttackWarning(UserWarning):
    """The accuracy under attack is no sign of robustness, because attacks cannot work on this model."""


def is_zero(gradient: Pixels) -> Bool[Tensor, " slots"]:
    """Whether all of an image's gradient is zero."""
    return ~gradient.flatten(1).any(dim=1)


def repeats(model: Model, inputs: Pixels, logits: Float[Tensor, "slots classes"]) -> Checks:
    """Ask the model for logits again: ``randomised`` says whether they are others.

    Args:
        model: the model.
        inputs: some images.
        logits: the model's first answer to these.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        again = model(inputs)
    scale = logits.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
    return {"randomised": bool(((again.to(logits) - logits).abs() > _SAME * scale).any())}


def doubts(checks: Mapping[str, float | int | bool]) -> list[str]:
    """What to tell the user, one line for each doubt.

    Args:
        checks: ``zero_gradients``, a share of images, and ``randomised``.
    """
    found = []
    share = checks.get("zero_gradients", 0.0)
    if share > _MANY:
        count = checks["zero_gradients_of"]
        found.append(
            f"the gradient is zero on {share:.0%} of {count} images, where attacks that follow it do nothing: accuracy "
            "under them is no sign of robustness; look for rounding or huge logits in the model, and rely on square"
        )
    if checks.get("randomised"):
        found.append(
            "the model gives other logits when asked again: accuracy under attack depends on its draws and is no sign "
            "of robustness; switch off dropout and noise in it"
        )
    return found
