"""NAS-Bench-101: up to seven vertices, nine edges, three operations, 423,624 cells.

Source: Ying et al., 2019, https://arxiv.org/abs/1902.09635. Operations sit on vertices, vertices that lie on no path
from input to output are pruned, and isomorphic cells are one cell. A cell has one string here: its vertices in order,
each with its operation and the vertices that it reads, under the numbering that comes first of all topological ones:
``conv3x3(0)|conv1x1(0,1)|output(1,2)`` is a 3x3 convolution of the input, a 1x1 convolution of both, and their
concatenation.
"""

import hashlib
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from agnet.errors import InvalidArchitecture
from agnet.graphs import INPUT, OUTPUT, Graphs, slot_index
from agnet.spaces.base import AbstractSpace

OPERATIONS = ("conv1x1", "conv3x3", "maxpool3x3")
"""Operations in node-type order: operation ``k`` is node type ``k + 2``."""

BENCHMARK_OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The benchmark's names, in the order of its labels 0, 1, 2."""

MAX_VERTICES, MAX_EDGES = 7, 9

NUM_CELLS = 423_624

_LABELS = (1, 0, 2)  # of OPERATIONS in BENCHMARK_OPERATIONS
_SLOTS = MAX_VERTICES * (MAX_VERTICES - 1) // 2
_CODES = 4  # codes of an interior vertex in a key: three operations, none
_PATTERN = re.compile(r"(\w+)\((\d(?:,\d)*)\)", flags=re.ASCII)


def _slot(source: int, target: int) -> int:
    return target * (target - 1) // 2 + source


_SOURCE, _TARGET = (ends.numpy() for ends in slot_index(MAX_VERTICES))
_BACKWARDS = np.argsort(-_SOURCE, kind="stable")
_POSITIONS = np.arange(MAX_VERTICES)


@cache
def _numberings(vertices: int) -> Int64[np.ndarray, "permutations vertices"]:
    """New number of every vertex under every order of the interior ones; the order as it is comes first."""
    inner = itertools.permutations(range(1, vertices - 1))
    return np.array([(0, *order, vertices - 1) for order in inner], dtype=np.int64)


@cache
def _key_weights(vertices: int) -> np.ndarray:
    """``[slots + interior, permutations]``: a cell's edges and operation codes times this are its keys.

    The key of a numbering is its edge slots as bits, above its operations; it exceeds every proper one where an edge
    would run backwards.
    """
    numberings = _numberings(vertices)
    weights = np.zeros((_SLOTS + MAX_VERTICES - 2, len(numberings)))
    operations = float(_CODES ** (MAX_VERTICES - 2))
    for source, target in itertools.combinations(range(vertices), 2):
        u, v = numberings[:, source], numberings[:, target]
        bit = 2.0 ** (v * (v - 1) // 2 + u)
        weights[_slot(source, target)] = np.where(u < v, bit, 2.0 ** (_SLOTS + 1)) * operations
    for vertex in range(1, vertices - 1):
        weights[_SLOTS + vertex - 1] = float(_CODES) ** (MAX_VERTICES - 2 - numberings[:, vertex])
    return weights


def _canonical_keys(
    edges: Bool[np.ndarray, "cells slots"], codes: Int64[np.ndarray, "cells 5"], vertices: int
) -> Int64[np.ndarray, " cells"]:
    """The least key of every cell of so many vertices over all its topological numberings."""
    features = np.concatenate([edges, codes], axis=1, dtype=np.float64)
    keys = [(part @ _key_weights(vertices)).min(axis=1) for part in np.array_split(features, len(features) // 8192 + 1)]
    return np.concatenate(keys).astype(np.int64)


def _unpacked(keys: Int64[np.ndarray, " cells"]) -> tuple[np.ndarray, np.ndarray]:
    """Edge slots and operation codes of keys."""
    powers = _CODES ** np.arange(MAX_VERTICES - 3, -1, -1)
    codes = keys[:, None] // powers % _CODES
    edges = (keys[:, None] // _CODES ** (MAX_VERTICES - 2)) >> np.arange(_SLOTS) & 1
    return edges.astype(bool), codes


def _strings(keys: Int64[np.ndarray, " cells"], vertices: int) -> list[str]:
    """Texts of canonical cells of so many vertices."""
    _, codes = _unpacked(keys)
    bits = keys // _CODES ** (MAX_VERTICES - 2)
    columns: list[list[str]] = []
    for vertex in range(1, vertices):
        sources = (bits >> _slot(0, vertex) & 2**vertex - 1).tolist()
        names = ["output"] * len(keys) if vertex == vertices - 1 else [OPERATIONS[c] for c in codes[:, vertex - 1]]
        columns.append([f"{name}({_SOURCES[mask]})" for name, mask in zip(names, sources, strict=True)])
    return ["|".join(parts) for parts in zip(*columns, strict=True)]


_SOURCES = tuple(
    ",".join(str(u) for u in range(MAX_VERTICES - 1) if mask >> u & 1) for mask in range(2 ** (MAX_VERTICES - 1))
)
"""Vertices of a mask, as text."""


@cache
def _all_keys() -> dict[int, Int64[np.ndarray, " cells"]]:
    """Canonical keys of all cells by their number of vertices, ascending: made once per process, in a second."""
    found = {}
    for vertices in range(2, MAX_VERTICES + 1):
        bits = np.arange(2 ** (vertices * (vertices - 1) // 2))
        into = [sum(1 << _slot(u, v) for u in range(v)) for v in range(1, vertices)]
        out = [sum(1 << _slot(u, v) for v in range(u + 1, vertices)) for u in range(vertices - 1)]
        for mask in (*into, *out):  # whatever reads and is read lies on a path
            bits = bits[bits & mask != 0]
        bits = bits[np.bitwise_count(bits) <= MAX_EDGES]
        edges = (bits[:, None] >> np.arange(_SLOTS) & 1).astype(bool)
        blank = np.zeros((len(bits), MAX_VERTICES - 2), dtype=np.int64)
        least = _canonical_keys(edges, blank, vertices) // _CODES ** (MAX_VERTICES - 2)
        edges = edges[bits == least]
        codes = np.array([*itertools.product(range(3), repeat=vertices - 2)], dtype=np.int64)
        codes = np.pad(codes.reshape(3 ** (vertices - 2), vertices - 2), ((0, 0), (0, MAX_VERTICES - vertices)))
        keys = []
        for shape in edges:  # operations that come first among those that the shape's symmetries turn into each other
            own = (np.concatenate([shape, blank[0]]) @ _key_weights(vertices)).astype(np.int64)
            symmetries = np.flatnonzero(own == own.min())
            labels = (codes @ _key_weights(vertices)[_SLOTS:, symmetries]).astype(np.int64)
            first = labels[:, 0] == labels.min(axis=1)
            keys.append(own.min() + labels[first, 0])
        found[vertices] = np.sort(np.concatenate(keys))
    return found


@cache
def _all_cells() -> tuple[str, ...]:
    return tuple(itertools.chain.from_iterable(_strings(keys, n) for n, keys in _all_keys().items()))


def parse(architecture: str) -> tuple[list[list[int]], list[str]]:
    """Matrix and operations of a cell, as the benchmark's ``ModelSpec`` takes them.

    Returns:
        Rows of zeros and ones, ``matrix[u][v]`` for the edge from ``u`` to ``v``; and the vertices' operations in the
        benchmark's words, ``input`` first, ``output`` last.

    Raises:
        InvalidArchitecture: if the text is not a cell's.

    Example:
        >>> parse("conv3x3(0)|output(0,1)")
        ([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ['input', 'conv3x3-bn-relu', 'output'])
    """
    parts = _parts(architecture)
    size = len(parts) + 1
    matrix = [[0] * size for _ in range(size)]
    for target, (_, sources) in enumerate(parts, start=1):
        for source in sources:
            matrix[source][target] = 1
    names = [BENCHMARK_OPERATIONS[_LABELS[OPERATIONS.index(name)]] for name, _ in parts[:-1]]
    return matrix, ["input", *names, "output"]


Spec = tuple[int, Sequence[tuple[int, int]], Sequence[str]]
"""A cell as the benchmark describes it: number of vertices, edges (source below target), and the benchmark's words for
the operations of all vertices but the first, which is the input, and the last, the output."""


def to_strings(specs: Sequence[Spec]) -> list[str | None]:
    """Strings of cells: pruned and renumbered; None for what is no cell of the space.

    Example:
        >>> to_strings([(4, [(0, 1), (0, 2), (1, 3)], ["maxpool3x3"] * 2), (3, [(0, 1)], ["maxpool3x3"])])
        ['maxpool3x3(0)|output(1)', None]
    """
    types = np.full((len(specs), MAX_VERTICES), OUTPUT)
    types[:, 0] = INPUT
    edges = np.zeros((len(specs), _SLOTS), dtype=bool)
    wrong = []
    for row, (size, pairs, words) in enumerate(specs):
        known = [_BENCHMARK_TYPES.get(word) for word in words]
        fits = 2 <= size <= MAX_VERTICES and len(words) == size - 2 and None not in known
        if fits and all(0 <= u < v < size for u, v in pairs):
            types[row, 1 : size - 1] = known
            edges[row, [_slot(u, v) for u, v in pairs]] = True
        else:
            wrong.append(row)
    found = _decode(Graphs(torch.from_numpy(types), torch.from_numpy(edges)))
    for row in wrong:
        found[row] = None
    return found


def module_hash(architecture: str) -> str:
    """The benchmark's name of a cell: equal for isomorphic cells, different for all others of the space.

    Starting from degrees and labels, every vertex is named by the sorted names of its neighbours, as often as there are
    vertices; names are MD5 sums.
    """
    matrix, operations = parse(architecture)
    vertices = range(len(operations))
    labels = [-1, *(BENCHMARK_OPERATIONS.index(name) for name in operations[1:-1]), -2]
    readers = [[v for v in vertices if matrix[u][v]] for u in vertices]
    sources = [[u for u in vertices if matrix[u][v]] for v in vertices]
    names = [_md5(str((len(readers[v]), len(sources[v]), labels[v]))) for v in vertices]
    for _ in vertices:
        around = [["".join(sorted(names[u] for u in near[v])) for near in (sources, readers)] for v in vertices]
        names = [_md5(f"{before}|{after}|{name}") for (before, after), name in zip(around, names, strict=True)]
    return _md5(str(sorted(names)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _parts(architecture: str) -> list[tuple[str, tuple[int, ...]]]:
    """Operation and sources of every vertex but the input."""
    texts = architecture.split("|") if isinstance(architecture, str) else []
    try:
        parts = [_part(text, vertex, vertex == len(texts)) for vertex, text in enumerate(texts, start=1)]
        if not 1 <= len(parts) < MAX_VERTICES:
            raise ValueError(f"{len(parts) + 1} vertices")
    except ValueError as error:
        raise InvalidArchitecture(
            f"not a NAS-Bench-101 cell: {architecture!r} ({error}); expected 'op(0)|op(0,1)|output(1,2)': up to "
            f"{MAX_VERTICES} vertices, op one of {', '.join(OPERATIONS)}, with the vertices each reads"
        ) from None
    return parts


@cache
def _part(text: str, vertex: int, last: bool) -> tuple[str, tuple[int, ...]]:
    match = _PATTERN.fullmatch(text)
    if match is None or (match[1] != "output" if last else match[1] not in OPERATIONS):
        raise ValueError(f"vertex {vertex} is {text!r}")
    sources = tuple(map(int, match[2].split(",")))
    if list(sources) != sorted(set(sources)) or sources[-1] >= vertex:
        raise ValueError(f"vertex {vertex} reads {match[2]}")
    return match[1], sources


_Cell = tuple[tuple[int, ...], frozenset[tuple[int, int]]]
"""Node types of the interior vertices 1, 2, ..., and edges; vertex 0 is the input, -1 the output; in any order."""


def _cell(architecture: str) -> _Cell:
    parts = _parts(architecture)
    last = len(parts)
    edges = {(u, -1 if v == last else v) for v, (_, sources) in enumerate(parts, start=1) for u in sources}
    return tuple(_TYPES[name] for name, _ in parts[:-1]), frozenset(edges)


def _changes(operations: tuple[int, ...], edges: frozenset[tuple[int, int]]) -> Iterator[_Cell]:
    """Connected cells one change away; some have too many edges."""
    inner = range(1, len(operations) + 1)
    readers = {u: {v for a, v in edges if a == u} for u in (0, *inner)}
    sources = {v: {u for u, b in edges if b == v} for v in (*inner, -1)}
    behind = _descendants(readers)
    for vertex, types in itertools.product(inner, _TYPES.values()):
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
            for types in _TYPES.values():
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
    """What can be reached from every vertex."""

    def reached(vertex: int) -> set[int]:
        return set().union(*({v} | reached(v) for v in readers.get(vertex, ())))

    return {vertex: reached(vertex) for vertex in readers}


def _renumbered(edges: Collection[tuple[int, int]], gone: int) -> frozenset[tuple[int, int]]:
    """Edges after a vertex has left, which closes the gap."""
    return frozenset((u - (u > gone), v - (v > gone)) for u, v in edges)


def _graphs(cells: Iterable[_Cell]) -> Graphs:
    """Graphs of cells, in a topological order."""
    rows = list(cells)
    types = torch.full((len(rows), MAX_VERTICES), OUTPUT)
    types[:, 0] = INPUT
    edges = torch.zeros(len(rows), _SLOTS, dtype=torch.bool)
    for row, (operations, present) in enumerate(rows):
        sources: dict[int, list[int]] = {v: [] for v in range(1, len(operations) + 1)}
        for u, v in present:
            if v > 0:
                sources[v].append(u)
        order = [vertex for vertex in TopologicalSorter(sources).static_order() if vertex > 0]
        number = {0: 0, -1: len(order) + 1} | {vertex: k for k, vertex in enumerate(order, start=1)}
        for vertex in order:
            types[row, number[vertex]] = operations[vertex - 1]
        for u, v in present:
            edges[row, _slot(number[u], number[v])] = True
    return Graphs(types, edges)


class _Cells(NamedTuple):
    """Graphs as arrays, cut at their first output.

    Attributes:
        types: node types.
        edges: slots between nodes of the graph.
        size: nodes up to the output.
        proper: whether input, operations and output are where they belong.
    """

    types: Int64[np.ndarray, "batch nodes"]
    edges: Bool[np.ndarray, "batch slots"]
    size: Int64[np.ndarray, " batch"]
    proper: Bool[np.ndarray, " batch"]

    @classmethod
    def of(cls, graphs: Graphs) -> "_Cells":
        types, size = graphs.node_types.numpy(), graphs.num_nodes.numpy()
        inner = (_POSITIONS > 0) & (size[:, None] - 1 > _POSITIONS)
        proper = (types[:, 0] == INPUT) & (types[np.arange(len(types)), size - 1] == OUTPUT)
        proper &= (~inner | (types > INPUT)).all(axis=1)
        return cls(types, graphs.edges.numpy() & (size[:, None] > _TARGET), size, proper)

    def live(self) -> Bool[np.ndarray, "batch nodes"]:
        """Nodes on a path from input to output."""
        reached, needed = np.zeros(self.types.shape, dtype=bool), self.size[:, None] - 1 == _POSITIONS
        reached[:, 0] = True
        for slot in range(_SLOTS):  # in the order of targets
            reached[:, _TARGET[slot]] |= self.edges[:, slot] & reached[:, _SOURCE[slot]]
        for slot in _BACKWARDS:
            needed[:, _SOURCE[slot]] |= self.edges[:, slot] & needed[:, _TARGET[slot]]
        return reached & needed

    def pruned(self) -> tuple["_Cells", Bool[np.ndarray, "batch nodes"]]:
        """Without the edges off all paths; and the nodes that are on one."""
        live = self.live()
        return self._replace(edges=self.edges & live[:, _SOURCE] & live[:, _TARGET]), live


def _decode(graphs: Graphs) -> list[str | None]:
    """Strings of graphs: cut at the first output, pruned, renumbered; None where no cell is left."""
    cells, live = _Cells.of(graphs).pruned()
    valid = cells.proper & live[:, 0] & (cells.edges.sum(axis=1) <= MAX_EDGES)
    # live vertices move up to the front, keeping their order
    vertices, place = live.sum(axis=1), live.cumsum(axis=1) - 1
    moved = np.zeros_like(cells.edges)
    rows, slots = np.nonzero(cells.edges)
    u, v = place[rows, _SOURCE[slots]], place[rows, _TARGET[slots]]
    moved[rows, v * (v - 1) // 2 + u] = True
    codes = np.zeros((len(live), MAX_VERTICES - 2), dtype=np.int64)
    rows, nodes = np.nonzero(live & valid[:, None] & (cells.types > INPUT))
    codes[rows, place[rows, nodes] - 1] = cells.types[rows, nodes] - 2
    found: list[str | None] = [None] * len(live)
    for count in range(2, MAX_VERTICES + 1):
        chosen = np.flatnonzero(valid & (vertices == count))
        if len(chosen):
            keys = _canonical_keys(moved[chosen], codes[chosen], count)
            for row, text in zip(chosen.tolist(), _strings(keys, count), strict=True):
                found[row] = text
    return found


def _mended(cells: _Cells, scores: Float64[np.ndarray, "batch slots"]) -> Bool[np.ndarray, "batch slots"]:
    """Edges with a path from input to output and, pruned, at most nine.

    Where there is no path, the one that is likeliest to be added is added; then, where there are too many edges, those
    that are least likely go one by one, but for the likeliest path.
    """
    path = _likeliest_path(cells, np.where(cells.edges, 0.0, np.maximum(-scores, 0.0)))
    broken = ~cells.live()[:, 0]
    cells = cells._replace(edges=cells.edges | (path & broken[:, None]))
    kept = _likeliest_path(cells, np.where(cells.edges, np.logaddexp(0.0, -scores), np.inf))
    edges = cells.edges.copy()
    rows = np.arange(len(edges))
    while len(rows):
        part = _Cells(cells.types[rows], edges[rows], cells.size[rows], cells.proper[rows]).pruned()[0].edges
        many = part.sum(axis=1) > MAX_EDGES
        rows, part = rows[many], part[many]
        least = np.where(part & ~kept[rows], scores[rows], np.inf).argmin(axis=1)
        edges[rows, least] = False
    return edges


def _likeliest_path(cells: _Cells, costs: Float64[np.ndarray, "batch slots"]) -> Bool[np.ndarray, "batch slots"]:
    """Edges of the cheapest path from input to output."""
    batch = np.arange(len(costs))
    total = np.full(cells.types.shape, np.inf)
    total[:, 0] = 0.0
    before = np.zeros(cells.types.shape, dtype=np.int64)
    for slot in range(_SLOTS):  # in the order of targets
        u, v = _SOURCE[slot], _TARGET[slot]
        cost = total[:, u] + costs[:, slot]
        better = cost < total[:, v]
        total[better, v], before[better, v] = cost[better], u
    path = np.zeros(costs.shape, dtype=bool)
    at = cells.size - 1
    while (at > 0).any():
        source = before[batch, at]
        moving = at > 0
        path[batch[moving], (at * (at - 1) // 2 + source)[moving]] = True
        at = np.where(moving, source, 0)
    return path


class NASBench101(AbstractSpace):
    """The NAS-Bench-101 cells, one string for each isomorphism class.

    Graphs have a node for every vertex; what follows the first output is not part of a graph, and vertices off every
    path from input to output are pruned when a graph is decoded.

    Example:
        >>> space = NASBench101()
        >>> space.enumerate()[:3]
        ('output(0)', 'conv1x1(0)|output(1)', 'conv3x3(0)|output(1)')
    """

    name = "nasbench101"
    node_types = ("output", "input", *OPERATIONS)
    max_nodes = MAX_VERTICES
    size = NUM_CELLS

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Graphs of strings; see :class:`AbstractSpace`."""
        types = np.full((len(architectures), MAX_VERTICES), OUTPUT)
        types[:, 0] = INPUT
        edges = np.zeros((len(architectures), _SLOTS), dtype=bool)
        for row, architecture in enumerate(architectures):
            parts = _parts(architecture)
            types[row, 1 : len(parts)] = [_TYPES[name] for name, _ in parts[:-1]]
            for target, (_, sources) in enumerate(parts, start=1):
                first = _slot(0, target)
                for u in sources:
                    edges[row, first + u] = True
        graphs = Graphs(torch.from_numpy(types), torch.from_numpy(edges))
        for architecture, own in zip(architectures, _decode(graphs), strict=True):
            if own != architecture:
                raise InvalidArchitecture(
                    f"not a NAS-Bench-101 cell: {architecture!r} has more than {MAX_EDGES} edges"
                    if own is None
                    else f"{architecture!r} is written {own!r} in this space (pruned, and renumbered)"
                )
        return graphs

    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs, None where what is left after pruning is no cell."""
        return _decode(graphs)

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Which graphs have a path from input to output and, pruned, at most nine edges."""
        return torch.tensor([text is not None for text in _decode(graphs)], dtype=torch.bool)

    def mend(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """See :class:`AbstractSpace`: a path where there is none, fewer edges where there are too many."""
        del nodes
        cells = _Cells.of(graphs)
        pruned, live = cells.pruned()
        wrong = np.flatnonzero(cells.proper & (~live[:, 0] | (pruned.edges.sum(axis=1) > MAX_EDGES)))
        part = _Cells(*(array[wrong] for array in cells))
        changed = graphs.edges.clone()
        changed[torch.from_numpy(wrong)] = torch.from_numpy(_mended(part, edges.double().numpy()[wrong]))
        return Graphs(graphs.node_types, changed)

    def sample(self, n: int, *, generator: torch.Generator) -> list[str]:
        """Uniform over the isomorphism classes."""
        drawn = torch.randint(NUM_CELLS, (n,), generator=generator).numpy()
        found: list[str] = [""] * n
        begin = 0
        for vertices, keys in _all_keys().items():
            rows = np.flatnonzero((drawn >= begin) & (drawn < begin + len(keys)))
            for row, text in zip(rows.tolist(), _strings(keys[drawn[rows] - begin], vertices), strict=True):
                found[row] = text
            begin += len(keys)
        return found

    def neighbors(self, architecture: str) -> list[str]:
        """Cells one change away, each change with its reverse.

        An operation is another one; an edge is added or left out; a vertex that one vertex reads and that reads one is
        added beside or within an edge, or left out with its edges or for one edge.
        """
        operations, edges = _cell(architecture)
        found = _decode(_graphs(_changes(operations, edges)))
        return sorted({text for text in found if text is not None} - {architecture})

    def enumerate(self) -> Sequence[str]:
        """All 423,624 strings: fewer vertices first."""
        return _all_cells()

    def canonical(self, architecture: str) -> str:
        """The string itself: isomorphic cells are one."""
        _parts(architecture)
        return architecture

    def functional_key(self, architecture: str) -> str:
        """The string itself."""
        _parts(architecture)
        return architecture


_TYPES = {name: k for k, name in enumerate(OPERATIONS, start=2)}
_BENCHMARK_TYPES = {word: 2 + _LABELS.index(label) for label, word in enumerate(BENCHMARK_OPERATIONS)}
