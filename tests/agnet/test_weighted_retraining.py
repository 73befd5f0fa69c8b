import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from agnet.errors import ConfigurationError
from agnet.generator import GraphGenerator
from agnet.graphs import Graphs
from agnet.selection import MixedSelection, TopSelection
from agnet.spaces import AbstractSpace, NASBench201
from agnet.surrogate import MLPSurrogate
from agnet.weighted_retraining import Retraining, WeightedRetraining
from agnet.weights import load_generator

SPACE = NASBench201()
FAST = Retraining(epochs=2, learning_rate=3e-3)


def optimizer(*, seed: int = 0, retraining: Retraining = FAST, **kwargs: Any) -> WeightedRetraining:
    settings: dict[str, Any] = {
        "generator": load_generator,
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
        search.tell(batch, score(batch))
        asked += batch
    return asked


def test_a_search_finds_what_its_values_reward() -> None:
    asked = rounds(optimizer(retraining=Retraining(epochs=10, learning_rate=3e-3)), 7)
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
    """With weighted losses the mean weight is one, so the scale of the losses stays what it was."""
    seen: list[Tensor] = []

    class Spy(WeightedRetraining):
        def _losses(
            self, surrogate: Any, graphs: Graphs, features: Tensor, targets: Tensor, emphasis: Tensor
        ) -> tuple[Tensor, Tensor]:
            seen.append(emphasis)
            return super()._losses(surrogate, graphs, features, targets, emphasis)

    def emphases(retraining: Retraining) -> Tensor:
        seen.clear()
        search = Spy(
            SPACE,
            generator=load_generator,
            surrogate=MLPSurrogate,
            selection=TopSelection(),
            retraining=retraining,
            seed=0,
        )
        rounds(search, 2)
        return torch.cat(seen)

    assert emphases(FAST).unique().tolist() == [1.0]
    twice = emphases(Retraining(epochs=2, weight_losses=True))
    # 16 data, k = .01: weights from 1/.16 to 1/15.16 over their mean
    total = sum(1 / (0.16 + rank) for rank in range(16))
    assert twice.max().item() <= 16 / 0.16 / total + 1e-4
    assert len(twice.unique()) > 1


def test_the_generators_gradient_through_the_surrogate_leaves_the_surrogate_alone() -> None:
    search = optimizer(retraining=Retraining(alpha=0.5))
    graphs = SPACE.encode(SPACE.enumerate()[:8])
    surrogate = MLPSurrogate(84, 1)
    generating, _ = search._losses(surrogate, graphs, graphs.features(7), torch.ones(8, 1), torch.ones(8))
    generating.backward()
    assert all(p.grad is None for p in surrogate.parameters())
    assert all(p.grad is not None for p in search.model.parameters())


def test_joint_loss_is_the_mixture_it_says() -> None:
    graphs = SPACE.encode(SPACE.enumerate()[:8])
    surrogate = MLPSurrogate(84, 1)

    def generating(alpha: float) -> float:
        search = optimizer(retraining=Retraining(alpha=alpha))
        return search._losses(surrogate, graphs, graphs.features(7), torch.ones(8, 1), torch.ones(8))[0].item()

    plain, half, most = generating(0.0), generating(0.5), generating(0.75)
    guided = 2 * half - plain
    assert most == pytest.approx(0.25 * plain + 0.75 * guided, rel=1e-4)
    assert not math.isclose(guided, plain)


def test_several_objectives_share_one_search() -> None:
    search = optimizer()
    for _ in range(3):
        batch = search.ask(16)
        values = torch.cat([score(batch), -score(batch)], dim=1)
        search.tell(batch, values)
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
        Retraining(**wrong)  # pyright: ignore[reportArgumentType]


def test_an_initial_sample_of_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="initial=1"):
        optimizer(initial=1)
