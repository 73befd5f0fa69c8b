"""Losses that attacks increase: one value per image, from its logits."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

Logits = Float[Tensor, "batch classes"]
Labels = Int[Tensor, " batch"]


def cross_entropy(logits: Logits, labels: Labels) -> Float[Tensor, " batch"]:
    """Cross-entropy of every image."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Logits, labels: Labels) -> Float[Tensor, " batch"]:
    """True class's logit minus the highest other: negative where misclassified. Attacks that use it decrease it."""
    true = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return true.squeeze(1) - others.amax(dim=1)


def dlr(logits: Logits, labels: Labels) -> Float[Tensor, " batch"]:
    """Difference of logits ratio: minus the margin, over the distance of the first and the third logit.

    Source: Croce & Hein, 2020, https://arxiv.org/abs/2003.01690, equation 6. It needs 3 classes.
    """
    top = logits.topk(3, dim=1).values
    true = logits.gather(1, labels[:, None]).squeeze(1)
    highest_other = torch.where(logits.argmax(dim=1) == labels, top[:, 1], top[:, 0])
    return -(true - highest_other) / (top[:, 0] - top[:, 2] + 1e-12)


def targeted_dlr(logits: Logits, labels: Labels, targets: Labels) -> Float[Tensor, " batch"]:
    """Difference of logits ratio towards a target class.

    Source: Croce & Hein, 2020, equation 7. It needs 4 classes.
    """
    top = logits.topk(4, dim=1).values
    true = logits.gather(1, labels[:, None]).squeeze(1)
    target = logits.gather(1, targets[:, None]).squeeze(1)
    return -(true - target) / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + 1e-12)
