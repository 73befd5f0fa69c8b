"""What the measures refuse, before a number could come out wrong. Every message names the value and the remedy."""

import torch
from torch import Tensor, nn


def check_batch(model: nn.Module, inputs: Tensor, labels: Tensor | None = None) -> None:
    """Refuse what cannot be measured.

    Raises:
        ValueError: if a module of the model is in training mode, if inputs are not a finite floating-point batch in the
            dtype and on the device of the model's parameters, or if labels are not one int64 class per input.
    """
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise ValueError(
            f"{len(training)} modules are in training mode (first: {training[0]}), where samples depend on each other "
            "or on chance; call model.eval() first"
        )
    if inputs.ndim < 2 or not inputs.numel():
        raise ValueError(
            f"inputs have shape {tuple(inputs.shape)}; give a batch of at least one sample, [batch, ...] "
            "(one image: image[None])"
        )
    parameter = next(model.parameters(), inputs)
    if not inputs.is_floating_point() or (inputs.dtype, inputs.device) != (parameter.dtype, parameter.device):
        raise ValueError(
            f"inputs are {inputs.dtype} on {inputs.device}, the model's parameters {parameter.dtype} on "
            f"{parameter.device}; use inputs.to({parameter.dtype}) and one device"
        )
    check_finite("inputs", inputs, "look at the pixels and their normalisation")
    if labels is None:
        return
    if labels.shape != inputs.shape[:1] or labels.dtype != torch.int64 or labels.device != inputs.device:
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)} on {labels.device} for {len(inputs)} inputs on "
            f"{inputs.device}; give one torch.int64 class per input, on the device of the inputs"
        )


def check_logits(logits: Tensor, inputs: Tensor, labels: Tensor | None = None) -> None:
    """Refuse outputs that are no logits of the inputs, or that have no class for a label.

    Raises:
        ValueError: as described.
    """
    if logits.ndim != 2 or len(logits) != len(inputs) or not logits.shape[1]:
        raise ValueError(
            f"the model answers {len(inputs)} inputs with shape {tuple(logits.shape)}; it must give logits [batch, "
            "classes] (wrap a model that returns more)"
        )
    check_finite("logits", logits, "the weights have probably diverged")
    if labels is not None and bool(((labels < 0) | (labels >= logits.shape[1])).any()):
        raise ValueError(
            f"labels reach from {int(labels.min())} to {int(labels.max())}, but the model has {logits.shape[1]} "
            f"classes; give labels within 0..{logits.shape[1] - 1}"
        )


def check_finite(name: str, values: Tensor, remedy: str) -> None:
    """Refuse NaN and infinite values.

    Raises:
        ValueError: with the number of samples that hold one and the first of them.
    """
    bad = (~values.isfinite()).flatten(1).any(dim=1).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"{name} of {len(bad)} of {len(values)} samples are not finite (first: row {bad[0]}); {remedy}"
        )


def check_positive(**settings: int | float) -> None:
    """Refuse settings that are not positive numbers.

    Raises:
        ValueError: with the setting's name.
    """
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name}={value}; give a value above 0")
