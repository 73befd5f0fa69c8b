import math

import torch

from agnet.generator import sampling
from agnet.generator.model import Decoded, GraphGenerator
from agnet.generator.sampling import generate, sample_graphs
from agnet.spaces.graphs import INPUT, OUTPUT, slot_index


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_types_and_edges_follow_their_probabilities() -> None:
    n, p_edge = 40_000, 0.3
    types = torch.tensor([0.0, 0.0, 0.2, 0.3, 0.5])
    decoded = Decoded(types.clamp(min=1e-12).log().expand(n, 4, 5), torch.full((n, 6), math.log(p_edge / (1 - p_edge))))
    graphs = sample_graphs(decoded, rng=seeded())
    drawn = torch.bincount(graphs.node_types[:, 1:3].flatten(), minlength=5) / (2 * n)
    # five standard deviations of a frequency
    assert bool(((drawn - types).abs() <= 5 * (types * (1 - types) / (2 * n)).sqrt() + 1e-9).all())
    share = graphs.edges.double().mean(dim=0)
    assert bool(((share - p_edge).abs() <= 5 * math.sqrt(p_edge * (1 - p_edge) / n)).all())


def test_first_node_is_input_last_is_output_and_a_graph_ends_at_its_first_output() -> None:
    n = 500
    graphs = sample_graphs(Decoded(torch.zeros(n, 6, 4), torch.full((n, 15), 30.0)), rng=seeded())
    assert bool((graphs.node_types[:, 0] == INPUT).all())
    assert bool((graphs.node_types[:, -1] == OUTPUT).all())
    sizes = graphs.num_nodes
    assert len(sizes.unique()) > 3
    _, target = slot_index(6)
    for types, edges, size in zip(graphs.node_types, graphs.edges, sizes.tolist(), strict=True):
        assert bool((types[size - 1 :] == OUTPUT).all())
        assert bool(edges[target < size].all())
        assert not bool(edges[target >= size].any())


def test_certain_scores_leave_nothing_to_chance() -> None:
    nodes = torch.full((3, 4, 5), -1e4)
    nodes[:, :, 3] = 1e4
    graphs = sample_graphs(Decoded(nodes, torch.tensor([[1e4, -1e4] * 3] * 3)), rng=seeded())
    assert graphs.node_types.tolist() == [[INPUT, 3, 3, OUTPUT]] * 3
    assert graphs.edges.tolist() == [[True, False] * 3] * 3


def test_what_a_graph_becomes_does_not_depend_on_what_follows_it() -> None:
    decoded = Decoded(torch.randn(30, 5, 4, generator=seeded(1)), torch.randn(30, 10, generator=seeded(2)))
    whole = sample_graphs(decoded, rng=seeded())
    part = sample_graphs(Decoded(decoded.nodes[:7], decoded.edges[:7]), rng=seeded())
    assert torch.equal(whole.node_types[:7], part.node_types)
    assert torch.equal(whole.edges[:7], part.edges)


def test_generating_in_chunks_changes_nothing() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GraphGenerator(5, 6)
    z = model.prior(sampling.CHUNK + 40, rng=seeded())
    graphs, decoded = generate(model, z, rng=seeded(1))
    again = sample_graphs(model(z), rng=seeded(1))
    assert torch.allclose(decoded.nodes, model(z).nodes, atol=1e-5)
    # a uniform number within rounding of a boundary may fall on either side: allow one graph in a thousand
    same = (graphs.node_types == again.node_types).all(dim=1) & (graphs.edges == again.edges).all(dim=1)
    assert float(same.double().mean()) >= 0.999
