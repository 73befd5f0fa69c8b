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

from agnet.errors import ConfigurationError
from agnet.generator import Decoded, GraphGenerator, generate, reconstruction_loss
from agnet.graphs import Graphs
from agnet.optimizer import AbstractOptimizer
from agnet.pareto import rank
from agnet.selection import AbstractSelection
from agnet.spaces.base import AbstractSpace
from agnet.surrogate import AbstractSurrogate
from agnet.weighting import rank_weights


@dataclass(frozen=True)
class Retraining:
    """How generator and surrogate are retrained before each proposal.

    ``docs/deviations.md`` says where the defaults are not the paper's, and why.

    Attributes:
        epochs: passes over the queried data; the paper has 30 on NAS-Bench-201.
        batch_size: graphs per step; the paper has 16.
        learning_rate: of Adam.
        betas: of Adam.
        k: of the rank weights.
        alpha: share of the surrogate's loss in what the generator minimises, beside ``1 - alpha`` of the
            reconstruction; the paper has 0.9.
        weight_losses: multiply the losses by the rank weights too, although the data are already drawn by them. The
            2022 code does so, for an emphasis of weight squared; the default counts weights once.
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    betas: Sequence[float] = (0.5, 0.999)
    k: float = 1e-2
    alpha: float = 0.5
    weight_losses: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0 or not self.k > 0:
            raise ConfigurationError(f"retraining needs positive epochs, batch_size, learning_rate and k, got {self}")
        if not 0 <= self.alpha < 1:
            raise ConfigurationError(f"retraining.alpha must be in [0, 1), got {self.alpha}")


def soft_features(decoded: Decoded) -> Float[Tensor, "batch features"]:
    """A decoded graph as the surrogate reads it: expected one-hot node types, then edge probabilities."""
    return torch.cat([decoded.nodes.softmax(dim=2).flatten(1), decoded.edges.sigmoid()], dim=1)


class Learner(NamedTuple):
    """What retraining trains beside the generator."""

    surrogate: AbstractSurrogate
    adam: Adam


class WeightedRetraining(AbstractOptimizer):
    """Algorithm 1: sample 16, then repeat: retrain, generate a pool, let the surrogate pick, query.

    Args:
        space: the space searched.
        generator: gives a pretrained generator for the space, to be retrained, and its manifest entry.
        surrogate: builds an untrained predictor from the number of features and of objectives.
        selection: picks from the pool by predicted values.
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
        self._values: dict[str, tuple[float, ...]] = {}
        self._pool: list[str] = []
        self._predictions: Tensor | None = None
        self._diagnostics: dict[str, float] = {}

    def _ready(self, num_objectives: int) -> "Learner":
        """Surrogate and optimiser moments; built when the number of objectives is known."""
        if self._learner is None:
            features = self.space.max_nodes * self.space.num_types + self.space.num_slots
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                surrogate = self._build_surrogate(features, num_objectives)
            settings = self.retraining
            parameters = [*self.model.parameters(), *surrogate.parameters()]
            self._learner = Learner(
                surrogate, Adam(parameters, settings.learning_rate, (settings.betas[0], settings.betas[1]), fused=True)
            )
        return self._learner

    def tell(self, architectures: Sequence[str], values: Float[Tensor, "n objectives"]) -> None:
        """Take in values; retraining waits until the next :meth:`ask`."""
        self._values.update(zip(architectures, map(tuple, values.tolist()), strict=True))

    def ask(self, n: int) -> list[str]:
        """``n`` new architectures: uniform while fewer than ``initial`` are known, generated afterwards."""
        self._pool, self._predictions, self._diagnostics = [], None, {}
        if len(self._values) < self.initial:
            return self._fill([], n)
        values = torch.tensor(list(self._values.values()), dtype=torch.float64)
        learner = self._ready(values.shape[1])
        losses = self._retrain(values, learner)
        pool, graphs = self._generate_pool()
        self._diagnostics = {"pool_size": float(len(pool)), **losses}
        chosen: list[str] = []
        if pool:
            predicted = learner.surrogate.predict(graphs.features(self.space.num_types)).double()
            picks = self.selection(predicted, min(n, len(pool)), generator=self._random)
            chosen = [pool[i] for i in picks.tolist()]
            self._pool, self._predictions = pool, predicted
        return self._fill(chosen, n)

    def _retrain(self, values: Float[Tensor, "n objectives"], learner: "Learner") -> dict[str, float]:
        """Weighted epochs over all queried architectures; the losses of the last one."""
        settings, surrogate, adam = self.retraining, learner.surrogate, learner.adam
        graphs = self.space.encode(list(self._values))
        weights = rank_weights(rank(values), k=settings.k)
        surrogate.calibrate(values)
        targets, features = surrogate.targets(values), graphs.features(self.space.num_types)
        losses = torch.zeros(2)
        for _ in range(settings.epochs):
            drawn = torch.multinomial(weights, len(values), replacement=True, generator=self._random)
            losses = torch.zeros(2)
            for rows in drawn.split(settings.batch_size):
                emphasis = weights[rows].float() * len(values) if settings.weight_losses else torch.ones(len(rows))
                generating, predicting = self._losses(surrogate, graphs[rows], features[rows], targets[rows], emphasis)
                adam.zero_grad()
                (generating + predicting).backward()
                adam.step()
                losses += torch.stack([generating.detach(), predicting.detach()]) * len(rows) / len(values)
        return {"generator_loss": losses[0].item(), "surrogate_loss": losses[1].item()}

    def _losses(
        self,
        surrogate: AbstractSurrogate,
        graphs: Graphs,
        features: Float[Tensor, "batch features"],
        targets: Float[Tensor, "batch objectives"],
        emphasis: Float[Tensor, " batch"],
    ) -> tuple[Tensor, Tensor]:
        """Joint loss of a batch: what the generator minimises and what the surrogate minimises.

        The surrogate learns from the graphs whose values are known. The generator learns to explain these graphs and,
        through the surrogate, to decode graphs of their (high) value: that gradient does not reach the surrogate, which
        could otherwise meet it by predicting a constant.
        """
        alpha = self.retraining.alpha
        decoded = self.model(self.model.prior(len(graphs), generator=self._random))
        generating = (1 - alpha) * reconstruction_loss(decoded, graphs)
        if alpha > 0:
            frozen = {name: p.detach() for name, p in surrogate.named_parameters()}
            guided = functional_call(surrogate, frozen, (soft_features(decoded),))
            generating = generating + alpha * F.mse_loss(guided, targets, reduction="none").mean(dim=1)
        predicting = F.mse_loss(surrogate(features), targets, reduction="none").mean(dim=1)
        return (generating * emphasis).mean(), (predicting * emphasis).mean()

    def _generate_pool(self) -> tuple[list[str], Graphs]:
        """Distinct valid architectures that were not queried yet, and their graphs."""
        pool: dict[str, None] = {}
        drawn = 0
        while len(pool) < self.pool_size and drawn < self.max_draws:
            count = min(5 * self.pool_size, self.max_draws - drawn)
            z = self.model.prior(count, generator=self._random)
            graphs, _ = generate(self.model, z, generator=self._random)
            for architecture in self.space.decode(graphs):
                if architecture is not None and architecture not in self._values:
                    pool.setdefault(architecture)
            drawn += count
        candidates = list(pool)[: self.pool_size]
        return candidates, self.space.encode(candidates)

    def _fill(self, chosen: list[str], n: int) -> list[str]:
        """Complete a batch with new architectures drawn uniformly from the space."""
        taken = set(chosen) | self._values.keys()
        chosen = list(chosen)
        while len(chosen) < n and (self.space.size is None or len(taken) < self.space.size):
            for architecture in self.space.sample(n - len(chosen), generator=self._random):
                if architecture not in taken:
                    chosen.append(architecture)
                    taken.add(architecture)
        return chosen

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
            "architectures": list(self._values),
            "values": torch.tensor(list(self._values.values()), dtype=torch.float64),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        if state["surrogate"] is not None:
            learner = self._ready(state["values"].shape[1])
            learner.surrogate.load_state_dict(state["surrogate"])
            learner.adam.load_state_dict(state["adam"])
        self._random.set_state(state["random"])
        self._values = dict(zip(state["architectures"], map(tuple, state["values"].tolist()), strict=True))
