import math

import pytest
import torch

from agnet.generator.loss import reconstruction_loss
from agnet.generator.model import Decoded, GraphGenerator
from agnet.generator.pairing import FreshNoise, WhitenedProjection
from agnet.generator.pretrain import Schedule, pretrain
from agnet.generator.quality import assess, edit_distance, free_nodes, latent_information
from agnet.spaces.graphs import Graphs
from agnet.spaces.nasbench201 import NASBench201
from benchmarks.pretraining import expected_distinct


def test_loss_by_hand() -> None:
    graphs = Graphs(torch.tensor([[1, 2, 0]]), torch.tensor([[True, False, True]]))
    decoded = Decoded(torch.zeros(1, 3, 4), torch.tensor([[math.log(3.0), math.log(3.0), 0.0]]))
    # nodes: ln 4 each; edges: -ln .75, -ln .25, -ln .5
    expected = math.log(4) - (math.log(0.75) + math.log(0.25) + math.log(0.5)) / 3
    assert reconstruction_loss(decoded, graphs).item() == pytest.approx(expected, rel=1e-6)


def test_floor_on_nasbench201_is_the_entropy_of_uniform_operations() -> None:
    space = NASBench201()
    graphs = space.encode(space.enumerate())
    nodes = torch.nn.functional.one_hot(graphs.node_types, 7).float().mean(dim=0).log().clamp(min=-50)
    edges = torch.where(graphs.edges[0], 50.0, -50.0)
    decoded = Decoded(nodes.expand(len(graphs), -1, -1), edges.expand(len(graphs), -1))
    assert reconstruction_loss(decoded, graphs).mean().item() == pytest.approx(6 * math.log(5) / 8, rel=1e-5)


def test_latent_information_is_zero_if_z_is_ignored_and_full_if_z_decides() -> None:
    same = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0)).expand(50, -1, -1)
    assert latent_information(same).max().item() == pytest.approx(0, abs=1e-12)
    decided = 1e3 * torch.nn.functional.one_hot(torch.arange(50) % 5, 5).float()
    assert latent_information(decided[:, None]).item() == pytest.approx(math.log(5), rel=1e-9)


def test_expected_distinct_by_counting() -> None:
    # two draws from three cells: 1 distinct with probability 1/3, else 2
    assert expected_distinct(2, 3) == pytest.approx(5 / 3)
    assert round(expected_distinct(10_000, 15_625)) == 7386


def test_pretraining_follows_the_seed_and_lowers_the_loss() -> None:
    space = NASBench201()

    def run(seed: int) -> list[float]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = GraphGenerator(space.num_types, space.max_nodes)
        return pretrain(model, space, Schedule(40, 32, 5e-3), FreshNoise(), rng=torch.Generator().manual_seed(seed))

    losses = run(0)
    assert losses == run(0)
    assert losses != run(1)
    assert losses[0] > 2.0
    assert losses[-1] < 1.75


def test_assessment_of_an_untrained_generator_counts_invalid_graphs() -> None:
    space = NASBench201()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GraphGenerator(space.num_types, space.max_nodes)
    found = assess(model, space, draws=200, rng=torch.Generator().manual_seed(0))
    assert found["validity"] < 0.5
    assert found["distinct"] <= 200 * found["validity"] + 1e-9


def test_free_nodes_are_the_operations() -> None:
    assert free_nodes(NASBench201(), rng=torch.Generator().manual_seed(0)).tolist() == [1, 2, 3, 4, 5, 6]


def test_edit_distance_counts_types_and_edges() -> None:
    first = Graphs(torch.tensor([[1, 2, 0], [1, 2, 0]]), torch.tensor([[True, False, True], [True, False, True]]))
    second = Graphs(torch.tensor([[1, 2, 0], [1, 3, 0]]), torch.tensor([[True, False, True], [True, True, False]]))
    assert edit_distance(first, second).tolist() == [0, 3]


@pytest.mark.slow
def test_tied_latents_say_more_and_reconstruct_more_than_noise() -> None:
    space, found = NASBench201(), {}
    for pairing in (WhitenedProjection(0.2, 0.4), FreshNoise()):
        torch.manual_seed(0)
        model = GraphGenerator(space.num_types, space.max_nodes)
        rng = torch.Generator().manual_seed(0)
        pretrain(model, space, Schedule(60, 64), pairing, rng=rng)
        found[pairing.name] = assess(model, space, draws=500, rng=rng)
    tied, untied = found["whitened"], found["noise"]
    assert tied["latent_information_mean"] > 0.2 > 0.05 > untied["latent_information_mean"]
    assert tied["reconstruction"] >= untied["reconstruction"]
    assert tied["segment_changes"] > 1
