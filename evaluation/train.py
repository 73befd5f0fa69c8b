"""Training a stack of networks."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.data import Images
from evaluation.stack import NetworkStack


@dataclass(frozen=True)
class Recipe:
    """NAS-Bench-201's recipe (SGD, Nesterov, cosine), shortened.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; an incomplete last batch is dropped.
        learning_rate: initial rate, annealed to zero by a cosine over all steps.
        momentum: Nesterov momentum.
        weight_decay: on all parameters.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4


def train(stack: NetworkStack, images: Images, recipe: Recipe, *, seed: int) -> None:
    """Train every network of the stack on the same sequence of mini-batches, in place.

    The losses are summed over networks, so each gets the gradient it would get alone.

    Args:
        stack: networks in training mode.
        images: the training split.
        recipe: schedule and optimiser settings.
        seed: seed of the image order.

    Raises:
        ConfigurationError: if the batch size is not positive, or so large that there would be no step.
    """
    if not 1 <= recipe.batch_size <= len(images):
        raise ConfigurationError(f"recipe.batch_size={recipe.batch_size}: give 1..{len(images)}, the training images")
    generator = torch.Generator().manual_seed(seed)
    steps_per_epoch = len(images) // recipe.batch_size
    total = recipe.epochs * steps_per_epoch
    optimizer = torch.optim.SGD(
        stack.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
        foreach=True,
    )
    stack.train()
    order = torch.empty(0, dtype=torch.int64)
    for step in range(total):
        if step % steps_per_epoch == 0:
            order = torch.randperm(len(images), generator=generator)
        rows = order[(step % steps_per_epoch) * recipe.batch_size :][: recipe.batch_size]
        pixels = images.pixels[rows].unsqueeze(1).expand(-1, len(stack), -1, -1, -1)
        logits = stack(pixels)
        labels = images.labels[rows].unsqueeze(1).expand(-1, len(stack))
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / len(rows)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
