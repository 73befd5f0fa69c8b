"""Checks of what users hand in, before hours are spent on it. Every message names the value and the remedy."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from agnet.errors import ConfigurationError, InvalidInput


def check_images(images: Tensor, labels: Tensor) -> None:
    """Refuse images and labels that no attack is defined on.

    Args:
        images: ``[images, channels, height, width]``, floating pixels in [0, 1] or uint8 levels.
        labels: class indices ``[images]``, integers.

    Raises:
        InvalidInput: naming the offending value and the remedy.
    """
    for name, given in (("images", images), ("labels", labels)):
        if not isinstance(given, Tensor):
            raise InvalidInput(f"{name} are a {type(given).__name__}; give a tensor: torch.as_tensor({name})")
    if images.device != labels.device:
        raise InvalidInput(f"images are on {images.device} and labels on {labels.device}; give both on one device")
    if images.ndim != 4 or not len(images) or not images.numel():
        raise InvalidInput(f"images of shape {list(images.shape)}; give [images, channels, height, width], none 0")
    if labels.shape != images.shape[:1]:
        raise InvalidInput(f"labels of shape {list(labels.shape)} for {len(images)} images; give one label per image")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InvalidInput(f"labels of type {labels.dtype}; give class indices as integers")
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise InvalidInput(f"images of type {images.dtype}; give floating pixels in [0, 1] or uint8 levels")
    if images.itemsize < 4:
        raise InvalidInput(f"images of type {images.dtype}, which rounds small radii away; give them as float32")
    if not bool(images.isfinite().all()):
        raise InvalidInput("images hold NaN or infinite pixels; remove those images")
    low, high = images.detach().aminmax()
    low, high = float(low), float(high)
    if low < 0 or high > 1:
        raise InvalidInput(
            f"pixels range over [{low:g}, {high:g}], outside [0, 1]; eps is measured in pixels, so give them "
            "un-normalised (divide 8-bit levels by 255) and normalise inside the model"
        )


def check_batch(model: nn.Module, inputs: Tensor, labels: Tensor | None = None) -> None:
    """Refuse a batch that a sensitivity cannot be measured on.

    Raises:
        InvalidInput: if a module of the model is in training mode, if inputs are not a finite floating-point batch in
            the dtype and on the device of the model's parameters, or if labels are not one int64 class per input.
    """
    check_evaluation_mode(model)
    if inputs.ndim < 2 or not inputs.numel():
        raise InvalidInput(
            f"inputs have shape {tuple(inputs.shape)}; give a batch of at least one sample, [batch, ...] "
            "(one image: image[None])"
        )
    parameter = next(model.parameters(), inputs)
    if not inputs.is_floating_point() or (inputs.dtype, inputs.device) != (parameter.dtype, parameter.device):
        raise InvalidInput(
            f"inputs are {inputs.dtype} on {inputs.device}, the model's parameters {parameter.dtype} on "
            f"{parameter.device}; use inputs.to({parameter.dtype}) and one device"
        )
    check_finite("inputs", inputs, "look at the pixels and their normalisation")
    if labels is None:
        return
    if labels.shape != inputs.shape[:1] or labels.dtype != torch.int64 or labels.device != inputs.device:
        raise InvalidInput(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)} on {labels.device} for {len(inputs)} inputs on "
            f"{inputs.device}; give one torch.int64 class per input, on the device of the inputs"
        )


def check_evaluation_mode(model: nn.Module) -> None:
    """Refuse a module any part of which is in training mode.

    Raises:
        InvalidInput: with the number of such parts and the first of them.
    """
    # a frozen TorchScript module has no flag
    named = model.named_modules()
    training = [name or type(model).__name__ for name, module in named if getattr(module, "training", False)]
    if training:
        raise InvalidInput(
            f"{len(training)} modules are in training mode (first: {training[0]}), where logits depend on the batch "
            "or on chance; call model.eval() first"
        )


def check_model(model: Callable[[Tensor], Tensor]) -> None:
    """Refuse a module that is not in evaluation mode, and a context in which no gradient exists.

    Raises:
        InvalidInput: naming the remedy.
    """
    if not callable(model):
        raise InvalidInput(f"the model is a {type(model).__name__}; give a torch module, or a function of images")
    if torch.is_inference_mode_enabled():
        raise InvalidInput("attacks need gradients, which torch.inference_mode() rules out; call them outside of it")
    if isinstance(model, nn.Module):
        check_evaluation_mode(model)


def check_logits(logits: object, inputs: Tensor, labels: Tensor | None = None, *, min_classes: int = 1) -> None:
    """Refuse outputs that are no finite logits of the inputs, or that have no class for a label.

    Args:
        logits: the model's output.
        inputs: the model's input, one sample a row.
        labels: classes that the logits must have.
        min_classes: the least number of classes; an attack needs two.

    Raises:
        InvalidInput: naming the shape, type, samples or labels.
    """
    if not isinstance(logits, Tensor):
        raise InvalidInput(f"the model returned {type(logits).__name__}; it must return a tensor of logits alone")
    if logits.ndim != 2 or len(logits) != len(inputs) or logits.shape[1] < min_classes:
        raise InvalidInput(
            f"the model returned logits of shape {list(logits.shape)} for {len(inputs)} images; give [images, classes] "
            f"with at least {min_classes} classes (wrap a model that returns more)"
        )
    if logits.device != inputs.device:
        raise InvalidInput(
            f"the model returned logits on {logits.device} for images on {inputs.device}; use one device"
        )
    if not logits.is_floating_point():
        raise InvalidInput(f"the model returned logits of type {logits.dtype}; give floating ones")
    check_finite("logits", logits, "the weights have probably diverged; repair the model first")
    if labels is not None and bool(((labels < 0) | (labels >= logits.shape[1])).any()):
        raise InvalidInput(
            f"labels range over {int(labels.min())}..{int(labels.max())}, but the model has {logits.shape[1]} classes; "
            f"give labels within 0..{logits.shape[1] - 1}"
        )


def check_seed(seed: int) -> None:
    """Refuse a seed that is no whole number from 0.

    Raises:
        ConfigurationError: with the seed.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigurationError(f"seed={seed!r}; give a whole number from 0")


def check_differentiable(logits: Tensor) -> None:
    """Refuse logits that depend on the image but not differentiably: gradient attacks would stand still.

    Args:
        logits: logits of different images that require gradients; those of a constant network need not depend on the
            images.

    Raises:
        InvalidInput: if they are cut off from the images.
    """
    if not logits.requires_grad and not bool((logits == logits[:1]).all()):
        raise InvalidInput(
            "the model's logits have no gradient (does it detach them, or run under torch.no_grad()?); "
            "attack it with Square, or make it differentiable"
        )


def check_finite(name: str, values: Tensor, remedy: str) -> None:
    """Refuse NaN and infinite values.

    Raises:
        InvalidInput: with the number of samples that hold one and the first of them.
    """
    finite = values.isfinite()
    if not bool(finite.all()):
        bad = (~finite).flatten(1).any(dim=1).nonzero().flatten().tolist()
        raise InvalidInput(
            f"{name} of {len(bad)} of {len(values)} samples are not finite (first: row {bad[0]}); {remedy}"
        )


def check_sound(usable: Tensor) -> None:
    """Refuse a model that has broken under attack: it must not pass for a robust one.

    Args:
        usable: whether each logit, gradient or slot is sound.

    Raises:
        InvalidInput: if one is not.
    """
    if not bool(usable.all()):
        raise InvalidInput("the model returned NaN or infinite logits, or NaN gradients, under attack; repair it first")


def check_positive(**settings: int | float) -> None:
    """Refuse settings that are not positive numbers.

    Raises:
        ConfigurationError: with the setting's name.
    """
    for name, value in settings.items():
        if not value > 0:
            raise ConfigurationError(f"{name}={value}; give a value above 0")
