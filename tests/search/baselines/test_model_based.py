"""What is special to model-based search; the rest is the contract of all optimizers."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agnet.acquisition.functions import ThompsonSampling, UpperConfidenceBound
from agnet.errors import ConfigurationError
from agnet.multiobjective.outcomes import Archive, Outcomes
from agnet.spaces.nasbench201 import NASBench201
from agnet.spaces.subspace import Subspace
from agnet.surrogates.gaussian_process import GaussianProcess
from search import BoostedTrees, NetworkEnsemble
from search.baselines.candidates import AbstractCandidates, Mutations, WholeSpace
from search.baselines.model_based import ModelBasedSearch

Build = Callable[..., ModelBasedSearch]


def gp(
    space: object, *, seed: int = 0, candidates: AbstractCandidates | None = None, initial: int = 8
) -> ModelBasedSearch:
    assert isinstance(space, NASBench201 | Subspace)
    return ModelBasedSearch(
        space,
        seed=seed,
        initial=initial,
        model=GaussianProcess(),
        acquisition=UpperConfidenceBound(),
        candidates=candidates or Mutations(mutated=60, drawn=20),
    )


def convolutions(architectures: list[str]) -> Tensor:
    """More 3x3 convolutions are better, pools a little worse than nothing."""
    values = [a.count("conv_3x3~") - 0.3 * a.count("pool") for a in architectures]
    return torch.tensor(values, dtype=torch.float64)[:, None]


def run(optimizer: ModelBasedSearch, rounds: int, outcomes: Callable[[list[str]], Outcomes]) -> list[str]:
    asked: list[str] = []
    for _ in range(rounds):
        batch = optimizer.ask(8)
        optimizer.tell(batch, outcomes(batch))
        asked += batch
    return asked


def test_it_finds_the_best_cell(space: NASBench201) -> None:
    """One in 15,625 within 64 queries; chance finds it in 0.4 % of searches."""
    asked = run(gp(space), 8, lambda batch: Outcomes.unlimited(convolutions(batch)))
    assert "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|" in asked


def test_a_limit_is_kept_once_it_is_learned(space: NASBench201) -> None:
    """At most two 3x3 convolutions; a random cell keeps it in 90 % of cases, one that follows the values in few."""

    def outcomes(batch: list[str]) -> Outcomes:
        values = convolutions(batch)
        return Outcomes(values, (2 - torch.tensor([[a.count("conv_3x3~")] for a in batch]).double()) / 2)

    optimizer = gp(space)
    run(optimizer, 7, outcomes)
    told = optimizer.archive.outcomes
    assert float(told.feasible[-24:].double().mean()) > 0.5
    assert float(told.values[told.feasible].max()) == 2.0


def test_while_nothing_is_feasible_it_comes_closer(space: NASBench201) -> None:
    def outcomes(batch: list[str]) -> Outcomes:
        return Outcomes(convolutions(batch), torch.tensor([[a.count("skip") - 6.5] for a in batch]).double())

    optimizer = gp(space)
    run(optimizer, 5, outcomes)
    violations = optimizer.archive.outcomes.violations
    assert float(violations[-8:].mean()) < float(violations[:8].mean()) - 2


def test_a_space_without_an_end_is_refused() -> None:
    class Endless(NASBench201):
        name = "endless"
        size = None

    with pytest.raises(ConfigurationError, match=r"scores the whole space, and endless .*bayesian_optimization"):
        gp(Endless(), candidates=WholeSpace())
    assert len(gp(Endless()).ask(8)) == 8


@pytest.mark.parametrize(
    ("model", "acquisition"),
    [
        (GaussianProcess, UpperConfidenceBound),
        (lambda: BoostedTrees(members=2, boosting_rounds=5), ThompsonSampling),
        (lambda: NetworkEnsemble(steps=5), ThompsonSampling),
    ],
)
@pytest.mark.parametrize("limits", [0, 1])
def test_a_resumed_search_with_several_objectives_is_the_same(
    space: NASBench201, model: Callable, acquisition: Callable, limits: int
) -> None:
    def make() -> ModelBasedSearch:
        return ModelBasedSearch(
            space,
            seed=4,
            initial=8,
            model=model(),
            acquisition=acquisition(),
            candidates=Mutations(parents=4, mutated=40, drawn=10),
        )

    def outcomes(batch: list[str]) -> Outcomes:
        values = torch.cat([convolutions(batch), -convolutions(batch) + torch.tensor([[len(a)] for a in batch])], dim=1)
        return Outcomes(values, convolutions(batch)[:, :limits])

    whole, restored = make(), make()
    run(whole, 2, outcomes)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.predictions() is None
    assert restored.ask(8) == whole.ask(8)
    assert restored.pool() == whole.pool()
    predicted = whole.predictions()
    assert predicted is not None
    assert predicted.shape == (len(whole.pool()), 2)
    assert torch.equal(predicted, restored.predictions())


def test_predictions_are_in_units_and_follow_the_truth(space: NASBench201) -> None:
    optimizer = gp(space, candidates=WholeSpace())
    assert optimizer.diagnostics() == {}
    run(optimizer, 6, lambda batch: Outcomes.unlimited(100 + 10 * convolutions(batch)))
    optimizer.ask(8)
    predicted, pool = optimizer.predictions(), optimizer.pool()
    assert predicted is not None
    assert optimizer.diagnostics() == {"pool_size": space.size - 48}
    assert len(pool) == space.size - 48
    truth = 100 + 10 * convolutions(pool)
    assert float(torch.corrcoef(torch.cat([predicted, truth], dim=1).T)[0, 1]) > 0.6
    assert float((predicted - truth).abs().mean()) < 10


def test_a_small_space_is_exhausted(space: NASBench201) -> None:
    cells = space.sample(30, rng=torch.Generator().manual_seed(0))
    part = Subspace(space, cells)
    for candidates in (WholeSpace(), Mutations(mutated=10, drawn=5)):
        optimizer = gp(part, candidates=candidates)
        asked = run(optimizer, 5, lambda batch: Outcomes.unlimited(convolutions(batch)))
        assert sorted(asked) == sorted(set(cells))


def test_a_subspace_is_not_left(space: NASBench201) -> None:
    part = Subspace(space, list(space.enumerate())[:300])
    asked = run(gp(part), 5, lambda batch: Outcomes.unlimited(convolutions(batch)))
    assert set(asked) <= part.allowed


def test_mutations_are_new_distinct_and_near_the_best(space: NASBench201) -> None:
    cells = space.sample_new(200, known=[], rng=torch.Generator().manual_seed(0))
    archive = Archive()
    archive.add(cells, Outcomes.unlimited(convolutions(cells)))
    best = cells[int(convolutions(cells)[:, 0].argmax())]
    found = Mutations(parents=1, mutated=50, drawn=10)(space, archive, 16, rng=torch.Generator().manual_seed(1))
    assert len(found) == len(set(found)) == 60
    assert not set(found) & set(cells)
    near = {*space.neighbors(best), *(a for b in space.neighbors(best) for a in space.neighbors(b))}
    assert set(found[:50]) <= near
