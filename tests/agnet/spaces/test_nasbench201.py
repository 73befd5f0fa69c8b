import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch

from agnet.errors import InvalidArchitecture
from agnet.runtime.paths import ROOT
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs
from agnet.spaces.nasbench201 import (
    EDGES,
    OPERATIONS,
    NASBench201,
    functional_key,
    isomorphism_key,
    live_edges,
    parse,
    to_string,
)

IDS_FILE = ROOT.parent / "shared" / "data" / "nasbench201_ids.json"

# quoted by the robustness dataset's authors (50), NAS-Bench-201's list of best cells (6111), and its id table
QUOTED_IDS = {
    0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    50: "|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_1x1~2|",
    6111: "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    9930: "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
}


@pytest.fixture(scope="module")
def space() -> NASBench201:
    return NASBench201()


@pytest.fixture(scope="module")
def functional(space: NASBench201) -> Mapping[str, list[str]]:
    """Members of every functional class, in id order."""
    classes: dict[str, list[str]] = defaultdict(list)
    for architecture in space.enumerate():
        classes[functional_key(architecture)].append(architecture)
    return classes


@pytest.fixture(scope="module")
def isomorphic(space: NASBench201) -> Mapping[str, list[str]]:
    """Members of every isomorphism class, in id order."""
    classes: dict[str, list[str]] = defaultdict(list)
    for architecture in space.enumerate():
        classes[isomorphism_key(architecture)].append(architecture)
    return classes


def live_convolutions(architecture: str) -> tuple[int, int]:
    """3x3 and 1x1 convolutions on a path from input to output."""
    live = [op for op, alive in zip(parse(architecture), live_edges(architecture), strict=True) if alive]
    return live.count("nor_conv_3x3"), live.count("nor_conv_1x1")


# ---------------------------------------------------------------------------------------------- strings and ids


def test_all_cells_once(space: NASBench201) -> None:
    assert len(space.enumerate()) == space.size == 15_625
    assert len(set(space.enumerate())) == 15_625


@pytest.mark.parametrize(("number", "architecture"), QUOTED_IDS.items())
def test_ids_are_the_benchmarks(space: NASBench201, number: int, architecture: str) -> None:
    assert space.enumerate()[number] == architecture


@pytest.mark.data
def test_ids_and_isomorphs_equal_the_published_table(space: NASBench201) -> None:
    if not IDS_FILE.is_file():
        pytest.skip(f"no {IDS_FILE.name} beside the checkout")
    ids = json.loads(IDS_FILE.read_text())["ids"]
    assert [ids[str(i)]["nb201-string"] for i in range(15_625)] == list(space.enumerate())
    assert [int(ids[str(i)]["isomorph"]) for i in range(15_625)] == list(space.isomorphs)


def test_strings_are_parsed_in_the_order_of_the_edges() -> None:
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none")
    text = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
    assert to_string(operations) == text
    assert parse(text) == operations
    assert EDGES == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


MALFORMED = {
    "nothing": "",
    "unknown operation": "|none~0|+|none~0|none~1|+|none~0|none~1|dil_conv_3x3~2|",
    "source": "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|",
    "missing edge": "|none~0|+|none~0|none~1|+|none~0|none~1|",
    "missing node": "|none~0|+|none~0|none~1|",
    "trailing newline": QUOTED_IDS[0] + "\n",
    "leading space": " " + QUOTED_IDS[0],
    "upper case": QUOTED_IDS[0].upper(),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_strings_are_named(space: NASBench201, text: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: parse(text),
        lambda: space.encode([QUOTED_IDS[0], text]),
        lambda: space.canonical(text),
        lambda: space.functional_key(text),
        lambda: isomorphism_key(text),
    ]
    for call in calls:
        with pytest.raises(InvalidArchitecture) as caught:
            call()
        assert repr(text) in str(caught.value)
        assert all(op in str(caught.value) for op in OPERATIONS), "the message lists the operations"


# ------------------------------------------------------------------------------------------------------- graphs


def test_every_cell_survives_encoding(space: NASBench201) -> None:
    graphs = space.encode(space.enumerate())
    assert bool(space.is_valid(graphs).all())
    assert space.decode(graphs) == list(space.enumerate())
    assert graphs.num_nodes.unique().tolist() == [8]


def test_no_cells_encode_to_no_graphs(space: NASBench201) -> None:
    graphs = space.encode([])
    assert graphs.node_types.shape == (0, space.max_nodes)
    assert graphs.edges.shape == (0, space.num_slots)
    assert space.decode(graphs) == []


def test_sizes_follow_from_the_vocabulary(space: NASBench201) -> None:
    assert (space.max_nodes, space.num_types, space.num_slots) == (8, 7, 28)
    assert space.encode([QUOTED_IDS[0]]).relaxed(space.num_types).flat().shape == (1, 84)


def test_the_line_graph_has_ten_fixed_slots(space: NASBench201) -> None:
    edges = space.encode(space.enumerate()[:100]).edges
    assert edges.unique(dim=0).shape[0] == 1
    assert edges[0].nonzero().flatten().tolist() == [0, 1, 4, 6, 11, 17, 18, 25, 26, 27]


def test_nodes_are_input_operations_output(space: NASBench201) -> None:
    graphs = space.encode([QUOTED_IDS[9]])
    names = [space.node_types[t] for t in graphs.node_types[0].tolist()]
    assert names == ["input", *parse(QUOTED_IDS[9]), "output"]


@pytest.mark.parametrize("slot", range(28))
def test_one_wrong_edge_is_invalid(space: NASBench201, slot: int) -> None:
    graphs = space.encode([QUOTED_IDS[0], QUOTED_IDS[9]])
    graphs.edges[0, slot] ^= True
    assert space.is_valid(graphs).tolist() == [False, True]
    assert space.decode(graphs) == [None, QUOTED_IDS[9]]


@pytest.mark.parametrize(
    ("node", "kind"),
    [(0, OUTPUT), (0, 2), (7, INPUT), (7, 6)] + [(n, kind) for n in range(1, 7) for kind in (INPUT, OUTPUT)],
)
def test_one_wrong_node_is_invalid(space: NASBench201, node: int, kind: int) -> None:
    graphs = space.encode([QUOTED_IDS[0]])
    graphs.node_types[0, node] = kind
    assert space.is_valid(graphs).tolist() == [False]
    assert space.decode(graphs) == [None]


def test_validity_is_rare_among_random_graphs(space: NASBench201) -> None:
    rng = torch.Generator().manual_seed(0)
    graphs = Graphs(torch.randint(0, 7, (200, 8), generator=rng), torch.rand(200, 28, generator=rng) < 0.5)
    assert not bool(space.is_valid(graphs).any())
    assert space.decode(graphs) == [None] * 200


# ------------------------------------------------------------------------------------------------------ sampling


def test_sampling_is_reproducible(space: NASBench201) -> None:
    def draw(seed: int) -> list[str]:
        return space.sample(50, rng=torch.Generator().manual_seed(seed))

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_sampling_goes_on_with_the_generator(space: NASBench201) -> None:
    rng = torch.Generator().manual_seed(3)
    first, second = space.sample(20, rng=rng), space.sample(20, rng=rng)
    assert first != second
    assert space.sample(0, rng=rng) == []


def test_sampling_is_uniform(space: NASBench201) -> None:
    """Bounds are five sigmas, for each of 30 marginals and for the number of distinct cells."""
    n = 20_000
    drawn = space.sample(n, rng=torch.Generator().manual_seed(0))
    sigma = math.sqrt(n * 0.2 * 0.8)
    for edge, column in enumerate(zip(*map(parse, drawn), strict=True)):
        counts = Counter(column)
        for op in OPERATIONS:
            assert abs(counts[op] - n / 5) < 5 * sigma, (edge, op)
    size = 15_625
    missed = (1 - 1 / size) ** n
    both_missed = (1 - 2 / size) ** n
    variance = size * missed * (1 - missed) + size * (size - 1) * (both_missed - missed**2)
    assert abs(len(set(drawn)) - size * (1 - missed)) < 5 * math.sqrt(variance)


# ------------------------------------------------------------------------------------------- isomorphism classes


def test_isomorphism_classes(isomorphic: Mapping[str, list[str]]) -> None:
    sizes = Counter(map(len, isomorphic.values()))
    assert sum(sizes.values()) == 6_466
    assert sizes[1] == 5_116
    assert max(sizes) == 275


def test_the_representative_is_the_lowest_id(space: NASBench201, isomorphic: Mapping[str, list[str]]) -> None:
    cells = space.enumerate()
    for members in isomorphic.values():
        assert {space.canonical(a) for a in members} == {members[0]}
    assert len({space.canonical(a) for a in cells}) == 6_466
    assert all(representative <= i for i, representative in enumerate(space.isomorphs))
    assert all(space.isomorphs[r] == r for r in set(space.isomorphs))


def test_isomorphism_classes_mix_live_convolutions(isomorphic: Mapping[str, list[str]]) -> None:
    """The benchmark's rule merges one convolution used twice with two of equal text: it is no functional key."""
    assert sum(len(set(map(live_convolutions, members))) > 1 for members in isomorphic.values()) == 430


def test_two_live_3x3_convolutions(isomorphic: Mapping[str, list[str]]) -> None:
    """The published study counts 408 cells with exactly two 3x3 and no 1x1 convolutions: live ones."""
    representatives = [members[0] for members in isomorphic.values()]
    assert sum(live_convolutions(a) == (2, 0) for a in representatives) == 408
    named = [Counter(parse(a)) for a in representatives]
    assert sum(c["nor_conv_3x3"] == 2 and not c["nor_conv_1x1"] for c in named) == 405


@pytest.mark.parametrize(
    ("architecture", "key"),
    [
        ("|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|", "#+#+#+0"),
        ("|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|", "#+#+#+(0)@nor_conv_1x1"),
    ],
)
def test_isomorphism_text_keeps_dead_marks(architecture: str, key: str) -> None:
    assert isomorphism_key(architecture) == key


# --------------------------------------------------------------------------------------------- functional classes


def test_functional_classes(space: NASBench201, functional: Mapping[str, list[str]]) -> None:
    assert len(functional) == 5_260
    assert all(space.functional_key(members[-1]) == key for key, members in list(functional.items())[:50])


def test_cells_without_a_live_path(functional: Mapping[str, list[str]]) -> None:
    """They form one class, whose output is an empty sum, and no other cell has an empty output."""
    empty = [key for key in functional if key.endswith("|")]
    assert empty == ["|"]
    assert len(functional["|"]) == 341
    assert all(not any(live_edges(a)) for a in functional["|"])
    alive = itertools.chain.from_iterable(members for key, members in functional.items() if key != "|")
    assert all(any(live_edges(a)) for a in alive)


def test_equal_functions_have_equal_live_convolutions(functional: Mapping[str, list[str]]) -> None:
    for key, members in functional.items():
        assert len(set(map(live_convolutions, members))) == 1, key


def test_replacing_dead_edges_keeps_the_function(space: NASBench201) -> None:
    """A dead edge, whatever its operation, is as good as none."""
    for architecture in space.enumerate()[::7]:
        pruned = to_string(
            [op if alive else "none" for op, alive in zip(parse(architecture), live_edges(architecture), strict=True)]
        )
        assert functional_key(pruned) == functional_key(architecture), architecture


def test_parallel_convolutions_are_told_from_a_shared_one() -> None:
    """conv(x) + conv(x) through two convolutions, and through one whose output is used twice."""
    two = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"
    shared = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|"
    assert isomorphism_key(two) == isomorphism_key(shared)
    assert functional_key(two) == "1=nor_conv_3x3(0);2=nor_conv_3x3(0)|1+2"
    assert functional_key(shared) == "1=nor_conv_3x3(0)|1+1"


def test_equal_pools_are_one_module() -> None:
    """A pool has no weights, so two pools of one input compute the same."""
    two = "|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|"
    shared = "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|"
    assert functional_key(two) == functional_key(shared) == "1=avg_pool_3x3(0)|1+1"


# Scalars stand for feature maps: a convolution is x -> tanh(a x + b) with its own (a, b), the pool a fixed linear map.
WEIGHTS = [(0.31, 0.7), (1.9, -0.4), (-0.83, 0.25), (0.57, -1.1), (-1.3, 0.9), (2.3, 0.05)]


def outputs(architecture: str) -> list[float]:
    """What a cell computes under every assignment of the first weights to its live convolutions, sorted."""
    operations = parse(architecture)
    live = live_edges(architecture)
    kinds = ("nor_conv_1x1", "nor_conv_3x3")
    owners = [[e for e in range(6) if live[e] and operations[e] == kind] for kind in kinds]

    def results() -> Iterator[float]:
        for small in itertools.permutations(range(len(owners[0]))):
            for large in itertools.permutations(range(len(owners[1]))):
                weights = dict(zip(owners[0], [WEIGHTS[i] for i in small], strict=True))
                weights |= dict(zip(owners[1], [(WEIGHTS[i][1], WEIGHTS[i][0]) for i in large], strict=True))
                nodes = [0.4321, 0.0, 0.0, 0.0]
                for e, (source, target) in enumerate(EDGES):
                    x = nodes[source]
                    if not live[e]:
                        continue
                    if operations[e] == "avg_pool_3x3":
                        x = 0.613 * x
                    elif e in weights:
                        x = math.tanh(weights[e][0] * x + weights[e][1])
                    nodes[target] += x
                yield nodes[3]

    return sorted(results())


def test_equal_keys_compute_equal_functions(functional: Mapping[str, list[str]]) -> None:
    """Up to the names of the weights: the sets of outputs over all assignments of weights agree."""
    classes = [members for members in functional.values() if len(members) > 1]
    assert len(classes) > 1_000
    for members in classes[::4]:
        reference, *others = map(outputs, {members[0], members[len(members) // 2], members[-1]})
        for other in others:
            assert other == pytest.approx(reference, rel=1e-12, abs=1e-12), members


def test_different_keys_compute_different_functions(functional: Mapping[str, list[str]]) -> None:
    """Keys that differ only by the pool's linearity (5,044 classes remain with it) are allowed to agree."""
    found: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for key, (first, *_) in list(functional.items())[::3]:
        found[tuple(round(x, 9) for x in outputs(first))].append(key)
    for keys in found.values():
        assert len(keys) == 1 or all("avg_pool_3x3" in key for key in keys), keys
