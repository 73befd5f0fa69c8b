import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from agnet import MLPSurrogate, XGBoostSurrogate
from agnet.errors import ConfigurationError
from agnet.generator.checkpoints import load_generator
from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import GraphGenerator
from agnet.multiobjective.outcomes import Outcomes
from agnet.optimizers.weighted_retraining.optimizer import PublishedRetraining, WeightedRetraining
from agnet.optimizers.weighted_retraining.selection import MixedSelection, TopSelection
from agnet.spaces.base import AbstractSpace
from agnet.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
FAST = PublishedRetraining(epochs=2)


def optimizer(*, seed: int = 0, retraining: PublishedRetraining = FAST, **kwargs: Any) -> WeightedRetraining:
    settings: dict[str, Any] = {
        "generator": partial(load_generator, variant="noise"),
        "surrogate": partial(MLPSurrogate, hidden_layers=1),
        "selection": MixedSelection(),
        **kwargs,
    }
    return WeightedRetraining(SPACE, retraining=retraining, seed=seed, **settings)


def score(architectures: list[str]) -> Tensor:
    """Share of 3x3 convolutions: a value that a marginal can learn."""
    return torch.tensor([[a.count("nor_conv_3x3") / 6] for a in architectures], dtype=torch.float64)


def rounds(search: WeightedRetraining, n: int) -> list[str]:
    asked: list[str] = []
    for _ in range(n):
        batch = search.ask(16)
        search.tell(batch, Outcomes.unlimited(score(batch)))
        asked += batch
    return asked


def test_a_search_finds_what_its_values_reward() -> None:
    asked = rounds(optimizer(retraining=PublishedRetraining()), 7)
    assert len(set(asked)) == len(asked) == 112
    first, last = score(asked[:16]).mean(), score(asked[-32:]).mean()
    assert first < 0.35
    assert last > first + 0.25


def test_a_resumed_search_continues_identically() -> None:
    whole = rounds(optimizer(), 4)
    interrupted = optimizer()
    begun = rounds(interrupted, 2)
    resumed = optimizer()
    resumed.load_state_dict(interrupted.state_dict())
    assert begun + rounds(resumed, 2) == whole


def test_global_randomness_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    asked = rounds(optimizer(), 2)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(2)
    assert rounds(optimizer(), 2) == asked


def test_predictions_are_of_the_pool_the_batch_was_chosen_from() -> None:
    search = optimizer(selection=TopSelection())
    rounds(search, 1)
    batch = search.ask(16)
    predicted = search.predictions()
    assert predicted is not None
    assert len(search.pool()) == len(predicted) == 100
    best = {search.pool()[i] for i in predicted[:, 0].argsort(descending=True)[:16].tolist()}
    assert set(batch) == best


class Mute(GraphGenerator):
    """A generator none of whose graphs is valid: every node is the output."""

    def forward(self, z: Tensor) -> Any:
        decoded = super().forward(z)
        nodes = torch.zeros_like(decoded.nodes) + 0 * decoded.nodes
        nodes[:, :, 0] = 50.0
        return type(decoded)(nodes, decoded.edges)


def mute(space: AbstractSpace) -> tuple[GraphGenerator, Mapping[str, Any]]:
    return Mute(space.num_types, space.max_nodes), {}


def test_a_pool_without_valid_graphs_is_filled_from_the_space() -> None:
    search = optimizer(generator=mute, max_draws=500)
    asked = rounds(search, 3)
    assert len(set(asked)) == 48
    assert search.diagnostics()["pool_size"] == 0
    assert search.predictions() is None


def test_weights_count_once_unless_asked() -> None:
    """Doubly weighted losses emphasise the best, so the same draws give another generator."""
    once, twice = (optimizer(retraining=PublishedRetraining(epochs=2, weight_losses=w)) for w in (False, True))
    for search in (once, twice):
        rounds(search, 1)
        search.ask(16)
    pairs = list(zip(once.generator.parameters(), twice.generator.parameters(), strict=True))
    assert not all(a.equal(b) for a, b in pairs)


def joint(alpha: float) -> tuple[WeightedRetraining, MLPSurrogate, dict[str, Tensor]]:
    """Losses of eight graphs whose targets are one."""
    search = optimizer(retraining=PublishedRetraining(alpha=alpha))
    graphs, surrogate = SPACE.encode(SPACE.enumerate()[:8]), MLPSurrogate(84, 1)
    decoded = search.generator(search.generator.prior(8, rng=torch.Generator().manual_seed(0)))
    reconstruction = reconstruction_loss(decoded, graphs)
    parts = search._joint(surrogate, decoded, reconstruction, graphs.relaxed(7).flat(), torch.ones(8, 1))
    return search, surrogate, parts


def test_the_generators_gradient_through_the_surrogate_leaves_the_surrogate_alone() -> None:
    search, surrogate, parts = joint(0.5)
    parts["generator_loss"].sum().backward()
    assert all(p.grad is None for p in surrogate.parameters())
    assert all(p.grad is not None for p in search.generator.parameters())


def test_joint_loss_is_the_mixture_it_says() -> None:
    def generating(alpha: float) -> float:
        torch.manual_seed(0)
        return joint(alpha)[2]["generator_loss"].mean().item()

    plain, half, most = generating(0.0), generating(0.5), generating(0.75)
    guided = 2 * half - plain
    assert most == pytest.approx(0.25 * plain + 0.75 * guided, rel=1e-4)
    assert not math.isclose(guided, plain)


def test_limits_pull_the_search_toward_what_keeps_them() -> None:
    """Many 3x3 convolutions are wanted, but two at most are allowed."""
    search = optimizer(retraining=PublishedRetraining())
    kept = []
    for _ in range(7):
        batch = search.ask(16)
        values = score(batch)
        search.tell(batch, Outcomes(values, 1 - values * 3))
        kept.append(float((values <= 2 / 6 + 1e-9).double().mean()))
        best = values[values <= 2 / 6 + 1e-9].mean()
    assert sum(kept[-3:]) / 3 > 0.7  # without the limit next to none would keep it
    assert best > 0.2  # what is allowed is used
    assert search.predictions() is not None
    assert search.predictions().shape[1] == 1  # of the objective alone


def test_a_fitted_surrogate_picks_and_resumes() -> None:
    def trees() -> WeightedRetraining:
        return optimizer(
            surrogate=partial(XGBoostSurrogate, boosting_rounds=20),
            selection=TopSelection(),
            retraining=PublishedRetraining(epochs=1),
        )

    whole, begun = rounds(trees(), 6), trees()
    first = rounds(begun, 2)
    resumed = trees()
    resumed.load_state_dict(begun.state_dict())
    assert first + rounds(resumed, 4) == whole
    assert score(whole[-32:]).mean() > score(whole[:16]).mean() + 0.2


def test_several_objectives_share_one_search() -> None:
    search = optimizer()
    for _ in range(3):
        batch = search.ask(16)
        values = torch.cat([score(batch), -score(batch)], dim=1)
        search.tell(batch, Outcomes.unlimited(values))
    predicted = search.predictions()
    assert predicted is not None
    assert predicted.shape == (100, 2)


def test_provenance_names_the_checkpoint_and_its_cost() -> None:
    found = optimizer().provenance()
    assert found["cpu_seconds"] > 0
    assert len(found["sha256"]) == 64


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"k": 0.0}, {"alpha": 1.0}, {"alpha": -0.1}]
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=str(next(iter(wrong.values())))):
        PublishedRetraining(**wrong)  # pyright: ignore[reportArgumentType]


def test_an_initial_sample_of_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="initial=1"):
        optimizer(initial=1)
