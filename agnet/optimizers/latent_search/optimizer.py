"""AG-Net's search with informative latent vectors: follow the surrogate's gradient through the generator.

Source: the idea of Lukasik, Jung & Keuper, 2022, https://arxiv.org/abs/2203.08734: optimise the latent space of a graph
generator with a differentiable surrogate, and retrain the generator by rank weights (Tripp et al., 2020). Every round
has four steps:

1. The generator is retrained, so that latent vectors near good cells decode to good cells.
2. A model with calibrated uncertainty is fitted to everything observed so far.
3. Latent vectors from the prior and around the best cells are decoded. The most promising ones follow the gradient of
   the acquisition function through model and generator and are decoded again at every step. In several refinements,
   latent vectors around the most promising cells found so far are decoded too.
4. From all these cells the acquisition function picks a batch; each pick takes the earlier ones into account.

Only decoded cells are ever scored, and with ``proposal.neighbors`` cells beside them: no step enumerates the space.
:mod:`agnet.optimizers.weighted_retraining.optimizer` is the published algorithm; ``docs/method.md`` compares the two.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.acquisition.functions import AbstractAcquisition, Criterion, log_feasibility
from agnet.errors import ConfigurationError
from agnet.generator.inversion import invert
from agnet.generator.sampling import decode, likeliest_graphs
from agnet.multiobjective.outcomes import Outcomes
from agnet.multiobjective.pareto import competition_rank, hypervolume_rank, pareto_rank, rank
from agnet.multiobjective.scalarization import draw_weights
from agnet.optimizers.generative import AbstractGenerativeOptimizer, GeneratorLoader
from agnet.optimizers.latent_search.isomorphism import Isomorphs
from agnet.optimizers.latent_search.proposal import Proposal, Score
from agnet.optimizers.latent_search.retraining import GeneratorRetraining
from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import Graphs, RelaxedGraphs
from agnet.surrogates.base import AbstractModel, Posterior
from agnet.surrogates.features import FeatureMap
from agnet.surrogates.outcome_transform import OutcomeTransform

DIRECTIONS = 4
"""Number of criteria among which ascents are divided: weightings of the objectives, betas of the acquisition."""

NEAR = 10
"""Adam steps that search a latent vector of a cell, starting from that of a cell one change away."""

MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Predictions:
    """Cells that were never evaluated, and a model's expectations for them.

    Attributes:
        architectures: strings of the cells.
        values: expected objectives, all to be maximised.
        deviations: half the distance between the values one standard deviation above and below the mean.
        slacks: expected slacks of the limits.
        slack_deviations: the same deviations for the slacks.
        probability: the model's probability that all limits are satisfied.
    """

    architectures: list[str]
    values: Float[Tensor, "n objectives"]
    deviations: Float[Tensor, "n objectives"]
    slacks: Float[Tensor, "n limits"]
    slack_deviations: Float[Tensor, "n limits"]
    probability: Float[Tensor, " n"]

    def __repr__(self) -> str:
        return f"Predictions(architectures: {len(self.architectures)}, objectives: {self.values.shape[1]})"


class LatentSearch(AbstractGenerativeOptimizer):
    """Generates cells, follows the gradient, and queries the most promising cells.

    Args:
        space: the space searched.
        generator: gives a pretrained generator for the space, and its manifest entry. Its latent vectors must carry
            information about cells (``search.pretrain`` with any pairing but ``noise``).
        model: predicts objectives and slacks with uncertainty.
        acquisition: chooses candidates by the predictions.
        proposal: settings of the search for candidates.
        retraining: settings of the generator's retraining.
        seed: seed of everything drawn.
        initial: architectures sampled uniformly before the first proposal.
        repeat_isomorphs: treat cells that are isomorphic to known ones like any other. By default a batch holds one
            member per class (except under limits), and no member of a known class once two such cells were observed to
            have equal outcomes; see :mod:`agnet.optimizers.latent_search.isomorphism`.

    Raises:
        ConfigurationError: if there are too few initial architectures.
    """

    def __init__(
        self,
        space: AbstractSpace,
        *,
        generator: GeneratorLoader,
        model: AbstractModel,
        acquisition: AbstractAcquisition,
        proposal: Proposal,
        retraining: GeneratorRetraining,
        seed: int,
        initial: int = 16,
        repeat_isomorphs: bool = False,
    ) -> None:
        super().__init__(space, generator=generator, seed=seed, initial=initial)
        self.model, self.acquisition, self.proposal, self.retraining = model, acquisition, proposal, retraining
        self.repeat_isomorphs = repeat_isomorphs
        self._pretrained = copy.deepcopy(self.generator).requires_grad_(False)
        self._adam = retraining.optimiser(self.generator)
        self.features = FeatureMap(space)
        self._latents: dict[str, Tensor] = {}

    def propose(self, n: int) -> list[str]:
        """Retrain, fit, decode candidates, and pick the most promising ones."""
        self._locate()
        loss = self._retrain()
        transform = self._fit(self.archive.outcomes)
        distinguish = self.space.has_isomorphs and not self.repeat_isomorphs
        isomorphs = Isomorphs(self.space, self.archive) if distinguish else None
        decoded = self._decode_candidates(transform, isomorphs)
        self._pool, groups = list(decoded), None
        if isomorphs is not None:
            self._pool = isomorphs.distinct(self._pool)
            if not transform.limited:  # limits leave few classes, and isomorphic cells may differ in satisfying them
                groups = isomorphs.classes(self._pool)
        self._diagnostics = {"pool_size": float(len(self._pool)), "decoded": float(len(decoded)), **loss}
        if not self._pool:
            return []
        posterior = self.model.predict(self.features(self._pool))
        self._predictions = transform.natural(posterior.mean).values
        if isomorphs is not None:
            isomorphs.settle(posterior, self._pool, transform.transformed)
        rows = self.acquisition(posterior, n, transform=transform, rng=self.rng, groups=groups)
        chosen = [self._pool[row] for row in rows]
        self._latents |= zip(chosen, self._latents_of(chosen, decoded), strict=True)
        return chosen

    @with_gradients
    def suggest(self, n: int, outcomes: Outcomes | None = None) -> Predictions:
        """New cells with the best predictions, best first: by probability of satisfying the limits, then by value.

        The call does not affect the search, except for its random state.

        Args:
            n: largest number of cells.
            outcomes: outcomes of the observed architectures, in order, for other objectives or limits than those of the
                search; None for its own.

        Raises:
            ConfigurationError: if fewer than two architectures were observed.
        """
        if len(self.archive) < 2:
            raise ConfigurationError("nothing is known yet: at least 2 evaluated architectures are needed")
        self._locate()
        transform = self._fit(self.archive.outcomes if outcomes is None else outcomes)
        found = list(self._decode_candidates(transform))
        posterior = self.model.predict(self.features(found))
        likely = log_feasibility(posterior, transform).exp()
        mean, low, high = (
            transform.natural(at) for at in (posterior.mean, *(posterior.mean + s * posterior.std for s in (-1, 1)))
        )
        places = competition_rank((likely * 100).round()).double() * len(found)
        preferred = (
            rank(Outcomes.unlimited(mean.values)) if found else torch.zeros(0, dtype=torch.float32, device="cpu")
        )
        order = (places + preferred).argsort(stable=True)[:n]
        return Predictions(
            [found[i] for i in order.tolist()],
            mean.values[order],
            (high.values / 2 - low.values / 2)[order],
            mean.slacks[order],
            (high.slacks / 2 - low.slacks / 2)[order],
            likely[order],
        )

    def _locate(self) -> None:
        """Find latent vectors of observed cells that were not generated."""
        missing = [architecture for architecture in self.archive if architecture not in self._latents]
        graphs = self.space.encode(missing)
        self._latents |= zip(missing, invert(self.generator, graphs, rng=self.rng), strict=True)

    def _latents_of(
        self, chosen: Sequence[str], found: Mapping[str, Float[Tensor, " latent"]]
    ) -> Sequence[Float[Tensor, " latent"]]:
        """Latent vectors of chosen cells.

        Neighbours were not decoded, so if the proposal has any, the vectors are refined by gradient: a neighbour's
        search starts at the vector of the cell beside it.
        """
        latents = [found[architecture] for architecture in chosen]
        if not chosen or not self.proposal.neighbors:
            return latents
        graphs, start = self.space.encode(chosen), torch.stack(latents)
        return list(invert(self.generator, graphs, rng=self.rng, start=start, steps=NEAR))

    def _retrain(self) -> dict[str, float]:
        """Retrain the generator toward good cells; returns the losses of the last step."""
        known = self.archive.architectures
        return self.retraining(
            self.generator,
            self._adam,
            self._pretrained,
            self.space.encode(known),
            torch.stack([self._latents[architecture] for architecture in known]),
            pareto_rank(self.archive.outcomes),
            space=self.space,
            rng=self.rng,
        )

    def _fit(self, known: Outcomes) -> OutcomeTransform:
        transform = OutcomeTransform(known)
        seed = int(torch.randint(MAX_SEED, (), generator=self.rng, device="cpu"))
        self.model.fit(self.features(self.archive.architectures), transform.transformed, seed=seed)
        return transform

    def _decode_candidates(
        self, transform: OutcomeTransform, isomorphs: Isomorphs | None = None
    ) -> dict[str, Float[Tensor, " latent"]]:
        """New cells, each with a latent vector: the first that decoded to it, or for a neighbour that of the cell
        beside it. Neighbours are those of the best and of the most promising cells.
        """
        # exploit: the best cells by contribution to the front, so that elites cover the whole front
        rows = hypervolume_rank(transform.outcomes).argsort(stable=True)[: self.proposal.elites]
        known = self.archive.architectures
        best = {known[i]: self._latents[known[i]] for i in rows.tolist()}
        elites = (
            torch.stack(list(best.values()))
            if best
            else torch.zeros(0, self.generator.latent_size, dtype=torch.float32, device="cpu")
        )
        found: dict[str, Tensor] = {}
        # explore: draws from the prior reach cells unlike any that is known
        drawn = self.proposal.draw(self.generator, elites, rng=self.rng)
        self._collect(likeliest_graphs(decode(self.generator, drawn), self.space), drawn, found)
        self._collect_neighbors(best, found)
        if found and self.proposal.steps and self.proposal.ascents:
            # several criteria, lest all ascents end at the same cell; ceil(ascents / DIRECTIONS) starts for each
            criteria = self._criteria(transform)
            starts = self._most_promising(found, criteria, -(-self.proposal.ascents // DIRECTIONS), isomorphs)
            begin = torch.stack([found[architecture] for architecture in starts])
            for z, passed in self.proposal.ascend(self.generator, begin, self._score(criteria), space=self.space):
                self._collect(passed, z, found)
        # refinements go round by round, since a cell found in one round can be the start of the next
        for _ in range(self.proposal.refinements if found else 0):
            # new criteria every time: other weights of the objectives find other parts of the front
            chosen = self._most_promising(found, self._criteria(transform), self.proposal.promising, isomorphs)
            z = torch.stack([found[architecture] for architecture in chosen]).unique(dim=0)
            near = self.proposal.near(z, rng=self.rng)
            self._collect(likeliest_graphs(decode(self.generator, near), self.space), near, found)
            self._collect_neighbors({architecture: found[architecture] for architecture in chosen}, found)
        return found

    def _criteria(self, transform: OutcomeTransform) -> list[Criterion]:
        """Criteria for candidates: those of members of a batch, each with its own weights of the objectives."""
        weightings = draw_weights(DIRECTIONS, transform.num_objectives, rng=self.rng)
        return [Criterion(transform, weights, member) for member, weights in enumerate(weightings)]

    def _most_promising(
        self,
        found: Mapping[str, Float[Tensor, " latent"]],
        criteria: Sequence[Criterion],
        each: int,
        isomorphs: Isomorphs | None,
    ) -> list[str]:
        """Cells that the acquisition function prefers: the best ``each`` by every criterion in turn."""
        cells = list(found)
        posterior = self.model.predict(self.features(cells))
        if isomorphs is not None:
            isomorphs.settle(posterior, cells, criteria[0].transform.transformed)
        scores = torch.stack([self.acquisition.scores(posterior, c, rng=self.rng) for c in criteria])
        return [cells[row] for row in scores.topk(min(each, len(cells)), dim=1).indices.flatten().tolist()]

    def _collect(self, graphs: Graphs, z: Float[Tensor, "batch latent"], found: dict[str, Tensor]) -> None:
        """Add new cells with their latent vectors to ``found``."""
        for row, architecture in enumerate(self.space.decode(graphs)):
            if architecture is not None and architecture not in self.archive and architecture not in found:
                found[architecture] = z[row]

    def _collect_neighbors(self, around: Mapping[str, Float[Tensor, " latent"]], found: dict[str, Tensor]) -> None:
        """Add new random neighbours of cells, with the cells' latent vectors, to ``found``."""
        for architecture, z in around.items() if self.proposal.neighbors else ():
            beside = self.space.neighbors(architecture)
            order = torch.randperm(len(beside), generator=self.rng, device="cpu")[: self.proposal.neighbors]
            for row in order.tolist():
                if beside[row] not in self.archive:
                    found.setdefault(beside[row], z)

    def _score(self, criteria: Sequence[Criterion]) -> Score:
        """The acquisition function of decoded graphs; each criterion scores an equal part of a batch."""

        def score(graphs: RelaxedGraphs) -> Float[Tensor, " batch"]:
            posterior = self.model.predict(self.features.relaxed(graphs))
            parts = zip(posterior.mean.chunk(len(criteria)), posterior.std.chunk(len(criteria)), criteria, strict=True)
            return torch.cat(
                [
                    self.acquisition.scores(Posterior(mean, std), criterion, rng=self.rng)
                    for mean, std, criterion in parts
                ]
            )

        return score

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser moments, random state, data and latent vectors."""
        return {**super().state_dict(), "adam": self._adam.state_dict(), "latents": dict(self._latents)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        super().load_state_dict(state)
        self._adam.load_state_dict(state["adam"])
        self._latents = dict(state["latents"])
