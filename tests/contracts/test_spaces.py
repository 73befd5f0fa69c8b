"""What every space in ``conf/space`` must keep."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from agnet.errors import InvalidArchitecture
from agnet.generator.model import Decoded
from agnet.generator.sampling import sample_graphs
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index

NUM = 500


@pytest.fixture(scope="module", params=sorted(p.stem for p in (CONF_DIR / "space").glob("*.yaml")))
def space(request: pytest.FixtureRequest, build: Callable[..., Any]) -> AbstractSpace:
    return build("space", request.param)


@pytest.fixture(scope="module")
def drawn(space: AbstractSpace) -> list[str]:
    return space.sample(NUM, rng=torch.Generator().manual_seed(0))


def test_samples_follow_the_generator(space: AbstractSpace, drawn: list[str]) -> None:
    assert len(drawn) == NUM
    assert space.sample(NUM, rng=torch.Generator().manual_seed(0)) == drawn
    assert space.sample(NUM, rng=torch.Generator().manual_seed(1)) != drawn
    assert len(set(drawn)) > NUM / 2
    assert space.sample(0, rng=torch.Generator()) == []


def test_decode_inverts_encode(space: AbstractSpace, drawn: list[str]) -> None:
    graphs = space.encode(drawn)
    assert len(graphs) == NUM
    assert graphs.node_types.shape == (NUM, space.max_nodes)
    assert graphs.edges.shape == (NUM, space.num_slots)
    assert space.decode(graphs) == drawn
    assert bool(space.is_valid(graphs).all())
    assert space.decode(space.encode([])) == []


def test_graphs_keep_the_layout(space: AbstractSpace, drawn: list[str]) -> None:
    types = space.encode(drawn).node_types
    assert int(types.min()) >= 0
    assert int(types.max()) < space.num_types
    assert bool((types[:, 0] == INPUT).all())
    assert bool((types == OUTPUT).any(dim=1).all())
    assert bool(((types == INPUT).sum(dim=1) == 1).all())


def test_torch_geometric_and_back(space: AbstractSpace, drawn: list[str]) -> None:
    graphs = space.encode(drawn)
    for form in (graphs.to_batch(), graphs.to_data_list()):
        assert space.decode(Graphs.from_data(form, max_nodes=space.max_nodes)) == drawn


def test_valid_is_what_decodes(space: AbstractSpace, drawn: list[str]) -> None:
    """Random graphs, and drawn ones with one node or one edge changed."""
    rng = torch.Generator().manual_seed(1)
    types, edges = (t.clone() for t in (space.encode(drawn).node_types, space.encode(drawn).edges))
    rows = torch.arange(NUM)
    types[rows[::2], torch.randint(space.max_nodes, (NUM,), generator=rng)[::2]] = OUTPUT
    edges[rows[1::2], torch.randint(space.num_slots, (NUM,), generator=rng)[1::2]] ^= True
    noise = Graphs(torch.randint(space.num_types, types.shape, generator=rng), edges)
    for graphs in (Graphs(types, edges), noise):
        decoded, valid = space.decode(graphs), space.is_valid(graphs)
        assert [a is not None for a in decoded] == valid.tolist()
        kept = [a for a in decoded if a is not None]
        assert space.decode(space.encode(kept)) == kept


def test_cells_need_no_repair(space: AbstractSpace, drawn: list[str]) -> None:
    """And what is repaired is a cell, or what it was."""
    rng = torch.Generator().manual_seed(2)
    graphs = space.encode(drawn)
    scores = {
        "nodes": torch.randn(NUM, space.max_nodes, space.num_types, generator=rng),
        "edges": torch.randn(NUM, space.num_slots, generator=rng),
    }
    kept = space.repair(graphs, **scores)
    assert torch.equal(kept.node_types, graphs.node_types)
    assert torch.equal(kept.edges, graphs.edges)
    noise = sample_graphs(Decoded(**scores), rng=rng)
    before = noise.node_types.clone(), noise.edges.clone()
    repaired = space.repair(noise, **scores)
    assert torch.equal(noise.node_types, before[0]), "the graphs given are left alone"
    assert torch.equal(noise.edges, before[1])
    changed = (repaired.edges != noise.edges).any(dim=1) | (repaired.node_types != noise.node_types).any(dim=1)
    assert bool(space.is_valid(repaired[changed]).all())
    again = space.repair(repaired, **scores)
    assert torch.equal(again.edges, repaired.edges)


@pytest.mark.parametrize("text", ["", "nonsense", "|", "|none~0|"])
def test_other_texts_are_refused(space: AbstractSpace, drawn: list[str], text: str) -> None:
    for architectures in ([text], [*drawn[:3], text]):
        with pytest.raises(InvalidArchitecture):
            space.encode(architectures)


def test_canonical_is_idempotent_and_keeps_the_function(space: AbstractSpace, drawn: list[str]) -> None:
    for architecture in drawn:
        canonical = space.canonical(architecture)
        assert space.decode(space.encode([canonical])) == [canonical]
        assert space.canonical(canonical) == canonical
    assert space.has_isomorphs == any(space.canonical(architecture) != architecture for architecture in drawn)


def test_parts_share_no_more_than_what_is_fixed(space: AbstractSpace, drawn: list[str]) -> None:
    """No edge lies outside of the parts, and parts are as large as the space that one generator serves."""
    graphs = space.encode(drawn).relaxed(space.num_types)
    assert set().union(*space.parts) == set(range(space.max_nodes))
    assert len({len(nodes) for nodes in space.parts}) == 1
    source, target = (ends.tolist() for ends in slot_index(space.max_nodes))
    inside = {(u, v) for nodes in space.parts for u in nodes for v in nodes}
    outside = [slot for slot, ends in enumerate(zip(source, target, strict=True)) if ends not in inside]
    assert not graphs.edges[:, outside].any()
    for node in (n for n in range(space.max_nodes) if sum(n in nodes for nodes in space.parts) > 1):
        assert (graphs.nodes[:, node] == graphs.nodes[0, node]).all()


def test_countable_spaces_hold_what_they_sample(space: AbstractSpace, drawn: list[str]) -> None:
    if space.size is None:
        pytest.skip("too large to enumerate")
    everything = set(space.enumerate())
    assert len(everything) == len(space.enumerate()) == space.size
    assert everything.issuperset(drawn)


def test_neighbors_are_new_valid_and_mutual(space: AbstractSpace, drawn: list[str]) -> None:
    for architecture in drawn[:10]:
        near = space.neighbors(architecture)
        assert len(set(near)) == len(near) > 0
        assert architecture not in near
        assert space.decode(space.encode(near)) == near
        assert all(architecture in space.neighbors(other) for other in near[::5])


def test_children_are_valid_and_take_after_both_parents(space: AbstractSpace, drawn: list[str]) -> None:
    rng = torch.Generator().manual_seed(0)
    different = 0
    for mother, father in zip(drawn[:40:2], drawn[1:40:2], strict=True):
        child = space.recombine(mother, father, rng=rng)
        assert space.decode(space.encode([child])) == [child]
        different += child not in (mother, father)
        assert space.recombine(mother, mother, rng=rng) == mother
        both, own = space.encode([mother, father]).node_types, space.encode([child]).node_types
        assert set(own.unique().tolist()) <= set(both.unique().tolist())
    assert different > 5


def test_new_samples_are_new(space: AbstractSpace, drawn: list[str]) -> None:
    rng = torch.Generator().manual_seed(0)
    new = space.sample_new(300, known=set(drawn), rng=rng)
    assert len(set(new)) == 300
    assert not set(new) & set(drawn)
    assert space.sample_new(0, known=[], rng=rng) == []
    if space.size is not None and space.size < 20_000:
        everything = list(space.enumerate())
        assert sorted(space.sample_new(9, known=set(everything[5:]), rng=rng)) == sorted(everything[:5])


HUGE = 1_000_000
MONSTERS = {
    "one word": "x" * HUGE,
    "nested": "(" * HUGE,
    "bars": "|" * HUGE,
    "cells": "/" * HUGE,
    "digits": f"output({'9' * HUGE})",
    "sources": f"output({'0,' * (HUGE // 2)}0)",
    "marked": f"linear(0,1)|output(*{'5' * HUGE})",
    "nodes": "|".join(f"tanh({node})" for node in range(HUGE // 14)),
    "edges": "|nor_conv_3x3~0|+" * (HUGE // 17),
    "lines": "\n" * HUGE,
}


@pytest.mark.parametrize("kind", MONSTERS)
def test_long_texts_are_refused_at_once_and_quoted_in_short(space: AbstractSpace, kind: str) -> None:
    for text in (MONSTERS[kind], space.sample(1)[0] + MONSTERS[kind]):
        begin = time.perf_counter()
        with pytest.raises(InvalidArchitecture) as caught:
            space.encode([text])
        assert time.perf_counter() - begin < 5  # on a busy machine
        assert len(str(caught.value)) < 800
