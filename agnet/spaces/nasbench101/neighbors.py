"""Cells one change away; every change has its reverse."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter

from agnet.spaces.nasbench101.canonical import MAX_VERTICES
from agnet.spaces.nasbench101.cells import decode, graphs
from agnet.spaces.nasbench101.notation import TYPES, vertices_of

_Cell = tuple[tuple[int, ...], frozenset[tuple[int, int]]]
"""Node types of the interior vertices 1, 2, ... in any order, and edges; vertex 0 is the input, -1 the output."""


def _cell(architecture: str) -> _Cell:
    parts = vertices_of(architecture)
    last = len(parts)
    edges = {(u, -1 if v == last else v) for v, (_, sources) in enumerate(parts, start=1) for u in sources}
    return tuple(TYPES[name] for name, _ in parts[:-1]), frozenset(edges)


def _changes(operations: tuple[int, ...], edges: frozenset[tuple[int, int]]) -> Iterator[_Cell]:
    """Connected cells one change away; some have too many edges."""
    inner = range(1, len(operations) + 1)
    readers = {u: {v for a, v in edges if a == u} for u in (0, *inner)}
    sources = {v: {u for u, b in edges if b == v} for v in (*inner, -1)}
    behind = _descendants(readers)
    for vertex, types in itertools.product(inner, TYPES.values()):
        yield (*operations[: vertex - 1], types, *operations[vertex:]), edges
    for u, v in itertools.product((0, *inner), (*inner, -1)):
        if u == v or u in behind.get(v, ()):
            continue
        if (u, v) not in edges:
            yield operations, edges | {(u, v)}
        elif len(readers[u]) > 1 and len(sources[v]) > 1:
            yield operations, edges - {(u, v)}
        if len(operations) + 2 < MAX_VERTICES:
            new = len(operations) + 1
            for types in TYPES.values():
                beside = edges | {(u, new), (new, v)}
                yield (*operations, types), beside
                if (u, v) in edges:
                    yield (*operations, types), beside - {(u, v)}
    for vertex in inner:
        if len(readers[vertex]) == len(sources[vertex]) == 1:
            [u], [v] = sources[vertex], readers[vertex]
            left = edges - {(u, vertex), (vertex, v)}
            fewer = (*operations[: vertex - 1], *operations[vertex:])
            if len(readers[u]) > 1 and len(sources[v]) > 1:
                yield fewer, _renumbered(left, vertex)
            yield fewer, _renumbered(left | {(u, v)}, vertex)


def _descendants(readers: Mapping[int, set[int]]) -> dict[int, set[int]]:
    """Vertices that can be reached from every vertex."""

    def reached(vertex: int) -> set[int]:
        return set().union(*({v} | reached(v) for v in readers.get(vertex, ())))

    return {vertex: reached(vertex) for vertex in readers}


def _renumbered(edges: Collection[tuple[int, int]], gone: int) -> frozenset[tuple[int, int]]:
    """Edges after a vertex is removed and the numbers above it close the gap."""
    return frozenset((u - (u > gone), v - (v > gone)) for u, v in edges)


def _numbered(cell: _Cell) -> tuple[Sequence[int], list[tuple[int, int]]]:
    """The cell in a topological order."""
    operations, edges = cell
    sources: dict[int, list[int]] = {v: [] for v in range(1, len(operations) + 1)}
    for u, v in edges:
        if v > 0:
            sources[v].append(u)
    order = [vertex for vertex in TopologicalSorter(sources).static_order() if vertex > 0]
    number = {0: 0, -1: len(order) + 1} | {vertex: k for k, vertex in enumerate(order, start=1)}
    return [operations[vertex - 1] for vertex in order], [(number[u], number[v]) for u, v in edges]


def neighbors(architecture: str) -> list[str]:
    """Cells that differ by one operation, one edge more or less, or one vertex more or less; sorted."""
    found = decode(graphs([_numbered(cell) for cell in _changes(*_cell(architecture))]))
    return sorted({text for text in found if text is not None} - {architecture})
