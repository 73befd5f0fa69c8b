"""Numeric features of a recurrent cell: its composition, and the paths of states and input through it."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Float64

from agnet.spaces.nasbench_nlp.cells import FIRST, MARKED, TYPES, Cells
from agnet.spaces.nasbench_nlp.notation import INPUTS, OPERATIONS, STATES
from agnet.spaces.nasbench_nlp.space import NASBenchNLP

_FAR = 99.0  # path length if there is no path
_BOUNDED = (TYPES["sigm"], TYPES["tanh"])
_LENGTHS = (_BOUNDED, (TYPES["linear"],), tuple(TYPES.values()))
"""Operations that are counted along a path: those that saturate, those with weights, all."""


def recurrent_features(space: NASBenchNLP, architectures: Sequence[str]) -> Float32[np.ndarray, "cells features"]:
    """Features of cells.

    The features are, in this order:

    * numbers of operations of every kind, of hidden states, of edges, and of linear operations by number of sources;
    * how often each kind of node reads each other kind;
    * the kind of ``h_new_0`` and of its sources;
    * whether activations keep the new states bounded for any weights;
    * for paths from the input and from the previous states to ``h_new_0``, and from every state to its own next value:
      log(1 + number of paths), the fewest saturating, linear and all operations on a path, and the most operations.

    Raises:
        InvalidArchitecture: if a string is not a cell; the message names the first.
    """
    cells = Cells.of(space.encode(architectures))
    return np.concatenate([*_composition(cells), *_bounds(cells), *_paths(cells)], axis=1).astype(np.float32)


def _composition(cells: Cells) -> Iterator[np.ndarray]:
    used = np.logical_or(cells.edges.any(axis=1), cells.edges.any(axis=2)).astype(np.float64)
    kinds = np.eye(len(OPERATIONS) + FIRST)[cells.types] * np.expand_dims(used, 2)
    yield kinds[:, :, FIRST:].sum(axis=1)
    yield np.expand_dims(cells.states, 1)
    yield cells.edges.sum(axis=2).sum(axis=1, keepdims=True)
    sources = np.where(cells.types == TYPES["linear"], cells.edges.sum(axis=1), 0)
    yield np.stack([(sources == count).sum(axis=1) for count in (2, 3)], axis=1)
    yield np.einsum("buv,bui,bvj->bij", cells.edges, kinds, kinds, optimize=True).reshape(
        len(kinds), kinds.shape[2] ** 2
    )
    rows, new = np.arange(len(kinds)), _new_states(cells)[0]
    yield kinds[rows, new]
    yield np.einsum("bu,bui->bi", cells.edges[rows, :, new], kinds)


def _new_states(cells: Cells) -> np.ndarray:
    """Nodes ``[1 + states, batch]``: ``h_new_0``, then the new states of nodes 1, 2, 3; node 0 if there is none."""
    rows = np.arange(len(cells.size))
    read = cells.edges[rows, :, cells.size - 1]
    place = read.cumsum(axis=1)
    new = [np.where(place[:, -1] >= j, (place >= j).argmax(axis=1), 0) for j in range(1, STATES + 1)]
    marked = (cells.types[:, 1:INPUTS] == MARKED).argmax(axis=1)
    return np.stack([np.choose(marked, new), *new])


def _bounds(cells: Cells) -> Iterator[np.ndarray]:
    """Whether new states are bounded by activations or by other bounded states."""
    rows, new = np.arange(len(cells.size)), _new_states(cells)
    states = np.zeros((len(rows), STATES), dtype=bool)
    for _ in range(STATES + 1):
        bounded = _bounded(cells, states)
        states = np.stack([bounded[rows, node] for node in new[1:]], axis=1)
    yield states.sum(axis=1, keepdims=True)
    yield _bounded(cells, states)[rows, new[0]][:, None]


def _bounded(cells: Cells, states: Bool[np.ndarray, "cells states"]) -> Bool[np.ndarray, "cells nodes"]:
    """Nodes whose values are bounded if the given previous states are."""
    found = np.ones(cells.types.shape, dtype=bool)
    found[:, 1:INPUTS] = states
    for node in range(INPUTS, len(cells.types[0])):
        every = (found | ~cells.edges[:, :, node]).all(axis=1)
        found[:, node] = np.isin(cells.types[:, node], _BOUNDED) | every
    return found


def _paths(cells: Cells) -> Iterator[np.ndarray]:
    rows, new = np.arange(len(cells.size)), _new_states(cells)
    marked = 1 + (cells.types[:, 1:INPUTS] == MARKED).argmax(axis=1)
    starts = [0, *range(1, INPUTS)]
    number = {start: _numbers(cells, start) for start in starts}
    shortest = {(start, kinds): _lengths(cells, start, kinds, longest=False) for start in starts for kinds in _LENGTHS}
    longest = {start: _lengths(cells, start, _LENGTHS[-1], longest=True) for start in starts}
    ends = [(start, new[0]) for start in starts] + [(j, new[j]) for j in range(1, INPUTS)]
    for start, end in ends:
        yield np.log1p(number[start][rows, end])[:, None]
        yield np.stack([shortest[start, kinds][rows, end] for kinds in _LENGTHS], axis=1)
        yield longest[start][rows, end][:, None]
    own = [np.stack([shortest[j, kinds][rows, new[0]] for j in starts]) for kinds in _LENGTHS]
    yield np.stack([length[marked, rows] for length in own], axis=1)  # paths from h_prev_0, whatever its node


def _numbers(cells: Cells, start: int) -> Float64[np.ndarray, "cells nodes"]:
    """Number of paths from a node to every other."""
    found = np.zeros(cells.types.shape)
    found[:, start] = 1
    for node in range(INPUTS, len(cells.types[0])):
        found[:, node] = (found * cells.edges[:, :, node]).sum(axis=1)
    return found


def _lengths(cells: Cells, start: int, kinds: Sequence[int], *, longest: bool) -> Float64[np.ndarray, "cells nodes"]:
    """Number of operations of given kinds on the shortest or longest path from a node to every other."""
    nowhere = -_FAR if longest else _FAR
    found = np.full(cells.types.shape, nowhere)
    found[:, start] = 0
    best = np.max if longest else np.min
    for node in range(INPUTS, len(cells.types[0])):
        reached = best(np.where(cells.edges[:, :, node], found, nowhere), axis=1)
        found[:, node] = reached + np.isin(cells.types[:, node], kinds)
    return np.where(np.abs(found) > _FAR / 2, nowhere, found)
