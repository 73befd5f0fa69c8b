"""Canonical numberings: the smallest keys of cells over all topological numberings, texts of keys, and all cells."""

import itertools
from functools import cache

import numpy as np
from jaxtyping import Bool, Int64

OPERATIONS = ("conv1x1", "conv3x3", "maxpool3x3")
"""Operations in node-type order: operation ``k`` is node type ``k + 2``."""

MAX_VERTICES, MAX_EDGES = 7, 9

SLOTS = MAX_VERTICES * (MAX_VERTICES - 1) // 2

_CODES = 4  # number of codes of an interior vertex in a key: three operations, or none
_OPERATION_KEYS = _CODES ** (MAX_VERTICES - 2)


def slot(source: int, target: int) -> int:
    """Edge slot between two vertices; see :mod:`agnet.spaces.graphs`."""
    return target * (target - 1) // 2 + source


@cache
def _numberings(vertices: int) -> Int64[np.ndarray, "permutations vertices"]:
    """New number of every vertex under every order of the interior ones; the identity comes first."""
    inner = itertools.permutations(range(1, vertices - 1))
    return np.array([(0, *order, vertices - 1) for order in inner], dtype=np.int64)


@cache
def _key_weights(vertices: int) -> np.ndarray:
    """Matrix ``[slots + interior, permutations]``: a cell's edges and operation codes times this matrix are its keys.

    The key of a numbering has the edge slots as high bits and the operations as low digits. If an edge would run
    backwards, the key exceeds every proper one.
    """
    numberings = _numberings(vertices)
    weights = np.zeros((SLOTS + MAX_VERTICES - 2, len(numberings)))
    operations = float(_OPERATION_KEYS)
    for source, target in itertools.combinations(range(vertices), 2):
        u, v = numberings[:, source], numberings[:, target]
        bit = 2.0 ** (v * (v - 1) // 2 + u)
        weights[slot(source, target)] = np.where(u < v, bit, 2.0 ** (SLOTS + 1)) * operations
    for vertex in range(1, vertices - 1):
        weights[SLOTS + vertex - 1] = float(_CODES) ** (MAX_VERTICES - 2 - numberings[:, vertex])
    return weights


def canonical_keys(
    edges: Bool[np.ndarray, "cells slots"], codes: Int64[np.ndarray, "cells 5"], vertices: int
) -> Int64[np.ndarray, " cells"]:
    """The smallest key of every cell with a given number of vertices, over all its topological numberings."""
    features = np.concatenate([edges, codes], axis=1, dtype=np.float64)
    keys = [(part @ _key_weights(vertices)).min(axis=1) for part in np.array_split(features, len(features) // 8192 + 1)]
    return np.concatenate(keys).astype(np.int64)


@cache
def all_keys() -> dict[int, Int64[np.ndarray, " cells"]]:
    """Canonical keys of all cells by their number of vertices, ascending; cached for the process, made in a second.

    Trying every shape with every labelling would take long, so shapes are reduced to one per isomorphism class first.
    """
    found = {}
    for vertices in range(2, MAX_VERTICES + 1):
        bits = np.arange(2 ** (vertices * (vertices - 1) // 2))
        into = [sum(1 << slot(u, v) for u in range(v)) for v in range(1, vertices)]
        out = [sum(1 << slot(u, v) for v in range(u + 1, vertices)) for u in range(vertices - 1)]
        # if every vertex reads and is read, all lie on a path from input to output, since numbers are topological
        for mask in (*into, *out):
            bits = bits[bits & mask != 0]
        bits = bits[np.bitwise_count(bits) <= MAX_EDGES]
        # shapes: keep the one numbering per isomorphism class that has the smallest key without any operations
        edges = (bits[:, None] >> np.arange(SLOTS) & 1).astype(bool)
        blank = np.zeros((len(bits), MAX_VERTICES - 2), dtype=np.int64)
        least = canonical_keys(edges, blank, vertices) // _OPERATION_KEYS
        edges = edges[bits == least]
        codes = np.array([*itertools.product(range(3), repeat=vertices - 2)], dtype=np.int64)
        codes = np.pad(codes.reshape(3 ** (vertices - 2), vertices - 2), ((0, 0), (0, MAX_VERTICES - vertices)))
        keys = []
        # labels: the high bits of a shape's key are now fixed, so only renumberings that keep them, its symmetries, can
        # map one labelling to another; of each such orbit the smallest labelling is the canonical cell
        for shape in edges:
            own = (np.concatenate([shape, blank[0]]) @ _key_weights(vertices)).astype(np.int64)
            symmetries = np.flatnonzero(own == own.min())
            labels = (codes @ _key_weights(vertices)[SLOTS:, symmetries]).astype(np.int64)
            first = labels[:, 0] == labels.min(axis=1)  # column 0 is the identity
            keys.append(own.min() + labels[first, 0])
        found[vertices] = np.sort(np.concatenate(keys))
    return found


_SOURCES = tuple(
    ",".join(str(u) for u in range(MAX_VERTICES - 1) if mask >> u & 1) for mask in range(2 ** (MAX_VERTICES - 1))
)
"""Text of the vertices of every mask."""


def strings(keys: Int64[np.ndarray, " cells"], vertices: int) -> list[str]:
    """Texts of canonical cells with a given number of vertices."""
    codes = keys[:, None] // _CODES ** np.arange(MAX_VERTICES - 3, -1, -1) % _CODES
    bits = keys // _OPERATION_KEYS
    columns: list[list[str]] = []
    for vertex in range(1, vertices):
        sources = (bits >> slot(0, vertex) & 2**vertex - 1).tolist()
        names = ["output"] * len(keys) if vertex == vertices - 1 else [OPERATIONS[c] for c in codes[:, vertex - 1]]
        columns.append([f"{name}({_SOURCES[mask]})" for name, mask in zip(names, sources, strict=True)])
    return ["|".join(parts) for parts in zip(*columns, strict=True)]


@cache
def all_cells() -> tuple[str, ...]:
    """Texts of all cells, fewer vertices first."""
    return tuple(itertools.chain.from_iterable(strings(keys, n) for n, keys in all_keys().items()))
