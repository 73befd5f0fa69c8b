"""Checks of what users hand in, before hours are spent on it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from agnet.errors import InvalidInput


def check_images(images: Tensor, labels: Tensor) -> None:
    """Refuse images and labels that no attack is defined on.

    Args:
        images: ``[images, channels, height, width]``, floating pixels in [0, 1] or uint8 levels.
        labels: ``[images]``, integers.

    Raises:
        InvalidInput: naming the offending value and the remedy.
    """
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


def check_model(model: Callable[[Tensor], Tensor]) -> None:
    """Refuse a module any part of which is in training mode, and a context in which no gradient exists.

    Raises:
        InvalidInput: naming the first such part.
    """
    if torch.is_inference_mode_enabled():
        raise InvalidInput("attacks need gradients, which torch.inference_mode() rules out; call them outside of it")
    if isinstance(model, nn.Module):
        for name, module in model.named_modules():
            if module.training:
                where = f"its part {name!r}" if name else "the model"
                raise InvalidInput(
                    f"{where} is in training mode: logits would depend on the batch; call model.eval() first"
                )


def check_logits(logits: object, labels: Tensor) -> None:
    """Refuse what cannot be judged.

    Raises:
        InvalidInput: if these are not finite logits of at least two classes, one row per label, or a label is no class.
    """
    if not isinstance(logits, Tensor):
        raise InvalidInput(f"the model returned {type(logits).__name__}; it must return a tensor of logits alone")
    if logits.ndim != 2 or len(logits) != len(labels) or logits.shape[1] < 2:
        raise InvalidInput(
            f"the model returned logits of shape {list(logits.shape)} for {len(labels)} images; "
            "give [images, classes] with at least 2 classes"
        )
    if not logits.is_floating_point():
        raise InvalidInput(f"the model returned logits of type {logits.dtype}; give floating ones")
    if not bool(logits.isfinite().all()):
        raise InvalidInput("the model returned NaN or infinite logits on the clean images; repair it first")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise InvalidInput(
            f"labels range over {low}..{high}, but the model has {logits.shape[1]} classes; "
            f"give labels within 0..{logits.shape[1] - 1}"
        )


def check_differentiable(logits: Tensor) -> None:
    """Refuse logits that depend on the image but not differentiably: gradient attacks would stand still.

    Args:
        logits: of different images that require gradients; a constant network's need not depend on them.

    Raises:
        InvalidInput: if they are cut off from the images.
    """
    if not logits.requires_grad and not bool((logits == logits[:1]).all()):
        raise InvalidInput(
            "the model's logits have no gradient (does it detach them, or run under torch.no_grad()?); "
            "attack it with Square, or make it differentiable"
        )


def check_finite(usable: Tensor) -> None:
    """Refuse what an attack has run into.

    Args:
        usable: whether each logit, gradient or slot is sound.

    Raises:
        InvalidInput: if one is not: a broken model must not pass for a robust one.
    """
    if not bool(usable.all()):
        raise InvalidInput("the model returned NaN or infinite logits, or NaN gradients, under attack; repair it first")
