"""Pretraining on a space, without an encoder.

Target graphs are drawn uniformly from the space. A pairing gives each graph a latent vector, and the scores decoded
from the vector are fitted to the graph (Lukasik et al., 2022, section 3.1). The paper's pairing, fresh noise, does not
tie latent vectors to graphs; the other pairings of :mod:`agnet.generator.pairing` do.

Differences from the paper: batches are larger, and the learning rate is higher and decays along a cosine. Far fewer
instances reach the same loss.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from agnet.errors import ConfigurationError
from agnet.generator.adam import Adam
from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import AbstractGenerator
from agnet.generator.pairing import AbstractPairing
from agnet.generator.sampling import decode, likeliest_graphs
from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import concatenate


@dataclass(frozen=True)
class Schedule:
    """Length and step sizes of the pretraining.

    Attributes:
        steps: number of optimiser steps.
        batch_size: target graphs per step.
        learning_rate: learning rate of Adam, annealed to zero along a cosine.
        betas: decay rates of Adam's moments; the paper has (0.5, 0.999).
        own: share of a batch whose targets are the generator's own graphs for draws from the prior, after repair by
            the space. In spaces where some graphs are not cells, this fills the prior with cells.
    """

    steps: int = 1500
    batch_size: int = 256
    learning_rate: float = 4e-3
    betas: Sequence[float] = (0.5, 0.999)
    own: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ConfigurationError(f"pretraining needs positive steps, batch_size and learning_rate, got {self}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigurationError(f"schedule.betas={list(self.betas)}; give two numbers from 0 to below 1")
        if not 0 <= self.own < 1:
            raise ConfigurationError(f"schedule.own={self.own}; give a share from 0 to below 1")


@with_gradients
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
        space: the space of the targets.
        schedule: length and step sizes.
        pairing: gives targets their latent vectors.
        rng: source of targets and latent vectors.
        on_step: called with the step and its loss.

    Returns:
        The loss of every step, in nats per slot.
    """
    adam = Adam(model.parameters(), schedule.learning_rate, schedule.betas)
    pairing.prepare(space, model.latent_size, rng=rng)
    losses = []
    own = round(schedule.own * schedule.batch_size)
    for step in range(schedule.steps):
        graphs = space.encode(space.sample(schedule.batch_size - own, rng=rng))
        adam.learning_rate = schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        z = pairing(model, graphs, rng=rng)
        if own:
            drawn = model.prior(own, rng=rng)
            z, graphs = torch.cat([z, drawn]), concatenate([graphs, likeliest_graphs(decode(model, drawn), space)])
        loss = reconstruction_loss(model(z), graphs).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
        on_step(step, losses[-1])
    return losses
