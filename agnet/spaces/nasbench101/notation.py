"""Texts of cells, and the benchmark's own descriptions and names of them."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache

from agnet.errors import InvalidArchitecture, quoted
from agnet.spaces.nasbench101.canonical import MAX_VERTICES, OPERATIONS
from agnet.spaces.nasbench101.cells import decode, graphs

BENCHMARK_OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The benchmark's names, in the order of its labels 0, 1, 2."""

TYPES = {name: k for k, name in enumerate(OPERATIONS, start=2)}
"""Node types of the operations."""

_LABELS = (1, 0, 2)  # positions of OPERATIONS in BENCHMARK_OPERATIONS
_BENCHMARK_TYPES = {word: 2 + _LABELS.index(label) for label, word in enumerate(BENCHMARK_OPERATIONS)}
_PATTERN = re.compile(r"(\w+)\((\d(?:,\d)*)\)", flags=re.ASCII)


def parse(architecture: str) -> tuple[list[list[int]], list[str]]:
    """Matrix and operations of a cell, as the benchmark's ``ModelSpec`` takes them.

    Returns:
        Rows of zeros and ones, ``matrix[u][v]`` for the edge from ``u`` to ``v``; and the vertices' operations in the
        benchmark's words, ``input`` first, ``output`` last.

    Raises:
        InvalidArchitecture: if the text is not that of a cell.

    Example:
        >>> parse("conv3x3(0)|output(0,1)")
        ([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ['input', 'conv3x3-bn-relu', 'output'])
    """
    parts = vertices_of(architecture)
    size = len(parts) + 1
    matrix = [[0] * size for _ in range(size)]
    for target, (_, sources) in enumerate(parts, start=1):
        for source in sources:
            matrix[source][target] = 1
    names = [BENCHMARK_OPERATIONS[_LABELS[OPERATIONS.index(name)]] for name, _ in parts[:-1]]
    return matrix, ["input", *names, "output"]


Spec = tuple[int, Sequence[tuple[int, int]], Sequence[str]]
"""A cell as the benchmark describes it: the number of vertices, the edges (source below target), and the benchmark's
words for the operations of all vertices but the first (the input) and the last (the output)."""


def to_strings(specs: Sequence[Spec]) -> list[str | None]:
    """Strings of cells, pruned and renumbered; None for a description that is not a cell of the space.

    Example:
        >>> to_strings([(4, [(0, 1), (0, 2), (1, 3)], ["maxpool3x3"] * 2), (3, [(0, 1)], ["maxpool3x3"])])
        ['maxpool3x3(0)|output(1)', None]
    """
    rows, places = [], []
    for place, (size, pairs, words) in enumerate(specs):
        known = [_BENCHMARK_TYPES[word] for word in words if word in _BENCHMARK_TYPES]
        fits = 2 <= size <= MAX_VERTICES and len(words) == len(known) == size - 2
        if fits and all(0 <= u < v < size for u, v in pairs):
            rows.append((known, pairs))
            places.append(place)
    found: list[str | None] = [None] * len(specs)
    for place, text in zip(places, decode(graphs(rows)), strict=True):
        found[place] = text
    return found


def module_hash(architecture: str) -> str:
    """The benchmark's name of a cell: equal for isomorphic cells, different for all others of the space.

    Vertices are first named by degree and label. Then, as many times as there are vertices, every vertex is renamed by
    the sorted names of its neighbours. Names are MD5 sums.
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


def vertices_of(architecture: str) -> list[tuple[str, tuple[int, ...]]]:
    """Operation and sources of every vertex but the input."""
    texts = architecture.split("|") if isinstance(architecture, str) else []
    try:
        if not 1 <= len(texts) < MAX_VERTICES:
            raise ValueError(f"{len(texts) + 1} vertices")
        parts = [_part(text, vertex, vertex == len(texts)) for vertex, text in enumerate(texts, start=1)]
    except ValueError as error:
        raise InvalidArchitecture(
            f"not a NAS-Bench-101 cell: {quoted(architecture)} ({error}); expected 'op(0)|op(0,1)|output(1,2)': up to "
            f"{MAX_VERTICES} vertices, op one of {', '.join(OPERATIONS)}, with the vertices each reads"
        ) from None
    return parts


@cache
def _part(text: str, vertex: int, last: bool) -> tuple[str, tuple[int, ...]]:
    match = _PATTERN.fullmatch(text)
    if match is None or (match[1] != "output" if last else match[1] not in OPERATIONS):
        raise ValueError(f"vertex {vertex} is {quoted(text)}")
    sources = tuple(map(int, match[2].split(",")))
    if list(sources) != sorted(set(sources)) or sources[-1] >= vertex:
        raise ValueError(f"vertex {vertex} reads {quoted(match[2])}")
    return match[1], sources
