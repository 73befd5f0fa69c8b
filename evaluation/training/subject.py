"""Networks under training as an attack asks them: one stack, or one network by cheaper passes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from evaluation.networks.compiled import CompiledNetwork
from evaluation.networks.compiled_stack import LARGEST_MAP, CompiledStack
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.stacked import NetworkStack
from evaluation.training.adversarial import Ask, Labels, Pixels


def shown(
    subject: nn.Module, pixels: Float[Tensor, "batch channels height width"], labels: Int[Tensor, " batch"]
) -> tuple[Pixels, Labels]:
    """Images and labels as a subject takes them: a stack one copy for each of its networks."""
    if not isinstance(subject, NetworkStack):
        return pixels, labels
    members = len(subject)
    return pixels.unsqueeze(1).expand(-1, members, -1, -1, -1), labels.unsqueeze(1).expand(-1, members)


@contextmanager
def under_attack(subject: nn.Module, batch_norm: str = "eval", precision: str = "float32") -> Iterator[Ask]:
    """A subject for an attack: parameters are constants, which saves their gradients.

    With running statistics a single network is compiled, see :mod:`evaluation.networks.compiled`, and so is a stack in
    float32 where its images are small, see :mod:`evaluation.networks.compiled_stack`; that costs little beside a pass,
    and the passes are cheaper.

    Args:
        subject: the networks, in training mode afterwards as before.
        batch_norm: ``eval`` for the running statistics, ``train`` for those of the batch.
        precision: number format of convolutions and products.

    Yields:
        Logits of pixels in [0, 1].
    """
    training = subject.training
    parameters = [parameter for parameter in subject.parameters() if parameter.requires_grad]
    subject.train(batch_norm == "train").requires_grad_(False)

    compiled: list[CompiledStack] = []

    def ask(pixels: Tensor) -> Tensor:
        if _fits(subject, pixels, batch_norm, precision):
            if not compiled:
                compiled.append(CompiledStack(subject, pixels.shape[-1]))
            return compiled[0](pixels)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            return subject(pixels)

    try:
        if isinstance(subject, FusedNetwork) and batch_norm == "eval":
            exact = subject.network.classifier.weight.dtype
            yield CompiledNetwork(subject.network, torch.bfloat16 if precision == "bfloat16" else exact)
        else:
            yield ask
    finally:
        for parameter in parameters:
            parameter.requires_grad_()
        subject.train(training)


def _fits(subject: nn.Module, pixels: Tensor, batch_norm: str, precision: str) -> TypeGuard[NetworkStack]:
    """Whether a compiled stack does the same in less time."""
    return (
        isinstance(subject, NetworkStack)
        and (batch_norm, precision) == ("eval", "float32")
        and (subject.classifier_weight.dtype, pixels.device.type) == (torch.float32, "cpu")
        and pixels.shape[-1] <= LARGEST_MAP
    )
