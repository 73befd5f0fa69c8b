"""AG-Net's search as published: retrain a pretrained generator, weighted by rank, together with a surrogate.

Source: Lukasik, Jung & Keuper, 2022, https://arxiv.org/abs/2203.08734, Algorithm 1; weights from Tripp et al., 2020.
This is the faithful algorithm without the defects of its 2022 code; ``docs/deviations.md`` lists the differences.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from agnet.errors import ConfigurationError
from agnet.generator.adam import Adam
from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import Decoded
from agnet.generator.sampling import generate
from agnet.multiobjective.outcomes import Outcomes
from agnet.multiobjective.pareto import pareto_rank
from agnet.optimizers.generative import AbstractGenerativeOptimizer, GeneratorLoader
from agnet.optimizers.rank_weights import rank_weights
from agnet.optimizers.weighted_retraining.selection import AbstractSelection
from agnet.optimizers.weighted_retraining.surrogate import AbstractSurrogate, DifferentiableSurrogate, FittedSurrogate
from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs


@dataclass(frozen=True)
class PublishedRetraining:
    """Settings of the retraining of generator and surrogate before each proposal.

    ``docs/deviations.md`` says where the defaults differ from the paper's, and why.

    Attributes:
        epochs: passes over the queried data; the paper has 30 on NAS-Bench-201.
        batch_size: graphs per step; the paper has 16.
        learning_rate: learning rate of Adam; the paper has 1e-3.
        betas: decay rates of Adam's moments.
        k: parameter of the rank weights.
        alpha: weight of the surrogate's loss in the generator's loss, beside ``1 - alpha`` for the reconstruction; the
            paper has 0.9.
        weight_losses: multiply the losses by the rank weights too, although the data are already drawn by them. The
            2022 code does so, which squares the weights' effect; the default applies weights once.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 3e-3
    betas: Sequence[float] = (0.5, 0.999)
    k: float = 1e-2
    alpha: float = 0.5
    weight_losses: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0 or not self.k > 0:
            raise ConfigurationError(f"retraining needs positive epochs, batch_size, learning_rate and k, got {self}")
        if not 0 <= self.alpha < 1:
            raise ConfigurationError(f"retraining.alpha must be in [0, 1), got {self.alpha}")


class Learner(NamedTuple):
    """The surrogate that is trained beside the generator, and the optimiser of both."""

    surrogate: AbstractSurrogate
    adam: Adam


class WeightedRetraining(AbstractGenerativeOptimizer):
    """Algorithm 1: sample 16, then repeat: retrain, generate a pool, let the surrogate pick, query.

    Args:
        space: the space searched.
        generator: gives a pretrained generator for the space, which the search retrains, and its manifest entry.
        surrogate: builds an untrained predictor from the numbers of features and of outputs (objectives, then limits).
        selection: picks candidates from the pool by predicted outcomes.
        retraining: settings of the retraining.
        seed: seed of everything drawn, the surrogate's initial weights included.
        initial: architectures sampled uniformly before the first retraining.
        pool_size: distinct new candidates generated per proposal.
        max_draws: largest number of graphs generated per proposal. A converged generator repeats itself, so a pool may
            stay below ``pool_size``. If the pool cannot fill a batch, the rest is sampled uniformly from the space.
    """

    def __init__(
        self,
        space: AbstractSpace,
        *,
        generator: GeneratorLoader,
        surrogate: Callable[[int, int], AbstractSurrogate],
        selection: AbstractSelection,
        retraining: PublishedRetraining,
        seed: int,
        initial: int = 16,
        pool_size: int = 100,
        max_draws: int = 4500,
    ) -> None:
        if pool_size < 1 or max_draws < 1:
            raise ConfigurationError(f"pool_size={pool_size} and max_draws={max_draws} must be at least 1")
        super().__init__(space, generator=generator, seed=seed, initial=initial)
        self.selection, self.retraining, self.pool_size, self.max_draws = selection, retraining, pool_size, max_draws
        self._build_surrogate = surrogate
        self._learner: Learner | None = None

    @with_gradients
    def _ready(self, num_outputs: int) -> Learner:
        """Surrogate and optimiser, built once the number of outputs is known."""
        if self._learner is None:
            features = self.space.max_nodes * self.space.num_types + self.space.num_slots
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                surrogate = self._build_surrogate(features, num_outputs)
            settings = self.retraining
            parameters = [*self.generator.parameters(), *surrogate.parameters()]
            self._learner = Learner(surrogate, Adam(parameters, settings.learning_rate, settings.betas))
        return self._learner

    def propose(self, n: int) -> list[str]:
        """Retrain, generate a pool, and let the surrogate select from it."""
        known = self.archive.outcomes.tamed()
        learner = self._ready(known.values.shape[1] + known.slacks.shape[1])
        losses = self._retrain(known, learner)
        pool, graphs = self._generate_pool()
        self._diagnostics = {"pool_size": float(len(pool)), **losses}
        if not pool:
            return []
        outputs = learner.surrogate.predict(graphs.relaxed(self.space.num_types).flat()).double()
        predicted = _outcomes(outputs, known)
        self._pool, self._predictions = pool, predicted.untamed(self.archive.outcomes).values
        picks = self.selection(predicted, min(n, len(pool)), known=known, rng=self.rng)
        return [pool[i] for i in picks.tolist()]

    def _retrain(self, known: Outcomes, learner: Learner) -> dict[str, float]:
        """Run weighted epochs over all queried architectures; returns the losses of the last one."""
        settings, (surrogate, adam) = self.retraining, learner
        graphs = self.space.encode(self.archive.architectures)
        weights = rank_weights(pareto_rank(known), k=settings.k)
        outputs, features = torch.cat([known.values, known.slacks], dim=1), graphs.relaxed(self.space.num_types).flat()
        together = isinstance(surrogate, DifferentiableSurrogate)
        if together:
            surrogate.calibrate(outputs)
        targets = surrogate.targets(outputs) if together else outputs
        losses: dict[str, float] = {}
        for _ in range(settings.epochs):
            drawn = torch.multinomial(weights, len(known), replacement=True, generator=self.rng)
            losses = {}
            for rows in drawn.split(settings.batch_size):
                emphasis = (
                    weights[rows].float() * len(known)
                    if settings.weight_losses
                    else torch.ones(len(rows), dtype=torch.float32, device="cpu")
                )
                decoded = self.generator(self.generator.prior(len(rows), rng=self.rng))
                parts = {"generator_loss": reconstruction_loss(decoded, graphs[rows])}
                if together:
                    parts = self._joint(surrogate, decoded, parts["generator_loss"], features[rows], targets[rows])
                means = {name: (part * emphasis).mean() for name, part in parts.items()}
                adam.zero_grad()
                torch.stack(list(means.values())).sum().backward()
                adam.step()
                for name, mean in means.items():
                    losses[name] = losses.get(name, 0.0) + mean.item() * len(rows) / len(known)
        if isinstance(surrogate, FittedSurrogate):
            surrogate.fit(features, outputs, seed=self.seed)
        return losses

    def _joint(
        self,
        surrogate: DifferentiableSurrogate,
        decoded: Decoded,
        reconstruction: Float[Tensor, " batch"],
        features: Float[Tensor, "batch features"],
        targets: Float[Tensor, "batch outputs"],
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Losses of a batch, one for the generator and one for the surrogate.

        The surrogate learns from the graphs whose values are known. The generator learns to explain these graphs and,
        through the surrogate, to decode graphs of their (high) value. The gradient of this second term does not reach
        the surrogate, which could otherwise reduce the loss by predicting a constant.
        """
        alpha = self.retraining.alpha
        generating = (1 - alpha) * reconstruction
        if alpha > 0:
            frozen = {name: p.detach() for name, p in surrogate.named_parameters()}
            guided = functional_call(surrogate, frozen, (decoded.relaxed().flat(),))
            generating = generating + alpha * F.mse_loss(guided, targets, reduction="none").mean(dim=1)
        predicting = F.mse_loss(surrogate(features), targets, reduction="none").mean(dim=1)
        return {"generator_loss": generating, "surrogate_loss": predicting}

    def _generate_pool(self) -> tuple[list[str], Graphs]:
        """Distinct valid architectures that have not been queried, and their graphs."""
        pool: dict[str, None] = {}
        drawn = 0
        while len(pool) < self.pool_size and drawn < self.max_draws:
            count = min(5 * self.pool_size, self.max_draws - drawn)
            z = self.generator.prior(count, rng=self.rng)
            graphs, decoded = generate(self.generator, z, rng=self.rng)
            for architecture in self.space.decode(self.space.repair(graphs, nodes=decoded.nodes, edges=decoded.edges)):
                if architecture is not None and architecture not in self.archive:
                    pool.setdefault(architecture)
            drawn += count
        candidates = list(pool)[: self.pool_size]
        return candidates, self.space.encode(candidates)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser moments, random state and data."""
        learner = self._learner
        return {
            **super().state_dict(),
            "surrogate": learner and learner.surrogate.state_dict(),
            "adam": learner and learner.adam.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        super().load_state_dict(state)
        if state["surrogate"] is not None:
            known = self.archive.outcomes
            learner = self._ready(known.values.shape[1] + known.slacks.shape[1])
            learner.surrogate.load_state_dict(state["surrogate"])
            learner.adam.load_state_dict(state["adam"])


def _outcomes(outputs: Float[Tensor, "n outputs"], known: Outcomes) -> Outcomes:
    """A surrogate's outputs as outcomes with the columns of the observed ones."""
    objectives = known.values.shape[1]
    return Outcomes(outputs[:, :objectives], outputs[:, objectives:])
