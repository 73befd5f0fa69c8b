"""Acquisition functions against closed forms, brute force and what they promise about batches and limits."""

import pytest
import torch
from torch import Tensor

from agnet.acquisition.functions import (
    AbstractAcquisition,
    Criterion,
    ThompsonSampling,
    UpperConfidenceBound,
    log_feasibility,
)
from agnet.acquisition.hypervolume_improvement import OptimisticHypervolume
from agnet.multiobjective.outcomes import Outcomes
from agnet.surrogates.base import Posterior
from agnet.surrogates.gaussian_process import GaussianProcess
from agnet.surrogates.outcome_transform import OutcomeTransform

ALL: list[AbstractAcquisition] = [UpperConfidenceBound(), UpperConfidenceBound(0.0), ThompsonSampling()]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def posterior(n: int, outputs: int) -> Posterior:
    return Posterior(torch.randn(n, outputs), torch.rand(n, outputs) + 0.1)


def transform(objectives: int, slacks: Tensor | None = None, n: int = 20) -> OutcomeTransform:
    values = torch.randn(n, objectives).double()
    return OutcomeTransform(Outcomes(values, torch.zeros(n, 0) if slacks is None else slacks))


def test_feasibility_is_the_share_of_draws_that_keep_all_limits() -> None:
    known = transform(1, torch.randn(20, 2).double())
    believed = posterior(5, 3)
    draws = believed.mean[:, 1:] + believed.std[:, 1:] * torch.randn(200_000, 5, 2)
    share = (draws >= known.thresholds).all(dim=2).double().mean(dim=0)
    torch.testing.assert_close(log_feasibility(believed, known).exp(), share, rtol=0, atol=0.01)
    assert log_feasibility(posterior(5, 1), transform(1)).tolist() == [0.0] * 5


@pytest.mark.parametrize("acquisition", ALL)
@pytest.mark.parametrize("objectives", [1, 3])
@pytest.mark.parametrize("limits", [0, 2])
@pytest.mark.parametrize("kept", [True, False])
def test_batches_are_distinct_and_repeatable(
    acquisition: AbstractAcquisition, objectives: int, limits: int, kept: bool
) -> None:
    known = transform(objectives, torch.randn(20, limits).double() - (0 if kept else 10))
    believed = posterior(50, objectives + limits)
    batches = [
        acquisition(Posterior(believed.mean.clone(), believed.std.clone()), n, transform=known, rng=generator())
        for n in (16, 16, 50, 80)
    ]
    assert batches[0] == batches[1]
    assert [len(set(batch)) for batch in batches] == [16, 16, 50, 50]


def test_orders_by_the_mean_and_by_an_optimistic_bound() -> None:
    known, believed = transform(1), posterior(30, 1)
    assert (
        UpperConfidenceBound(0.0)(believed, 5, transform=known, rng=generator())
        == believed.mean[:, 0].topk(5).indices.tolist()
    )
    believed = posterior(30, 1)
    bound = believed.mean[:, 0] + 3 * believed.std[:, 0]
    rows = UpperConfidenceBound(3.0)(believed, 5, transform=known, rng=generator())
    assert rows == bound.topk(5).indices.tolist()


@pytest.mark.parametrize("acquisition", ALL)
def test_limits_are_heeded(acquisition: AbstractAcquisition) -> None:
    """The better half surely misses the limit."""
    known = transform(1, torch.linspace(-1, 1, 20).double()[:, None])
    sides = torch.arange(20) >= 10
    mean = torch.stack([torch.where(sides, 2.8, 3.0), torch.where(sides, 2.0, -2.0)], dim=1)
    believed = Posterior(mean, torch.full((20, 2), 0.2))
    assert min(acquisition(believed, 4, transform=known, rng=generator())) >= 10


@pytest.mark.parametrize("acquisition", [UpperConfidenceBound(), UpperConfidenceBound(0.0)])
def test_while_nothing_is_feasible_the_likeliest_is_asked(acquisition: AbstractAcquisition) -> None:
    known = transform(1, -torch.rand(20, 1).double() - 1)
    believed = Posterior(torch.randn(20, 2), torch.full((20, 2), 0.3))
    likeliest = int(believed.mean[:, 1].argmax())
    if float(believed.mean[likeliest, 1]) < float(known.thresholds[0]):
        assert acquisition(believed, 1, transform=known, rng=generator()) == [likeliest]


def test_several_objectives_spread_a_batch_along_the_front() -> None:
    """All are on a line of compromises; both ends are among eight picks, and no third is empty."""
    share = torch.linspace(0, 1, 60)
    known = transform(2)
    for acquisition in ALL:
        believed = Posterior(2 + torch.stack([share, 1 - share], dim=1), torch.full((60, 2), 0.01))
        rows = torch.tensor(acquisition(believed, 24, transform=known, rng=generator()))
        assert all(bool(((rows >= low) & (rows < low + 20)).any()) for low in (0, 20, 40))


@pytest.mark.parametrize("acquisition", [*ALL, OptimisticHypervolume(2.0, 2.0)])
@pytest.mark.parametrize("kept", [1, 2])
def test_one_row_that_keeps_the_limits_spans_no_range(acquisition: AbstractAcquisition, kept: int) -> None:
    """Objectives are then scaled by all that is known, and scores stay finite."""
    slacks = torch.full((20, 1), -0.1).double()
    slacks[:kept] = 0.1
    values = torch.randn(20, 2).double()
    values[1, 0] = values[0, 0]
    picks = acquisition(posterior(50, 3), 8, transform=OutcomeTransform(Outcomes(values, slacks)), rng=generator())
    assert len(set(picks)) == 8


def test_the_criterion_is_increasing_in_every_objective() -> None:
    known = transform(2)
    criterion = Criterion(known, torch.tensor([0.3, 0.7]).double())
    transformed = torch.randn(40, 2).double()
    for step in torch.tensor([[0.1, 0.0], [0.0, 0.1]]).double():
        assert bool((criterion(transformed + step) > criterion(transformed)).all())
    assert criterion.best == float(criterion(known.transformed).max())
    assert criterion(transformed.reshape(8, 5, 2)).shape == (8, 5)


def test_equal_candidates_do_not_fill_a_batch() -> None:
    """Of the best cell there are ten isomorphs: one query is enough to know them all."""
    features = torch.randn(60, 4)
    features[20:30] = features[20]
    values = features[:20, :1].double() + 0.01 * torch.randn(20, 1)
    known = OutcomeTransform(Outcomes.unlimited(values))
    model = GaussianProcess()
    model.fit(features[:20], known.transformed, seed=0)
    believed = model.predict(features)
    rows = UpperConfidenceBound(5.0)(believed, 12, transform=known, rng=generator())
    assert sum(20 <= row < 30 for row in rows) <= 3


def test_ties_are_broken_by_chance() -> None:
    flat = [Posterior(torch.zeros(100, 1), torch.full((100, 1), 0.1)) for _ in range(2)]
    rows = [
        UpperConfidenceBound(0.0)(believed, 5, transform=transform(1), rng=torch.Generator().manual_seed(seed))
        for seed, believed in enumerate(flat)
    ]
    assert rows[0] != rows[1]
