"""Weighted retraining of a generator with informative latent vectors.

Latent vectors near good cells learn to decode to good cells. Source of the rank weights: Tripp et al., 2020,
https://arxiv.org/abs/2006.09191. Here observed cells are fitted at latent vectors near their own, and the rest of a
batch repeats the graphs that the generator decoded before the search.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.generator.adam import Adam
from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import AbstractGenerator
from agnet.generator.sampling import decode, likeliest_graphs
from agnet.optimizers.latent_search.proposal import blur
from agnet.optimizers.rank_weights import rank_weights
from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs, concatenate


@dataclass(frozen=True)
class GeneratorRetraining:
    """Settings of the retraining before each proposal.

    Attributes:
        steps: Adam steps per round, from the weights of the previous round; 0 does not retrain the generator.
        batch_size: graphs per step.
        learning_rate: learning rate of Adam.
        share: share of the batch that is drawn from observed cells, by rank weights. The rest repeats the graphs that
            latent vectors decoded to after pretraining, so that the generator does not forget the space.
        k: parameter of the rank weights.
        min_noise: smallest share of noise in the latent vector of an observed cell, in [0, 1].
        max_noise: largest share of noise.

    Raises:
        ConfigurationError: if a number is out of range.
    """

    steps: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-3
    share: float = 0.5
    k: float = 1e-2
    min_noise: float = 0.2
    max_noise: float = 0.9

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1 or not self.learning_rate > 0 or not self.k > 0:
            raise ConfigurationError(
                f"retraining needs steps >= 0, batch_size >= 1, learning_rate > 0, k > 0, got {self}"
            )
        if not 0 < self.share <= 1 or not 0 <= self.min_noise <= self.max_noise <= 1:
            raise ConfigurationError(
                f"retraining needs share in (0, 1] and 0 <= min_noise <= max_noise <= 1, got {self}"
            )

    def optimiser(self, model: AbstractGenerator) -> Adam:
        """Adam for a whole search, over which its moments persist."""
        return Adam(model.parameters(), self.learning_rate, (0.5, 0.999))

    @with_gradients
    def __call__(
        self,
        model: AbstractGenerator,
        adam: Adam,
        pretrained: AbstractGenerator,
        graphs: Graphs,
        latents: Float[Tensor, "known latent"],
        ranks: Int[Tensor, " known"],
        *,
        space: AbstractSpace,
        rng: torch.Generator,
    ) -> dict[str, float]:
        """Retrain a generator in place; returns the losses of the last step, in nats per slot.

        Args:
            model: the generator to retrain.
            adam: optimiser from :meth:`optimiser`.
            pretrained: the generator before the search.
            graphs: graphs of the observed cells.
            latents: latent vectors of the observed cells.
            ranks: ranks of the observed cells by :func:`agnet.multiobjective.pareto.pareto_rank`.
            space: space that repairs decoded graphs.
            rng: source of the draws.
        """
        weights = rank_weights(ranks, k=self.k)
        from_known = max(1, round(self.share * self.batch_size))
        repeated = self.batch_size - from_known
        prior = model.prior(self.steps * repeated, rng=rng).split(max(repeated, 1))
        losses: dict[str, float] = {}
        for step in range(self.steps):
            rows = torch.multinomial(weights, from_known, replacement=True, generator=rng)
            z, target_graphs = blur(latents[rows], self.min_noise, self.max_noise, rng=rng), graphs[rows]
            if repeated:
                before = likeliest_graphs(decode(pretrained, prior[step]), space)
                z, target_graphs = torch.cat([z, prior[step]]), concatenate([target_graphs, before])
            loss = reconstruction_loss(model(z), target_graphs)
            adam.zero_grad()
            loss.mean().backward()
            adam.step()
            losses = {"known_loss": float(loss.detach()[:from_known].mean())}
            if repeated:
                losses["repeated_loss"] = float(loss.detach()[from_known:].mean())
        return losses
