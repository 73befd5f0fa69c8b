"""Training networks side by side, on one sequence of mini-batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from evaluation.data.augment import augment
from evaluation.data.images import Images, in_unit_interval
from evaluation.networks.fused import FusedNetwork
from evaluation.networks.nasbench201 import CellNetwork, NetworkShape
from evaluation.networks.stacked import NetworkStack

STACKED_VALUES = 1_024
"""Up to so many values per image in the first stage, stacks are the faster way on a CPU: overhead outweighs traffic.

Measured by ``python -m benchmarks.training``: with 4 channels of 8x8 pixels, 16 cells train 2.0 times as fast in a
stack as one after the other, with 4 of 16x16 1.3 times, with 8 of 16x16 0.8 times, with 16 of 32x32 0.3 times.
"""


@dataclass(frozen=True)
class Recipe:
    """NAS-Bench-201's recipe (SGD, Nesterov, cosine), shortened; ``conf/recipe/nasbench201.yaml`` is the whole of it.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; an incomplete last batch is dropped.
        learning_rate: initial rate, annealed to zero by a cosine; there is no warm-up.
        momentum: factor of Nesterov's momentum.
        weight_decay: weight decay of all parameters.
        flip: mirror half of the images, chosen anew in every epoch.
        crop_padding: crop every image at a random place of a black frame of so many pixels, chosen anew in every epoch
            (the benchmark: 4 for CIFAR, 2 for ImageNet16); 0 for none.
        anneal: follow the cosine with every ``step``, or with every ``epoch`` as the benchmark does.
        precision: number format of convolutions and products; ``bfloat16`` by autocast, with weights and statistics in
            float32.

    Raises:
        ConfigurationError: if a setting is none of its values or negative.
    """

    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    flip: bool = False
    crop_padding: int = 0
    anneal: str = "step"
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.momentum >= 1:
            raise ConfigurationError(f"recipe.momentum={self.momentum}: give a number from 0 and below 1")
        if self.anneal not in ("step", "epoch"):
            raise ConfigurationError(f"recipe.anneal={self.anneal}: give step or epoch")
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigurationError(f"recipe.precision={self.precision}: give float32 or bfloat16")
        for name in ("learning_rate", "momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(f"recipe.{name}={getattr(self, name)}: give a finite number from 0")
        if min(self.epochs, self.crop_padding) < 0:
            raise ConfigurationError(
                f"recipe.epochs={self.epochs}, recipe.crop_padding={self.crop_padding}: neither may be negative"
            )

    def rate(self, epoch: int, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, counted from 0 in its epoch."""
        done = epoch * steps_per_epoch + (step if self.anneal == "step" else 0)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done / (self.epochs * steps_per_epoch)))


def fit(
    architectures: Sequence[str],
    shape: NetworkShape,
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> list[CellNetwork]:
    """Train architectures from scratch, the fastest way for their size, and hand over plain networks.

    That is one stack for small features and on a GPU (where it saves launches), and separate networks otherwise.

    Args:
        architectures: the cells' strings.
        shape: widths, depth and classes of every network.
        images: the training split, on any device.
        recipe: schedule and optimiser settings.
        seed: seed of the initial weights, the image order and the augmentation.
        device: device to train on.

    Returns:
        Networks in evaluation mode, on the device.

    Raises:
        ConfigurationError: if :func:`train` refuses the recipe.
    """
    images, device = images.to(device), torch.device(device)
    if device.type != "cpu" or shape.channels * images.size**2 <= STACKED_VALUES:
        stack = NetworkStack(architectures, shape, seed=seed).to(device)
        train(stack, images, recipe, seed=seed)
        return [stack.network(member).eval() for member in range(len(stack))]
    networks = [FusedNetwork(architecture, shape, seed=seed).to(device) for architecture in architectures]
    train(networks, images, recipe, seed=seed)
    return [fused.network.eval() for fused in networks]


def train(networks: NetworkStack | Sequence[FusedNetwork], images: Images, recipe: Recipe, *, seed: int) -> None:
    """Train networks on the same sequence of mini-batches, in place.

    Each gets the gradients it would get alone: losses are summed over the networks of a stack, and separate networks
    take turns within every step. The same seed gives the same weights on the same kind of device.

    Args:
        networks: a stack or separate networks, on the images' device.
        images: the training split.
        recipe: schedule and optimiser settings.
        seed: seed of the image order and the augmentation.

    Raises:
        ConfigurationError: if the batch size is not positive, or so large that there would be no step.
    """
    if not 1 <= recipe.batch_size <= len(images):
        raise ConfigurationError(f"recipe.batch_size={recipe.batch_size}: give 1..{len(images)}, the training images")
    members = [networks] if isinstance(networks, NetworkStack) else list(networks)
    rng = torch.Generator().manual_seed(seed)
    steps_per_epoch = len(images) // recipe.batch_size
    optimizer = torch.optim.SGD(
        [parameter for member in members for parameter in member.parameters()],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
        foreach=True,
    )
    device = images.labels.device
    for member in members:
        member.train()
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=rng).to(device)
        for step in range(steps_per_epoch):
            rows = order[step * recipe.batch_size :][: recipe.batch_size]
            stored = augment(
                images.stored[rows], rows, flip=recipe.flip, padding=recipe.crop_padding, seed=seed, epoch=epoch
            )
            pixels, labels = in_unit_interval(stored), images.labels[rows]
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(epoch, step, steps_per_epoch)
            optimizer.zero_grad()
            with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
                for member in members:
                    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                        loss = _loss(member, pixels, labels)
                    loss.backward()
            optimizer.step()


def _loss(
    member: NetworkStack | FusedNetwork,
    pixels: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Mean cross-entropy over the batch, summed over networks."""
    if isinstance(member, NetworkStack):
        logits = member(pixels.unsqueeze(1).expand(-1, len(member), -1, -1, -1)).flatten(0, 1)
        labels = labels.unsqueeze(1).expand(-1, len(member)).flatten()
    else:
        logits = member(pixels)
    return F.cross_entropy(logits, labels, reduction="sum") / len(pixels)
