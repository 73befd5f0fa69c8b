from typing import Any

import pytest
import torch
from torch_geometric.data import Batch, Data

from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index

NODES = 5
SLOTS = NODES * (NODES - 1) // 2


@pytest.fixture
def graphs() -> Graphs:
    """A path of three nodes, a full graph of five, and an input beside an output without an edge."""
    edges = torch.zeros(3, SLOTS, dtype=torch.bool)
    edges[0, [0, 2]] = True  # 0 -> 1 -> 2
    edges[1] = True
    types = torch.tensor([[1, 3, 0, 0, 0], [1, 2, 3, 4, 0], [1, 0, 0, 0, 0]])
    return Graphs(types, edges)


def assert_equal(actual: Graphs, expected: Graphs) -> None:
    assert torch.equal(actual.node_types, expected.node_types)
    assert torch.equal(actual.edges, expected.edges)


@pytest.mark.parametrize("max_nodes", [1, 2, 3, 8, 26])
def test_slots_follow_the_closed_form(max_nodes: int) -> None:
    source, target = slot_index(max_nodes)
    assert len(source) == len(target) == max_nodes * (max_nodes - 1) // 2
    assert torch.equal(target * (target - 1) // 2 + source, torch.arange(len(source)))
    assert bool((source < target).all())


def test_size_counts_up_to_the_first_output(graphs: Graphs) -> None:
    assert len(graphs) == 3
    assert graphs.max_nodes == NODES
    assert graphs.num_nodes.tolist() == [3, 5, 2]


def test_a_graph_without_an_output_fills_all_positions() -> None:
    graphs = Graphs(torch.tensor([[1, 2, 3]]), torch.zeros(1, 3, dtype=torch.bool))
    assert graphs.num_nodes.tolist() == [3]


@pytest.mark.parametrize(
    ("index", "rows"),
    [(slice(1, None), [1, 2]), (torch.tensor([2, 0, 0]), [2, 0, 0]), (torch.tensor([True, False, True]), [0, 2])],
    ids=["slice", "numbers", "mask"],
)
def test_rows_are_chosen_from_types_and_edges_alike(
    graphs: Graphs, index: slice | torch.Tensor, rows: list[int]
) -> None:
    assert_equal(graphs[index], Graphs(graphs.node_types[rows], graphs.edges[rows]))


def test_features_are_one_hot_types_then_edges(graphs: Graphs) -> None:
    features = graphs.relaxed(6).flat()
    assert features.shape == (3, NODES * 6 + SLOTS)
    assert features.dtype == torch.float32
    one_hot = features[:, : NODES * 6].reshape(3, NODES, 6)
    assert torch.equal(one_hot.argmax(dim=2), graphs.node_types)
    assert torch.equal(one_hot.sum(dim=2), torch.ones(3, NODES))
    assert torch.equal(features[:, NODES * 6 :], graphs.edges.float())


def test_data_hold_the_real_nodes_only(graphs: Graphs) -> None:
    path, full, pair = graphs.to_data_list()
    assert [data.num_nodes for data in (path, full, pair)] == [3, 5, 2]
    assert path.x is not None
    assert path.x.tolist() == [INPUT, 3, OUTPUT]
    assert path.edge_index is not None
    assert path.edge_index.tolist() == [[0, 1], [1, 2]]
    assert full.num_edges == SLOTS
    assert pair.num_edges == 0


def test_batch_is_a_disjoint_union(graphs: Graphs) -> None:
    batch: Any = graphs.to_batch()
    assert batch.num_graphs == 3
    assert batch.num_nodes == 3 + 5 + 2
    assert batch.edge_index[:, :2].tolist() == [[0, 1], [1, 2]]
    assert int(batch.edge_index[:, 2:].min()) == 3  # the second graph starts behind the first


def test_round_trips(graphs: Graphs) -> None:
    assert_equal(Graphs.from_data(graphs.to_batch(), max_nodes=NODES), graphs)
    assert_equal(Graphs.from_data(graphs.to_data_list(), max_nodes=NODES), graphs)


def test_round_trip_of_random_graphs() -> None:
    rng = torch.Generator().manual_seed(0)
    _, target = slot_index(NODES)
    types = torch.randint(1, 6, (64, NODES), generator=rng)
    sizes = torch.randint(2, NODES + 1, (64,), generator=rng)
    position = torch.arange(NODES)
    types = types.masked_fill(position >= (sizes - 1)[:, None], OUTPUT)
    edges = (torch.rand(64, SLOTS, generator=rng) < 0.5) & (target < sizes[:, None])
    graphs = Graphs(types, edges)
    assert torch.equal(graphs.num_nodes, sizes)
    assert_equal(Graphs.from_data(graphs.to_batch(), max_nodes=NODES), graphs)


def test_one_hot_types_are_understood(graphs: Graphs) -> None:
    kinds = torch.eye(6)
    one_hot = [Data(x=kinds[data.x], edge_index=data.edge_index) for data in graphs.to_data_list()]
    assert_equal(Graphs.from_data(one_hot, max_nodes=NODES), graphs)
    assert_equal(Graphs.from_data(Batch.from_data_list(list(one_hot)), max_nodes=NODES), graphs)


def test_a_larger_space_pads() -> None:
    data = Data(x=torch.tensor([1, 4, 0]), edge_index=torch.tensor([[0, 1], [2, 2]]))
    graphs = Graphs.from_data([data], max_nodes=4)
    assert graphs.node_types.tolist() == [[1, 4, 0, OUTPUT]]
    assert graphs.edges.tolist() == [[False, True, True, False, False, False]]


def test_edge_order_does_not_matter() -> None:
    sorted_edges = torch.tensor([[0, 0, 1], [1, 2, 2]])
    x = torch.tensor([1, 2, 0])
    first, second = (
        Graphs.from_data([Data(x=x, edge_index=edges)], max_nodes=3)
        for edges in (sorted_edges, sorted_edges[:, [2, 0, 1]])
    )
    assert_equal(first, second)


def test_nothing_becomes_an_empty_batch() -> None:
    graphs = Graphs.from_data([], max_nodes=NODES)
    assert len(graphs) == 0
    assert graphs.edges.shape == (0, SLOTS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(x=torch.tensor([1, 2, 2, 0]), edge_index=torch.empty(2, 0, dtype=torch.int64)), "has 4 nodes.* allows 3"),
        (Data(x=torch.tensor([1, 2, 0]), edge_index=torch.tensor([[2], [1]])), "against the node order"),
        (Data(x=torch.tensor([1, 2, 0]), edge_index=torch.tensor([[1], [1]])), "against the node order"),
        (Data(x=torch.tensor([1, 2, 0])), "lacks x or edge_index"),
        (Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2), "lacks x or edge_index"),
    ],
    ids=["too large", "backward edge", "self-loop", "no edges", "no types"],
)
def test_unreadable_graphs_are_named(data: Data, message: str) -> None:
    good = Data(x=torch.tensor([1, 0]), edge_index=torch.tensor([[0], [1]]))
    with pytest.raises(ValueError, match=f"graph 1 .*{message}"):
        Graphs.from_data([good, data], max_nodes=3)
