"""Pretraining on a space, without an encoder.

Target graphs are drawn uniformly from the space, a pairing gives each a latent vector, and the scores decoded from the
latter are fitted to the former (Lukasik et al., 2022, section 3.1). With the paper's pairing, fresh noise, nothing ties
a latent vector to a graph; see :mod:`agnet.generator.pairing` for those that do.

Differences from the paper: larger batches, a higher learning rate with cosine decay, and far fewer instances reach the
same loss.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.optim import Adam

from agnet.errors import ConfigurationError
from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import AbstractGenerator
from agnet.generator.pairing import AbstractPairing
from agnet.generator.sampling import decode, likeliest_graphs
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import concatenate


@dataclass(frozen=True)
class Schedule:
    """Length and step sizes of the pretraining.

    Attributes:
        steps: optimiser steps.
        batch_size: target graphs per step.
        learning_rate: of Adam, annealed to zero by a cosine.
        betas: of Adam; the paper has (0.5, 0.999).
        own: share of a batch that is fitted to what draws from the prior decode to already, repaired by the space:
            fills the prior with cells where a space has graphs that are none.
    """

    steps: int = 1500
    batch_size: int = 256
    learning_rate: float = 4e-3
    betas: Sequence[float] = (0.5, 0.999)
    own: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ConfigurationError(f"pretraining needs positive steps, batch_size and learning_rate, got {self}")
        if not 0 <= self.own < 1:
            raise ConfigurationError(f"schedule.own={self.own}; give a share from 0 to below 1")


def pretrain(
    model: AbstractGenerator,
    space: AbstractSpace,
    schedule: Schedule,
    pairing: AbstractPairing,
    *,
    rng: torch.Generator,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Fit a generator to the uniform distribution over a space, in place.

    Args:
        model: an initialised generator.
        space: where targets are sampled.
        schedule: length and step sizes.
        pairing: gives targets their latent vectors.
        rng: source of targets and latent vectors.
        on_step: called with the step and its loss.

    Returns:
        The loss of every step, in nats per slot.
    """
    optimizer = Adam(
        model.parameters(), lr=schedule.learning_rate, betas=(schedule.betas[0], schedule.betas[1]), fused=True
    )
    pairing.prepare(space, model.latent_size, rng=rng)
    losses = []
    own = round(schedule.own * schedule.batch_size)
    for step in range(schedule.steps):
        graphs = space.encode(space.sample(schedule.batch_size - own, rng=rng))
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        z = pairing(model, graphs, rng=rng)
        if own:
            drawn = model.prior(own, rng=rng)
            z, graphs = torch.cat([z, drawn]), concatenate([graphs, likeliest_graphs(decode(model, drawn), space)])
        loss = reconstruction_loss(model(z), graphs).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        on_step(step, losses[-1])
    return losses
