"""L-inf attacks as pure functions ``(model, inputs, labels, *, eps, ...) -> adversarial inputs``.

``model`` maps images ``[*batch, channels, height, width]`` with pixels in [0, 1] to logits ``[*batch, classes]``; the
batch may have any number of dimensions, so that a stack of networks is attacked as one model. ``eps`` is a number or a
tensor of one value per sample, in pixel units (``8 / 255``). The classes run an attack at all radii of a table.
"""

from evaluation.attacks.base import AbstractAttack
from evaluation.attacks.fast_gradient_sign import FGSM, fgsm, gradient_sign
from evaluation.attacks.projected_gradient_descent import PGD, pgd

__all__ = ["FGSM", "PGD", "AbstractAttack", "fgsm", "gradient_sign", "pgd"]
