import itertools
from collections import Counter

import pytest
import torch

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.generator.model import Decoded
from agnet.generator.sampling import likeliest_graphs, sample_graphs
from agnet.spaces.darts.genotype import (
    edge_number,
    from_genotype,
    to_configuration,
    to_genotype,
)
from agnet.spaces.darts.notation import OPERATIONS, SOURCES, parse, to_string
from agnet.spaces.darts.space import DARTS
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""Published by Liu et al."""

V2 = (
    "|sep_conv_3x3~0|sep_conv_3x3~1|+|sep_conv_3x3~0|sep_conv_3x3~1|+|skip_connect~0|sep_conv_3x3~1|+"
    "|skip_connect~0|dil_conv_3x3~2|/|max_pool_3x3~0|max_pool_3x3~1|+|max_pool_3x3~1|skip_connect~2|+"
    "|max_pool_3x3~0|skip_connect~2|+|max_pool_3x3~1|skip_connect~2|"
)


@pytest.fixture(scope="module")
def space() -> DARTS:
    return DARTS()


@pytest.fixture(scope="module")
def many(space: DARTS) -> list[str]:
    return space.sample(10_000, rng=torch.Generator().manual_seed(0))


def test_graphs_of_ten_thousand_pairs_decode_to_them(space: DARTS, many: list[str]) -> None:
    assert space.decode(space.encode(many)) == many


def test_every_choice_is_equally_likely(many: list[str]) -> None:
    """Chi-squared statistics of operations and pairs of sources, against five standard deviations."""
    cells = [parse(text) for text in many]
    for name, step in itertools.product(("normal", "reduce"), range(4)):
        reads = Counter((cell[name][step][0][1], cell[name][step][1][1]) for cell in cells)
        operations = Counter(op for cell in cells for op, _ in cell[name][step])
        for counts, choices in ((reads, SOURCES[step]), (operations, OPERATIONS)):
            expected = counts.total() / len(choices)
            assert set(counts) == set(choices)
            free = len(choices) - 1
            assert sum((n - expected) ** 2 / expected for n in counts.values()) <= free + 5 * (2 * free) ** 0.5


def test_the_graph_of_a_pair(space: DARTS) -> None:
    graphs = space.encode([V2])
    types = [space.node_types[k] for k in graphs.node_types[0].tolist()]
    assert types[:4] == ["input", "input_1", "sep_conv_3x3", "sep_conv_3x3"]
    assert types[10:14] == ["max_pool_3x3", "max_pool_3x3", "max_pool_3x3", "skip_connect"]
    assert types[-1] == "output"
    source, target = slot_index(19)
    edges = {(int(source[i]), int(target[i])) for i in graphs.edges[0].nonzero()[:, 0]}
    into = {v: sorted(u for u, w in edges if w == v) for v in range(19)}
    assert into[1] == [0]
    assert (into[2], into[3], into[8]) == ([0], [1], [0])
    assert into[9] == [2, 3]  # the last of the normal cell reads node 2, that is, both its operations
    assert into[13] == [10, 11]
    assert into[18] == list(range(2, 18))


def test_one_edge_more_or_less_is_no_pair(space: DARTS) -> None:
    """Nor one other end."""
    graphs = space.encode([V2])
    for slot in range(space.num_slots):
        edges = graphs.edges.clone()
        edges[0, slot] ^= True
        assert space.decode(Graphs(graphs.node_types, edges)) == [None]
    for node, other in ((0, OUTPUT), (1, INPUT), (1, 4), (18, 3), (5, 2), (5, INPUT)):
        types = graphs.node_types.clone()
        types[0, node] = other
        assert space.decode(Graphs(types, graphs.edges)) == [None]


def test_any_scores_decode_to_pairs(space: DARTS) -> None:
    rng = torch.Generator().manual_seed(1)
    scores = Decoded(torch.randn(300, 19, 10, generator=rng), torch.randn(300, 171, generator=rng))
    assert None not in space.decode(likeliest_graphs(scores, space))
    drawn = sample_graphs(scores, rng=rng)
    assert None not in space.decode(space.repair(drawn, nodes=scores.nodes, edges=scores.edges))


def test_repair_keeps_what_fits_and_chooses_the_likeliest(space: DARTS) -> None:
    """The last normal node loses all it reads: the most probable pair takes its place."""
    graphs = space.encode([V2])
    source, target = slot_index(19)
    edges = graphs.edges.clone()
    edges[0, (target == 8) | (target == 9)] = False
    scores = torch.full((1, 171), -5.0)
    scores[0, (target == 8) & (source == 1)] = 3.0
    scores[0, (target == 9) & ((source == 6) | (source == 7))] = 3.0
    nodes = torch.zeros(1, 19, 10)
    [repaired] = space.decode(space.repair(Graphs(graphs.node_types, edges), nodes=nodes, edges=scores))
    assert repaired == V2.replace("|skip_connect~0|dil_conv_3x3~2|/", "|skip_connect~1|dil_conv_3x3~4|/")


def test_children_take_whole_nodes(space: DARTS, many: list[str]) -> None:
    rng = torch.Generator().manual_seed(2)
    mother, father = many[:2]
    taken = set()
    for _ in range(20):
        child = parse(space.recombine(mother, father, rng=rng))
        for name, step in itertools.product(("normal", "reduce"), range(4)):
            options = [parse(parent)[name][step] for parent in (mother, father)]
            assert child[name][step] in options
            taken.add((name, step, options.index(child[name][step])))
    assert len(taken) == 16


def test_it_cannot_be_enumerated(space: DARTS) -> None:
    with pytest.raises(ConfigurationError, match="cannot be enumerated"):
        space.enumerate()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (V2.split("/")[0], "1 cells"),
        (V2.replace("/", "+"), "1 cells"),
        (V2.replace("sep_conv_3x3~0|sep_conv_3x3~1", "sep_conv_3x3~1|sep_conv_3x3~0", 1), "node 2 reads 1 and 0"),
        (V2.replace("dil_conv_3x3~2", "dil_conv_3x3~5"), "node 5 reads 0 and 5"),
        (V2.replace("dil_conv_3x3", "conv_7x7"), "node 5 is"),
        (V2 + "+|skip_connect~0|skip_connect~1|", "5 nodes"),
    ],
)
def test_other_texts_are_told_what_is_wrong(space: DARTS, text: str, reason: str) -> None:
    with pytest.raises(InvalidArchitecture) as caught:
        space.encode([V2, text])
    assert reason in str(caught.value)


# ---------------------------------------------------------------------------------------------------------- notations


def test_a_published_genotype() -> None:
    assert from_genotype(DARTS_V2) == V2
    assert from_genotype(to_genotype(V2)) == V2


def test_notations_and_back(many: list[str]) -> None:
    for text in many[:500]:
        assert to_string(parse(text)) == text
        assert from_genotype(to_genotype(text)) == text


def test_edges_are_numbered_by_target_then_source() -> None:
    numbers = [edge_number(u, v) for v in range(2, 6) for u in range(v)]
    assert numbers == list(range(14))


def test_a_configuration_has_what_is_active() -> None:
    found = {key.rpartition(":")[2]: value for key, value in to_configuration(V2).items()}
    assert len(found) == 16 + 6
    assert found["edge_normal_0"] == found["edge_normal_1"] == "sep_conv_3x3"
    assert found["inputs_node_normal_5"] == "0_2"
    assert found["edge_normal_11"] == "dil_conv_3x3"
    assert found["edge_reduce_4"] == "skip_connect"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense(", "not a DARTS genotype"),
        ("[1, 2]", "no call"),
        ("Genotype(normal=[])", "normal_concat"),
        (DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 3, 4]"), r"normal_concat=\[2, 3, 4\]"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)"), "node 5 reads 0 and 0"),
        (DARTS_V2.replace("dil_conv_3x3", "none"), "operation 'none'"),
        (DARTS_V2.replace("('dil_conv_3x3', 2)", "__import__('os')"), "not a DARTS genotype"),
    ],
)
def test_other_genotypes_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidArchitecture, match=reason):
        from_genotype(text)


def test_one_cell_beside_another(space: DARTS) -> None:
    """Graphs of the searched cell alone; strings of whole pairs."""
    normal, reduce = V2.split("/")
    for fixed in ({"reduce": reduce}, {"normal": normal}):
        part = DARTS(fixed=fixed)
        drawn = part.sample(500, rng=torch.Generator().manual_seed(0))
        assert part.max_nodes == 11
        [(name, text)] = fixed.items()
        assert {a.split("/")[0 if name == "normal" else 1] for a in drawn} == {text}
        assert part.decode(part.encode(drawn)) == drawn == space.decode(space.encode(drawn))
        assert set(part.neighbors(V2)) == {a for a in space.neighbors(V2) if parse(a)[name] == parse(V2)[name]}
    cells = [
        DARTS(fixed={"reduce": reduce}).encode([V2]),
        DARTS(fixed={"normal": reduce}).encode([f"{reduce}/{normal}"]),
    ]
    assert torch.equal(cells[0].edges, cells[1].edges), "a cell has one graph, wherever it stands"
    assert torch.equal(cells[0].node_types, cells[1].node_types)


def test_what_cannot_be_fixed() -> None:
    normal, reduce = V2.split("/")
    with pytest.raises(ConfigurationError, match="give one cell, normal or reduce, or none"):
        DARTS(fixed={"normal": normal, "reduce": reduce})
    with pytest.raises(ConfigurationError, match="give one cell"):
        DARTS(fixed={"middle": normal})
    with pytest.raises(InvalidArchitecture, match="not a DARTS cell"):
        DARTS(fixed={"normal": V2})
    with pytest.raises(InvalidArchitecture, match="not with the normal cell"):
        DARTS(fixed={"normal": reduce}).encode([V2])


@pytest.mark.parametrize(
    "bomb", ["range(2, 300000000)", "range(2, 10**9999)", "range(9**99)", "[" * 5000, "-" * 9000 + "1"]
)
def test_a_genotype_cannot_fill_memory(bomb: str) -> None:
    with pytest.raises(InvalidArchitecture, match="not a DARTS genotype") as caught:
        from_genotype(f"Genotype(normal=[], normal_concat={bomb}, reduce=[], reduce_concat=range(2, 6))")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
