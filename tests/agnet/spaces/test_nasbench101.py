import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch

from agnet.errors import InvalidArchitecture
from agnet.generator.model import Decoded
from agnet.generator.sampling import likeliest_graphs
from agnet.runtime.paths import ROOT
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs
from agnet.spaces.nasbench101.canonical import MAX_EDGES
from agnet.spaces.nasbench101.notation import BENCHMARK_OPERATIONS, Spec, module_hash, parse, to_strings
from agnet.spaces.nasbench101.space import NASBench101

DATA = ROOT.parent / "shared" / "data" / "nasbench101.npz"
WORDS = BENCHMARK_OPERATIONS


@pytest.fixture(scope="module")
def space() -> NASBench101:
    return NASBench101()


@pytest.fixture(scope="module")
def drawn(space: NASBench101) -> list[str]:
    return space.sample(300, rng=torch.Generator().manual_seed(3))


def spec(architecture: str) -> Spec:
    matrix, operations = parse(architecture)
    size = len(operations)
    edges = [(u, v) for u in range(size) for v in range(size) if matrix[u][v]]
    return size, edges, operations[1:-1]


def shuffled(cell: Spec, rng: random.Random) -> Spec:
    """The same cell under another topological order."""
    size, edges, words = cell
    left, order = list(range(1, size - 1)), [0]
    while left:
        ready = [v for v in left if all(u in order for u, w in edges if w == v)]
        order.append(rng.choice(ready))
        left.remove(order[-1])
    number = {v: k for k, v in enumerate([*order, size - 1])}
    return size, [(number[u], number[v]) for u, v in edges], [words[v - 1] for v in order[1:]]


def test_numbers_of_cells_are_the_published_ones(space: NASBench101) -> None:
    sizes = Counter(text.count("|") + 2 for text in space.enumerate())
    assert sizes == {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}
    assert len(space.enumerate()) == len(set(space.enumerate())) == space.size == 423_624


@pytest.mark.parametrize("vertices", [4, pytest.param(5, marks=pytest.mark.slow)])
def test_every_cell_of_up_to_so_many_vertices_by_trial(space: NASBench101, vertices: int) -> None:
    """All matrices and operations, told apart by the benchmark's own hash."""
    found: dict[str, str] = {}
    specs = [
        (size, edges, words)
        for size in range(2, vertices + 1)
        for count in range(1, 1 + min(MAX_EDGES, size * (size - 1) // 2))
        for edges in itertools.combinations(list(itertools.combinations(range(size), 2)), count)
        for words in itertools.product(WORDS, repeat=size - 2)
    ]
    for text in to_strings(specs):
        if text is not None:
            assert found.setdefault(module_hash(text), text) == text
    assert set(found.values()) == {text for text in space.enumerate() if text.count("|") + 2 <= vertices}


def test_the_numbering_does_not_matter(drawn: list[str]) -> None:
    rng = random.Random(0)
    others = [shuffled(spec(text), rng) for text in drawn]
    assert to_strings(others) == drawn
    assert sum(other != spec(text) for other, text in zip(others, drawn, strict=True)) > 100


def test_hashes_tell_cells_apart(drawn: list[str]) -> None:
    assert len({module_hash(text) for text in drawn}) == len(set(drawn)) > 290


def test_what_lies_on_no_path_is_pruned() -> None:
    whole = (4, [(0, 1), (1, 3), (0, 3)], [WORDS[0], WORDS[1]])  # vertex 2 is loose
    unread = (4, [(0, 1), (1, 3), (0, 3), (0, 2)], [WORDS[0], WORDS[1]])
    blind = (4, [(0, 1), (1, 3), (0, 3), (2, 3)], [WORDS[0], WORDS[1]])
    assert to_strings([whole, unread, blind]) == ["conv3x3(0)|output(0,1)"] * 3


def test_edges_are_counted_after_pruning() -> None:
    inner = [(0, v) for v in range(1, 6)]
    nine = (7, [*inner, *((v, 6) for v in range(1, 5)), (0, 5)], [WORDS[2]] * 5)  # vertex 5 is unread
    ten = (7, [*inner, *((v, 6) for v in range(1, 6))], [WORDS[2]] * 5)
    assert to_strings([nine, ten])[0] is not None
    assert to_strings([ten]) == [None]


@pytest.mark.parametrize(
    "cell",
    [
        (1, [], []),
        (8, [(0, 7)], [WORDS[0]] * 6),
        (3, [(0, 1), (1, 2)], ["conv5x5"]),
        (3, [(0, 1), (1, 2)], []),
        (3, [(0, 1)], [WORDS[0]]),
        (3, [(1, 0), (1, 2)], [WORDS[0]]),
        (3, [(0, 1), (1, 3)], [WORDS[0]]),
    ],
    ids=["one vertex", "eight", "an operation", "too few operations", "no path", "backwards", "no such vertex"],
)
def test_what_is_no_cell(cell: Spec) -> None:
    assert to_strings([cell]) == [None]


def test_graphs_end_at_the_first_output(space: NASBench101) -> None:
    [graph] = [space.encode(["conv3x3(0)|output(0,1)"])]
    assert graph.node_types.tolist() == [[INPUT, 3, *[OUTPUT] * 5]]
    longer = Graphs(graph.node_types.clone(), graph.edges.clone())
    longer.node_types[0, 4] = 2
    longer.edges[0, 6:] = True
    assert space.decode(longer) == ["conv3x3(0)|output(0,1)"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("conv3x3(0)|output(1,0)", "vertex 2 reads '1,0'"),
        ("conv3x3(1)|output(1)", "vertex 1 reads '1'"),
        ("conv3x3(0)|conv1x1(1)", "vertex 2 is 'conv1x1(1)'"),
        ("conv3x3(0)|output(0)", "is written 'output(0)' in this space"),
        ("conv3x3(0)|conv1x1(0)|output(1,2)", "is written 'conv1x1(0)|conv3x3(0)|output(1,2)' in this space"),
        ("|".join(["maxpool3x3(0)"] * 6 + ["output(1)"]), "8 vertices"),
        (
            "conv1x1(0)|conv1x1(0)|conv1x1(0)|conv1x1(0)|conv1x1(0)|output(1,2,3,4,5)",
            "has more than 9 edges",
        ),
    ],
)
def test_other_texts_are_told_what_is_wrong(space: NASBench101, text: str, reason: str) -> None:
    with pytest.raises(InvalidArchitecture) as caught:
        space.encode(["output(0)", text])
    assert reason in str(caught.value)
    assert repr(text) in str(caught.value)


def test_a_missing_path_is_the_likeliest(space: NASBench101) -> None:
    """From 0 over 1 to the output 2: both edges are unlikely, but together likelier than the one from 0 to 2."""
    types = torch.tensor([[INPUT, 3, *[OUTPUT] * 5]])
    none = Graphs(types, torch.zeros(1, 21, dtype=torch.bool))
    scores = torch.full((1, 21), -9.0)
    for over, expected in ((-2.0, "conv3x3(0)|output(1)"), (-5.0, "output(0)")):
        scores[0, :3] = torch.tensor([over, -6.0, over])  # 0 -> 1, 0 -> 2, 1 -> 2
        repaired = space.repair(none, nodes=torch.zeros(1, 7, 5), edges=scores)
        assert space.decode(repaired) == [expected]


def test_the_least_likely_of_too_many_edges_go(space: NASBench101) -> None:
    types = torch.tensor([[INPUT, 2, 2, 2, 2, 2, OUTPUT]])
    full = Graphs(types, torch.ones(1, 21, dtype=torch.bool))
    scores = torch.full((1, 21), 5.0)
    doubted = [20, 19, 18, 17, 16, 14, 13, 12, 11, 9, 8]  # most of what 6, 5 and 4 read; a path over few is left
    scores[0, doubted] = torch.linspace(1, 2, len(doubted))
    repaired = space.repair(full, nodes=torch.zeros(1, 7, 5), edges=scores)
    [text] = space.decode(repaired)
    assert text is not None
    left = space.encode([text]).edges.sum()
    assert left <= MAX_EDGES
    assert bool((repaired.edges <= full.edges).all())


def test_any_scores_give_cells(space: NASBench101) -> None:
    rng = torch.Generator().manual_seed(5)
    scores = Decoded(torch.randn(500, 7, 5, generator=rng), 3 * torch.randn(500, 21, generator=rng) - 1)
    scores.nodes[:, 1:, INPUT] = -30  # a second input is no vertex
    plain, repaired = likeliest_graphs(scores), likeliest_graphs(scores, space)
    before, after = space.decode(plain), space.decode(repaired)
    assert None not in after
    assert before.count(None) > 50
    assert all(a == b for a, b in zip(after, before, strict=True) if b is not None)


def test_neighbors_of_a_small_cell(space: NASBench101) -> None:
    """By hand: other operations, the edge beside it, a vertex within either edge or beside one, none at all."""
    near = space.neighbors("conv3x3(0)|output(1)")
    ops = ("conv1x1", "conv3x3", "maxpool3x3")
    chains = {f"{a}(0)|{b}(1)|output(2)" for a, b in itertools.product(ops, ops) if "conv3x3" in (a, b)}
    beside = {text for text in near if text.count("|") == 2} - chains
    assert {text for text in near if text.count("|") < 2} == {
        *("conv1x1(0)|output(1)", "maxpool3x3(0)|output(1)", "conv3x3(0)|output(0,1)", "output(0)"),
    }
    assert chains <= set(near)
    # a vertex beside input and cell, cell and output, or the whole: three operations each
    assert len(beside) == 9
    assert all("conv3x3" in text for text in beside)


@pytest.mark.slow
def test_every_cell_is_reached_from_every_other(space: NASBench101) -> None:
    """By single changes; checked on the cells of up to four vertices, with those of five on the way."""
    small = {text for text in space.enumerate() if text.count("|") <= 2}
    seen, edge = {"output(0)"}, ["output(0)"]
    while edge:
        near = {other for text in edge for other in space.neighbors(text) if other.count("|") <= 3}
        edge = sorted(near - seen) if not small <= seen else []
        seen |= near
    assert small <= seen


@pytest.mark.data
@pytest.mark.slow
def test_all_hashes_are_the_benchmarks() -> None:
    """The file is sorted by the published hashes, so ours of its cells must ascend, without a tie."""
    if not DATA.is_file():
        pytest.skip(f"no {DATA}")
    with np.load(DATA) as content:
        sizes, bits, ops = (content[key].tolist() for key in ("n_vertices", "upper_bits", "ops"))
    specs = []
    for size, mask, codes in zip(sizes, bits, ops, strict=True):
        pairs = itertools.combinations(range(size), 2)
        edges = [pair for k, pair in enumerate(pairs) if mask >> k & 1]
        specs.append((size, edges, [WORDS[code] for code in codes[: size - 2]]))
    names = to_strings(specs)
    assert len(set(names)) == 423_624
    hashes = [module_hash(name) for name in names if name is not None]
    assert len(hashes) == 423_624
    assert all(a < b for a, b in itertools.pairwise(hashes))
