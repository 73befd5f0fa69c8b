"""A user's model as attacks ask it: its input is safe from it, and what it raises is told in one line."""

from typing import Any

import torch
from torch import Tensor, nn

from agnet.errors import AGNetError, InvalidInput, is_out_of_memory
from evaluation.attacks.base import Model
from evaluation.attacks.telling import told


class Classifier(nn.Module):
    """A model that may change the images it is given, or its own last answer, without harm.

    The first call tells whether it changes images: it gets a copy, which is compared afterwards. Only a model that does
    gets a copy in every call.

    Args:
        model: logits of images; what it returns is up to :func:`evaluation.checks.check_logits`.
    """

    def __init__(self, model: Model | nn.Module) -> None:
        super().__init__()
        self.asked = model
        self.changes_images: bool | None = None
        self.training = False

    @property
    def shown(self) -> Model:
        """The model for foreign attacks: itself where it is safe, which may be of a class that they look for."""
        return self if self.changes_images else self.asked

    def forward(self, images: Tensor) -> Any:
        """The model's answer.

        Raises:
            InvalidInput: if it raises, or changes images although it did not before.
        """
        handed = images if self.changes_images is False else images.clone()
        version = handed._version
        try:
            logits = self.asked(handed)
        except (Exception, SystemExit) as error:
            if isinstance(error, AGNetError) or is_out_of_memory(error):
                raise
            kind = f"{str(images.dtype).removeprefix('torch.')}{list(images.shape)} on {images.device}"
            last = images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3)
            hint = " (channels come first: images.transpose(0, 3, 1, 2))" if last else ""
            raise InvalidInput(f"the model raised {told(error)}; it must take a batch of {kind}{hint}") from error
        if self.changes_images is None:
            self.changes_images = handed._version != version or not torch.equal(handed.detach(), images.detach())
        elif not self.changes_images and handed._version != version:
            raise InvalidInput(
                "the model changes its input in place in some calls only; write x = x - mean instead of x -= mean in it"
            )
        # it may answer in one and the same tensor every time
        return logits.clone() if isinstance(logits, Tensor) and not logits.requires_grad else logits
