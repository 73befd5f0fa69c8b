"""AG-Net's search: a pretrained generator, retrained on what was found, weighted by rank, together with a surrogate.

Source: Lukasik, Jung & Keuper, 2022, https://arxiv.org/abs/2203.08734, Algorithm 1; weights from Tripp et al., 2020.
This is the faithful algorithm without the defects of its 2022 code; ``docs/deviations.md`` lists what differs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch.optim import Adam

from agnet.archive import Archive, Outcomes
from agnet.errors import ConfigurationError
from agnet.generator import Decoded, GraphGenerator, generate, reconstruction_loss
from agnet.graphs import Graphs
from agnet.optimizer import AbstractOptimizer
from agnet.pareto import pareto_rank
from agnet.selection import AbstractSelection
from agnet.spaces.base import AbstractSpace
from agnet.surrogate import AbstractSurrogate, DifferentiableSurrogate, FittedSurrogate
from agnet.weighting import rank_weights


@dataclass(frozen=True)
class Retraining:
    """How generator and surrogate are retrained before each proposal.

    ``docs/deviations.md`` says where the defaults are not the paper's, and why.

    Attributes:
        epochs: passes over the queried data; the paper has 30 on NAS-Bench-201.
        batch_size: graphs per step; the paper has 16.
        learning_rate: of Adam; the paper has 1e-3.
        betas: of Adam.
        k: of the rank weights.
        alpha: share of the surrogate's loss in what the generator minimises, beside ``1 - alpha`` of the
            reconstruction; the paper has 0.9.
        weight_losses: multiply the losses by the rank weights too, although the data are already drawn by them. The
            2022 code does so, for an emphasis of weight squared; the default counts weights once.
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
    """What retraining trains beside the generator."""

    surrogate: AbstractSurrogate
    adam: Adam


class WeightedRetraining(AbstractOptimizer):
    """Algorithm 1: sample 16, then repeat: retrain, generate a pool, let the surrogate pick, query.

    Args:
        space: the space searched.
        generator: gives a pretrained generator for the space, to be retrained, and its manifest entry.
        surrogate: builds an untrained predictor from the number of features and of outputs: objectives, then limits.
        selection: picks from the pool by predicted outcomes.
        retraining: schedule of the retraining.
        seed: seed of everything drawn, the surrogate's initial weights included.
        initial: architectures sampled uniformly before the first retraining.
        pool_size: distinct new candidates generated per proposal.
        max_draws: graphs generated at most per proposal; a converged generator repeats itself, so that a pool may stay
            below ``pool_size``. What a pool lacks to fill a batch is sampled uniformly from the space.
    """

    def __init__(
        self,
        space: AbstractSpace,
        *,
        generator: Callable[[AbstractSpace], tuple[GraphGenerator, Mapping[str, Any]]],
        surrogate: Callable[[int, int], AbstractSurrogate],
        selection: AbstractSelection,
        retraining: Retraining,
        seed: int,
        initial: int = 16,
        pool_size: int = 100,
        max_draws: int = 4500,
    ) -> None:
        if initial < 2 or pool_size < 1 or max_draws < 1:
            raise ConfigurationError(
                f"initial={initial} (at least 2), pool_size={pool_size}, max_draws={max_draws} (at least 1)"
            )
        self.space, self.selection, self.retraining = space, selection, retraining
        self.initial, self.pool_size, self.max_draws, self.seed = initial, pool_size, max_draws, seed
        self.model, self._manifest = generator(space)
        self._build_surrogate = surrogate
        self._learner: Learner | None = None
        self._random = torch.Generator().manual_seed(seed)
        self._archive = Archive()
        self._pool: list[str] = []
        self._predictions: Tensor | None = None
        self._diagnostics: dict[str, float] = {}

    def _ready(self, num_outputs: int) -> Learner:
        """Surrogate and optimiser moments; built when the number of outputs is known."""
        if self._learner is None:
            features = self.space.max_nodes * self.space.num_types + self.space.num_slots
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                surrogate = self._build_surrogate(features, num_outputs)
            settings = self.retraining
            parameters = [*self.model.parameters(), *surrogate.parameters()]
            self._learner = Learner(
                surrogate, Adam(parameters, settings.learning_rate, (settings.betas[0], settings.betas[1]), fused=True)
            )
        return self._learner

    def tell(self, architectures: Sequence[str], outcomes: Outcomes) -> None:
        """Take in outcomes; retraining waits until the next :meth:`ask`."""
        self._archive.add(architectures, outcomes)

    def ask(self, n: int) -> list[str]:
        """``n`` new architectures: uniform while fewer than ``initial`` are known, generated afterwards."""
        self._pool, self._predictions, self._diagnostics = [], None, {}
        if len(self._archive) < self.initial:
            return self._fill([], n)
        known = self._archive.outcomes
        learner = self._ready(known.values.shape[1] + known.slacks.shape[1])
        losses = self._retrain(known, learner)
        pool, graphs = self._generate_pool()
        self._diagnostics = {"pool_size": float(len(pool)), **losses}
        chosen: list[str] = []
        if pool:
            predicted = _outcomes(
                learner.surrogate.predict(graphs.relaxed(self.space.num_types).flat()).double(), known
            )
            picks = self.selection(predicted, min(n, len(pool)), known=known, generator=self._random)
            chosen = [pool[i] for i in picks.tolist()]
            self._pool, self._predictions = pool, predicted.values
        return self._fill(chosen, n)

    def _retrain(self, known: Outcomes, learner: Learner) -> dict[str, float]:
        """Weighted epochs over all queried architectures; the losses of the last one."""
        settings, (surrogate, adam) = self.retraining, learner
        graphs = self.space.encode(self._archive.architectures)
        weights = rank_weights(pareto_rank(known), k=settings.k)
        outputs, features = torch.cat([known.values, known.slacks], dim=1), graphs.relaxed(self.space.num_types).flat()
        together = isinstance(surrogate, DifferentiableSurrogate)
        if together:
            surrogate.calibrate(outputs)
        targets = surrogate.targets(outputs) if together else outputs
        losses: dict[str, float] = {}
        for _ in range(settings.epochs):
            drawn = torch.multinomial(weights, len(known), replacement=True, generator=self._random)
            losses = {}
            for rows in drawn.split(settings.batch_size):
                emphasis = weights[rows].float() * len(known) if settings.weight_losses else torch.ones(len(rows))
                decoded = self.model(self.model.prior(len(rows), generator=self._random))
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
        """Joint loss of a batch: what the generator minimises and what the surrogate minimises.

        The surrogate learns from the graphs whose values are known. The generator learns to explain these graphs and,
        through the surrogate, to decode graphs of their (high) value: that gradient does not reach the surrogate, which
        could otherwise meet it by predicting a constant.
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
        """Distinct valid architectures that were not queried yet, and their graphs."""
        pool: dict[str, None] = {}
        drawn = 0
        while len(pool) < self.pool_size and drawn < self.max_draws:
            count = min(5 * self.pool_size, self.max_draws - drawn)
            z = self.model.prior(count, generator=self._random)
            graphs, _ = generate(self.model, z, generator=self._random)
            for architecture in self.space.decode(graphs):
                if architecture is not None and architecture not in self._archive:
                    pool.setdefault(architecture)
            drawn += count
        candidates = list(pool)[: self.pool_size]
        return candidates, self.space.encode(candidates)

    def _fill(self, chosen: list[str], n: int) -> list[str]:
        """Complete a batch with new architectures drawn uniformly from the space."""
        known = {*self._archive, *chosen}
        return [*chosen, *self.space.sample_new(n - len(chosen), known=known, generator=self._random)]

    def predictions(self) -> Float[Tensor, "n objectives"] | None:
        """The surrogate's view of :meth:`pool`."""
        return self._predictions

    def pool(self) -> list[str]:
        """Candidates of the last :meth:`ask`."""
        return self._pool

    def diagnostics(self) -> dict[str, float]:
        """Pool size and losses of the last :meth:`ask`."""
        return self._diagnostics

    def provenance(self) -> dict[str, Any]:
        """Which checkpoint the search started from, and what its pretraining cost."""
        kept = ("sha256", "command", "revision", "seed", "cpu_seconds")
        return {key: self._manifest[key] for key in kept if key in self._manifest}

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser moments, random state and data."""
        learner = self._learner
        return {
            "model": self.model.state_dict(),
            "surrogate": learner and learner.surrogate.state_dict(),
            "adam": learner and learner.adam.state_dict(),
            "random": self._random.get_state(),
            "archive": self._archive.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self._archive.load_state_dict(state["archive"])
        if state["surrogate"] is not None:
            known = self._archive.outcomes
            learner = self._ready(known.values.shape[1] + known.slacks.shape[1])
            learner.surrogate.load_state_dict(state["surrogate"])
            learner.adam.load_state_dict(state["adam"])
        self._random.set_state(state["random"])


def _outcomes(outputs: Float[Tensor, "n outputs"], known: Outcomes) -> Outcomes:
    """A surrogate's outputs as outcomes with the columns of those known."""
    objectives = known.values.shape[1]
    return Outcomes(outputs[:, :objectives], outputs[:, objectives:])
