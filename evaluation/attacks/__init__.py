"""Attacks: settings and radii as objects, and each attack as a pure function.

The functions take ``(model, inputs, labels, *, eps, ...)`` and return adversarial inputs. ``model`` maps images
``[batch, channels, height, width]`` with pixels in [0, 1] to logits ``[batch, classes]``; ``eps`` is a number or one
value per sample, in pixels (``8 / 255``). To attack many images at many radii, give the objects to
:func:`evaluation.evaluate`, which keeps every slot of the batch busy.
"""

from evaluation.attacks.auto_attack import AutoAttack, Ensemble
from evaluation.attacks.auto_projected_gradient_descent import APGD
from evaluation.attacks.base import AbstractAttack, BatchAttack, SteppedAttack
from evaluation.attacks.fast_adaptive_boundary import FABT, fab_t
from evaluation.attacks.fast_gradient_sign import FGSM
from evaluation.attacks.functions import apgd, fgsm, pgd, square
from evaluation.attacks.projected_gradient_descent import PGD
from evaluation.attacks.square import Square

__all__ = [
    "APGD",
    "FABT",
    "FGSM",
    "PGD",
    "AbstractAttack",
    "AutoAttack",
    "BatchAttack",
    "Ensemble",
    "Square",
    "SteppedAttack",
    "apgd",
    "fab_t",
    "fgsm",
    "pgd",
    "square",
]
