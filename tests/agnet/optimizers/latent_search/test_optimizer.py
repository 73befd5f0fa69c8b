from typing import Any

import pytest
import torch
from torch import Tensor

from agnet.acquisition.functions import RandomAcquisition, UpperConfidenceBound
from agnet.errors import ConfigurationError
from agnet.generator.checkpoints import load_generator
from agnet.generator.sampling import decode, likeliest_graphs
from agnet.multiobjective.outcomes import Outcomes
from agnet.optimizers.latent_search.optimizer import LatentSearch
from agnet.optimizers.latent_search.proposal import Proposal
from agnet.optimizers.latent_search.retraining import GeneratorRetraining
from agnet.spaces.nasbench201 import NASBench201
from agnet.surrogates.features import FeatureMap
from agnet.surrogates.gaussian_process import GaussianProcess

SPACE = NASBench201()
SMALL = Proposal(prior=128, elites=4, copies=8, ascents=16, steps=2, refinements=2)


def optimizer(*, seed: int = 0, **kwargs: Any) -> LatentSearch:
    settings: dict[str, Any] = {
        "generator": load_generator,
        "model": GaussianProcess(),
        "acquisition": UpperConfidenceBound([2.0, 4.0]),
        "proposal": SMALL,
        "retraining": GeneratorRetraining(steps=2),
        **kwargs,
    }
    return LatentSearch(SPACE, seed=seed, **settings)


def outcomes(architectures: list[str]) -> Outcomes:
    """Convolutions are good, at the start of a cell most of all; skips are cheap."""
    types = SPACE.encode(architectures).node_types[:, 1:7]
    value = (types == 3).double() @ torch.tensor([3.0, 1, 1, 1, 1, 2]).double()
    cost = (types != 5).double().sum(dim=1)
    return Outcomes(value[:, None], (4 - cost)[:, None] / 4)


def unlimited(architectures: list[str]) -> Outcomes:
    return Outcomes.unlimited(outcomes(architectures).values)


def rounds(search: LatentSearch, n: int, told: Any = unlimited) -> list[str]:
    asked: list[str] = []
    for _ in range(n):
        batch = search.ask(16)
        search.tell(batch, told(batch))
        asked += batch
    return asked


def test_it_finds_the_best_of_a_simple_landscape_within_five_rounds() -> None:
    asked = rounds(optimizer(), 5)
    assert len(set(asked)) == len(asked) == 80
    assert float(unlimited(asked).values.max()) == 9.0


def test_only_what_was_decoded_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The space is never enumerated, and the pool holds what latent vectors decode to."""

    def forbidden(self: object) -> list[str]:
        raise AssertionError("enumerated")

    search = optimizer(proposal=Proposal(prior=64, elites=0, ascents=0, refinements=0))
    rounds(search, 1)
    monkeypatch.setattr(NASBench201, "enumerate", forbidden)
    search.ask(16)
    assert 16 <= len(search.pool()) <= 64


def wanted(proposal: Proposal) -> tuple[list[str], Tensor]:
    """The second batch's pool, and the optimistic values of all cells of the space that were not asked for before."""
    search = optimizer(acquisition=UpperConfidenceBound(4.0), proposal=proposal, repeat_isomorphs=True)
    first = rounds(search, 1)
    search.ask(16)
    posterior = search.model.predict(search.features(list(SPACE.enumerate())))
    bounds = (posterior.mean + 4 * posterior.std)[:, 0]
    bounds[[a in first for a in SPACE.enumerate()]] = -torch.inf
    return search.pool(), bounds


def test_rounds_lead_from_the_most_promising_cells_to_more_wanted_ones() -> None:
    """Up to its rounds, the search that has them draws the same numbers: they add, and what they add is wanted."""
    without, bounds = wanted(Proposal(prior=64, elites=0, copies=8, ascents=0, refinements=0))
    pool, same = wanted(Proposal(prior=64, elites=0, copies=8, ascents=0, refinements=6))
    assert torch.equal(bounds, same)
    assert pool[: len(without)] == without
    cells = list(SPACE.enumerate())
    best = {cells[i] for i in bounds.topk(100).indices.tolist()}
    assert len(best & set(without)) <= 5
    assert len(best & set(pool)) >= 20


FEW = {"prior": 64, "elites": 1, "copies": 8, "ascents": 0}


def test_neighbours_of_the_best_join_the_pool() -> None:
    every = len(SPACE.neighbors(SPACE.enumerate()[0]))
    search = optimizer(proposal=Proposal(**FEW, refinements=0, neighbors=every), repeat_isomorphs=True)
    first = rounds(search, 1)
    best = max(first, key=lambda architecture: float(unlimited([architecture]).values))
    search.ask(16)
    assert {*SPACE.neighbors(best)} <= {*search.pool(), *first}


@pytest.mark.slow
def test_neighbours_of_the_most_promising_lead_to_more_wanted_ones() -> None:
    without, bounds = wanted(Proposal(**FEW, refinements=0))
    pool, _ = wanted(Proposal(**FEW, refinements=4, neighbors=8))
    cells = list(SPACE.enumerate())
    most = {cells[i] for i in bounds.topk(16).indices.tolist()}
    assert len(most & set(without)) <= 2
    assert len(most & set(pool)) >= 12


def test_a_neighbour_has_a_latent_vector_of_its_own() -> None:
    few = Proposal(prior=16, elites=4, copies=0, ascents=0, refinements=2, neighbors=16)
    search = optimizer(proposal=few, retraining=GeneratorRetraining(steps=0))
    asked = rounds(search, 3)[16:]
    z = torch.stack([search._latents[a] for a in asked])
    found = SPACE.decode(likeliest_graphs(decode(search.generator, z)))
    assert sum(a == b for a, b in zip(found, asked, strict=True)) >= 29


def test_every_generated_query_is_what_its_latent_vector_decodes_to() -> None:
    search = optimizer(retraining=GeneratorRetraining(steps=0))
    asked = rounds(search, 3)[16:]
    z = torch.stack([search._latents[a] for a in asked])
    assert SPACE.decode(likeliest_graphs(decode(search.generator, z))) == asked


def test_what_was_not_generated_is_located() -> None:
    search = optimizer(retraining=GeneratorRetraining(steps=0))
    told = SPACE.sample(20, rng=torch.Generator().manual_seed(1))
    search.tell(told, unlimited(told))
    search.ask(4)
    found = SPACE.decode(likeliest_graphs(decode(search.generator, torch.stack([search._latents[a] for a in told]))))
    assert sum(a == b for a, b in zip(found, told, strict=True)) >= 19


def test_retraining_pulls_the_prior_toward_what_is_good() -> None:
    search = optimizer(retraining=GeneratorRetraining(steps=20, learning_rate=3e-3))

    def prior_value() -> float:
        z = search.generator.prior(500, rng=torch.Generator().manual_seed(9))
        cells = [a for a in SPACE.decode(likeliest_graphs(decode(search.generator, z))) if a is not None]
        return float(unlimited(cells).values.mean())

    before = prior_value()
    rounds(search, 4)
    assert prior_value() > before + 0.3


def test_without_retraining_the_generator_stays() -> None:
    search = optimizer(retraining=GeneratorRetraining(steps=0))
    before = [p.clone() for p in search.generator.parameters()]
    rounds(search, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, search.generator.parameters(), strict=True))


def test_limits_pull_the_search_toward_what_keeps_them() -> None:
    asked = rounds(optimizer(), 6, outcomes)
    found = outcomes(asked)
    assert float(found.feasible[-32:].double().mean()) > float(found.feasible[:16].double().mean()) + 0.3
    everything = outcomes(list(SPACE.enumerate()))
    assert float(found.values[found.feasible].max()) == float(everything.values[everything.feasible].max())


def test_predictions_rank_the_pool() -> None:
    search = optimizer()
    rounds(search, 4)
    search.ask(16)
    predicted = search.predictions()
    assert predicted is not None
    truth = unlimited(search.pool()).values
    assert float(torch.corrcoef(torch.stack([predicted[:, 0], truth[:, 0]]))[0, 1]) > 0.9


def test_a_search_by_chance_needs_no_gradient() -> None:
    search = optimizer(acquisition=RandomAcquisition(), proposal=Proposal(prior=64, elites=0, steps=0, refinements=0))
    assert len(set(rounds(search, 3))) == 48


def test_the_scores_gradient_reaches_the_graph() -> None:
    """As finite differences have it, where nothing is at a corner."""
    features = FeatureMap(SPACE)
    relaxed = SPACE.encode(SPACE.sample(3, rng=torch.Generator().manual_seed(2))).relaxed(SPACE.num_types)
    nodes = (0.9 * relaxed.nodes + 0.1 / SPACE.num_types).requires_grad_()
    weights = torch.randn(features.relaxed(relaxed).shape[1], generator=torch.Generator().manual_seed(3)) / 10

    def value(x: Tensor) -> Tensor:
        return (features.relaxed(relaxed._replace(nodes=x)) @ weights).sum()

    [gradient] = torch.autograd.grad(value(nodes), [nodes])
    step = 1e-2
    direction = torch.zeros_like(nodes)
    direction[0, 3, 4] = 1.0  # an operation in the middle of a cell
    with torch.no_grad():
        numeric = (value(nodes + step * direction) - value(nodes - step * direction)) / (2 * step)
    assert float(gradient[0, 3, 4]) == pytest.approx(float(numeric), rel=0.05, abs=1e-2)
    assert bool(gradient.isfinite().all())


def test_imagined_cells_are_new_ranked_and_believed_to_keep_other_limits() -> None:
    search = optimizer()
    asked = rounds(search, 4)
    generator = [p.clone() for p in search.generator.parameters()]
    wanted = outcomes(asked)
    found = search.suggest(10, wanted)
    assert len(set(found.architectures)) == 10
    assert not set(found.architectures) & set(asked)
    assert bool((found.probability.diff() <= 0.011).all())
    assert bool((found.deviations >= 0).all())
    truth = outcomes(found.architectures)
    assert float(truth.feasible.double().mean()) >= 0.8
    assert float((truth.values - found.values).abs().mean()) < 1.0
    assert all(torch.equal(a, b) for a, b in zip(generator, search.generator.parameters(), strict=True))
    assert search.suggest(5).slacks.shape == (5, 0)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="initial=1"):
        optimizer(initial=1)
    for bad in ({"share": 0.0}, {"steps": -1}, {"k": 0.0}, {"min_noise": 0.9, "max_noise": 0.1}):
        with pytest.raises(ConfigurationError):
            GeneratorRetraining(**bad)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="beta"):
        UpperConfidenceBound([])
    with pytest.raises(ConfigurationError, match="at least 2"):
        optimizer().suggest(3)
