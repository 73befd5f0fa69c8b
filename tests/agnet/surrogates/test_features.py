"""Features against brute force, and what they do not depend on."""

import itertools
import math

import pytest
import torch

from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index
from agnet.spaces.nasbench201 import NASBench201
from agnet.spaces.subspace import Subspace
from agnet.surrogates import features
from agnet.surrogates.features import FeatureMap, graph_features, operation_subsets, subset_features

PER_SUBSET = 7


def random_graphs(n: int, *, nodes: int, num_types: int) -> Graphs:
    """Cells of any size up to ``nodes`` with any edges."""
    sizes = torch.randint(2, nodes + 1, (n,))
    position = torch.arange(nodes)
    types = torch.randint(2, num_types, (n, nodes))
    types[:, 0] = INPUT
    types[position >= sizes[:, None] - 1] = OUTPUT
    _, target = slot_index(nodes)
    return Graphs(types, (torch.rand(n, len(target)) < 0.6) & (target < sizes[:, None]))


def brute_force(graph: Graphs, subset: set[int]) -> list[float]:
    """The features of one graph and one subset, path by path."""
    [types], [edges] = graph.node_types.tolist(), graph.edges.tolist()
    source, target = (part.tolist() for part in slot_index(graph.max_nodes))
    output = types.index(OUTPUT)
    kept = {node for node, kind in enumerate(types) if kind in {INPUT, OUTPUT} or kind - 2 in subset}
    present = {(u, v) for u, v, there in zip(source, target, edges, strict=True) if there and {u, v} <= kept}
    inner = [node for node in kept if types[node] > INPUT]
    paths = [
        (0, *middle, output)
        for size in range(len(inner) + 1)
        for middle in itertools.combinations(sorted(inner), size)
        if all(step in present for step in itertools.pairwise((0, *middle, output)))
    ]
    lengths = [len(path) - 1 for path in paths]
    return [
        math.log1p(len(paths)),
        min(lengths, default=graph.max_nodes),
        max(lengths, default=0),
        sum(u == 0 for u, _ in present),
        sum(v == output for _, v in present),
        len(inner),
        len({node for path in paths for node in path[1:-1]}),
    ]


@pytest.mark.parametrize(("nodes", "num_types"), [(7, 5), (6, 7), (3, 3)])
def test_they_are_what_enumerating_paths_gives(nodes: int, num_types: int) -> None:
    graphs = random_graphs(40, nodes=nodes, num_types=num_types)
    found = subset_features(graphs.relaxed(num_types), num_types)
    subsets = [{i for i, there in enumerate(row) if there} for row in operation_subsets(num_types - 2).tolist()]
    for row in range(len(graphs)):
        expected = [x for subset in subsets for x in brute_force(graphs[row : row + 1], subset)]
        torch.testing.assert_close(found[row], torch.tensor(expected, dtype=torch.float32))


def test_real_cells_too() -> None:
    space = NASBench201()
    cells = space.encode(space.sample(30, rng=torch.Generator().manual_seed(0)))
    found = subset_features(cells.relaxed(space.num_types), space.num_types).unflatten(1, (-1, PER_SUBSET))
    for row in range(30):
        expected = torch.tensor(brute_force(cells[row : row + 1], {0, 1, 2, 3}), dtype=torch.float32)
        torch.testing.assert_close(found[row, 25], expected)  # the first subset of four: all but none


def test_the_numbering_of_nodes_does_not_matter() -> None:
    """Two nodes without an edge between them, side by side in the order, change places."""
    graphs = random_graphs(200, nodes=6, num_types=5)
    source, target = slot_index(6)
    adjacency = torch.zeros(200, 6, 6, dtype=torch.bool)
    adjacency[:, source, target] = graphs.edges
    free = (graphs.node_types[:, 2:4] > INPUT).all(dim=1) & ~adjacency[:, 2, 3]
    order = torch.tensor([0, 1, 3, 2, 4, 5])
    swapped = Graphs(graphs.node_types[:, order], adjacency[:, order][:, :, order][:, source, target])
    assert int(free.sum()) > 20
    kept, moved = (subset_features(g[free].relaxed(5), 5) for g in (graphs, swapped))
    torch.testing.assert_close(kept, moved)


@pytest.mark.parametrize(("operations", "subsets"), [(1, 1), (3, 7), (5, 31), (7, 127), (9, 91), (12, 157)])
def test_subsets_are_distinct_and_few(operations: int, subsets: int) -> None:
    found = operation_subsets(operations)
    assert len(found) == len(torch.unique(found, dim=0)) == subsets
    assert bool(found.any(dim=1).all())


def test_a_cell_is_described_alone() -> None:
    space = NASBench201()
    cells = space.encode(space.sample(20, rng=torch.Generator().manual_seed(1)))
    together = graph_features(cells.relaxed(space.num_types), space.num_types)
    alone = [graph_features(cells[i : i + 1].relaxed(space.num_types), space.num_types) for i in range(20)]
    assert torch.equal(together, torch.cat(alone))


def test_a_map_scales_and_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "CHUNK", 1000)
    space = NASBench201()
    mapped = FeatureMap(space)
    rows = mapped(list(space.enumerate()))
    assert float(rows.mean(dim=0).abs().max()) < 0.2
    assert float((rows.std(dim=0) - 1).abs().max()) < 0.5
    some = space.sample(50, rng=torch.Generator().manual_seed(2))
    assert torch.equal(FeatureMap(space)([*some, *some[:3]]), mapped([*some, *some[:3]]))
    monkeypatch.setattr(features, "graph_features", None)  # nothing is computed twice
    mapped(some)


def test_a_space_of_one_cell_has_features() -> None:
    space = NASBench201()
    [cell] = space.sample(1, rng=torch.Generator().manual_seed(0))
    assert FeatureMap(Subspace(space, [cell]))([cell]).tolist() == [[0.0]]
