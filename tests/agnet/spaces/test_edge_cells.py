"""Cells of other operations and another size than NAS-Bench-201's, and TransNAS-Bench-101's micro space."""

from collections.abc import Sequence

import pytest
import torch

from agnet.errors import InvalidArchitecture
from agnet.spaces.edge_cells import EdgeCells, edges_of, functional_key, live_edges
from agnet.spaces.graphs import slot_index
from agnet.spaces.nasbench201 import NASBench201
from agnet.spaces.transnas_micro import TransNASMicro


class Triangles(EdgeCells):
    """Three vertices, three operations, written as three letters."""

    name = "triangles"
    operations = ("a", "b", "x")
    vertices = 3
    zero = "x"
    identity = "a"

    @staticmethod
    def parse(architecture: str) -> tuple[str, ...]:
        if len(architecture) != 3 or not set(architecture) <= set("abx"):
            raise InvalidArchitecture(architecture)
        return tuple(architecture)

    @staticmethod
    def to_string(operations: Sequence[str]) -> str:
        return "".join(operations)


def test_a_space_of_another_size() -> None:
    space = Triangles()
    assert (space.size, space.max_nodes, space.node_types) == (27, 5, ("output", "input", "a", "b", "x"))
    assert space.decode(space.encode(list(space.enumerate()))) == list(space.enumerate())
    assert len(set(space.enumerate())) == 27
    assert set(space.neighbors("aab")) == {"bab", "xab", "abb", "axb", "aaa", "aax"}


def test_its_line_graph() -> None:
    """Input to the edges that leave vertex 0; edge 0 -> 1 to edge 1 -> 2; the edges into vertex 2 to the output."""
    [edges] = Triangles().encode(["abx"]).edges
    source, target = slot_index(5)
    found = {(int(source[slot]), int(target[slot])) for slot in edges.nonzero()[:, 0]}
    assert found == {(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)}


def test_its_functions() -> None:
    """``b`` directly, or after, or before an identity is one function; two of them in a sum are another."""
    space = Triangles()
    assert {space.functional_key(cell) for cell in ("xbx", "bxa", "axb")} == {"1=b(0)|1"}
    assert space.functional_key("bba") == "1=b(0);2=b(0)|1+2"
    assert space.functional_key("bxx") == space.functional_key("xxb") == "|"
    assert space.canonical("axb") == "abx"


def test_equal_operations_without_weights_are_one() -> None:
    """Two pools of one source are the same pool, twice in a sum; two convolutions are two."""
    operations = ("pool", "pool", "none", "skip", "skip", "skip")
    options = {"zero": "none", "identity": "skip"}
    assert functional_key(edges_of(4), operations, weightless=["pool"], **options) == "1=pool(0)|0+1+1"
    assert functional_key(edges_of(4), operations, **options) == "1=pool(0);2=pool(0)|0+1+2"


def test_live_edges_are_on_a_path() -> None:
    assert live_edges(edges_of(3), ("a", "x", "x"), zero="x") == (False, False, False)
    assert live_edges(edges_of(3), ("a", "x", "a"), zero="x") == (True, False, True)
    assert live_edges(edges_of(3), ("x", "a", "a"), zero="x") == (False, True, False)


def test_the_micro_space_is_nasbench201_without_pools() -> None:
    """Under the names of its digits: the same functions, hence as many classes."""
    micro, other = TransNASMicro(), NASBench201()
    assert micro.size == len(micro.enumerate()) == 4_096
    renamed = [other.to_string(micro.parse(cell)) for cell in micro.enumerate()]
    keys = [micro.functional_key(cell) for cell in micro.enumerate()]
    assert keys == [other.functional_key(cell) for cell in renamed]
    assert len(set(keys)) == len({micro.canonical(cell) for cell in micro.enumerate()})
    assert set(renamed) == {cell for cell in other.enumerate() if "avg_pool_3x3" not in cell}


@pytest.mark.parametrize("text", ["64-41414-4_00_000", "64-41414-1_02_33", "64-41414-1_02_3333", "64-41414-1-02-333"])
def test_other_strings_are_named(text: str) -> None:
    with pytest.raises(InvalidArchitecture, match=f"{text}'; expected '64-41414-a_bc_def'"):
        TransNASMicro().encode([text])


def test_draws_follow_the_seed() -> None:
    space = TransNASMicro()
    drawn = space.sample(5, rng=torch.Generator().manual_seed(3))
    assert drawn == space.sample(5, rng=torch.Generator().manual_seed(3))
