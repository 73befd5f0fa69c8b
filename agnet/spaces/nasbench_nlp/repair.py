"""Cells near graphs that are none."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from agnet.spaces.graphs import INPUT, OUTPUT
from agnet.spaces.nasbench_nlp.cells import FEWEST, FIRST, MANIEST, MARKED, STATE, TYPES, Cells
from agnet.spaces.nasbench_nlp.notation import INPUTS, STATES

_LINEAR = TYPES["linear"]


def repaired(
    cells: Cells, nodes: Float64[np.ndarray, "batch nodes types"], edges: Float64[np.ndarray, "batch nodes nodes"]
) -> Cells:
    """Cells by likely changes.

    In this order: nodes that are no operations become the likeliest; of the nodes that the output reads the likeliest
    are kept, three at most, or one is added; every operation keeps its likeliest sources or gets them, as many as it
    takes; operations that nothing reads go; an input that nothing reads takes a free place of a linear, else the place
    of a source with other readers.

    Args:
        cells: to be repaired.
        nodes: log-probabilities of types.
        edges: log-odds of edges.

    Returns:
        Cells, but for those that could not be repaired.
    """
    types, size = _types(cells, nodes)
    cells = _sources(Cells(types, cells.edges, size), nodes, edges)
    cells, edges = _pruned(cells, edges)
    for node in range(INPUTS):
        cells = _read(cells, node, edges)
    marks = nodes[:, 1:INPUTS, MARKED] - nodes[:, 1:INPUTS, STATE]
    marks = np.where(cells.types[:, 1:INPUTS] == MARKED, 1e6, 0.0) + marks
    marks[np.arange(STATES) >= cells.states[:, None]] = -np.inf
    types = cells.types.copy()
    types[:, 1:INPUTS] = np.where(np.arange(STATES) == marks.argmax(axis=1)[:, None], MARKED, STATE)
    return cells._replace(types=types)


def _types(cells: Cells, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Types with inputs, at least one operation, and an output; and sizes."""
    last = cells.types.shape[1] - 1
    size = np.clip(cells.size, INPUTS + 2, None)
    position = np.arange(last + 1)
    likeliest = nodes[:, :, FIRST:].argmax(axis=2) + FIRST
    types = np.where(cells.types < FIRST, likeliest, cells.types)
    types[position >= size[:, None] - 1] = OUTPUT
    types[:, 0], types[:, 1:INPUTS] = INPUT, cells.types[:, 1:INPUTS]
    return types, size


def _sources(cells: Cells, nodes: np.ndarray, scores: np.ndarray) -> Cells:
    """What the output and the operations read: as many nodes as they can, those that are drawn first."""
    batch, width = cells.types.shape
    rows, position = np.arange(batch), np.arange(width)
    wish = np.where(cells.edges, 1e6, 0.0) + scores
    types, edges = cells.types.copy(), np.zeros_like(cells.edges)
    output = cells.size - 1
    states = np.minimum(np.clip((cells.edges[rows, :, output] & cells.operations).sum(axis=1), 1, STATES), output - 4)
    edges[rows, :, output] = _best(np.where(cells.operations, wish[rows, :, output], -np.inf), states)
    inputs = (position < INPUTS) & (position <= states[:, None])
    for node in range(INPUTS, width - 1):
        allowed = inputs | ((position >= INPUTS) & (position < node))
        count = allowed.sum(axis=1)
        few = (types[:, node] >= FIRST) & (FEWEST[types[:, node]] > count)
        possible = np.where(FEWEST[FIRST:] <= count[:, None], nodes[:, node, FIRST:], -np.inf)
        types[few, node] = possible[few].argmax(axis=1) + FIRST
        kind = types[:, node]
        drawn = (cells.edges[:, :, node] & allowed).sum(axis=1)
        degree = np.minimum(np.clip(drawn, FEWEST[kind], MANIEST[kind]), count) * (node < output)
        edges[:, :, node] |= _best(np.where(allowed, wish[:, :, node], -np.inf), degree)
    return Cells(types, edges, cells.size)


def _best(wish: Float64[np.ndarray, "batch nodes"], count: Int64[np.ndarray, " batch"]) -> Bool[np.ndarray, "..."]:
    """The highest ones, so many."""
    order = np.argsort(-wish, axis=1, kind="stable")
    found = np.zeros(wish.shape, dtype=bool)
    np.put_along_axis(found, order, np.arange(wish.shape[1]) < count[:, None], axis=1)
    return found


def _pruned(cells: Cells, scores: np.ndarray) -> tuple[Cells, np.ndarray]:
    """Without the operations from which no path leads to the output; scores move along."""
    batch, width = cells.types.shape
    live = np.arange(width) == cells.size[:, None] - 1
    for node in range(width - 1, INPUTS - 1, -1):
        live |= cells.edges[:, :, node] & live[:, node, None]
    live[:, :INPUTS] = True
    order = np.argsort(~live, axis=1, kind="stable")
    size = live.sum(axis=1)
    inside = np.arange(width) < size[:, None]
    rows = np.arange(batch)[:, None, None]
    edges = cells.edges[rows, order[:, :, None], order[:, None, :]] & inside[:, :, None] & inside[:, None, :]
    types = np.where(inside, np.take_along_axis(cells.types, order, axis=1), OUTPUT)
    return Cells(types, edges, size), scores[rows, order[:, :, None], order[:, None, :]]


def _read(cells: Cells, node: int, scores: np.ndarray) -> Cells:
    """With a reader of an input or hidden state that the cells have."""
    missing = np.flatnonzero((node <= cells.states) & ~cells.edges[:, node].any(axis=1))
    part, score = cells.take(missing), scores[missing]
    free = part.operations & (part.types == _LINEAR) & (part.edges.sum(axis=1) < MANIEST[_LINEAR])
    best = np.where(free, score[:, node], -np.inf).argmax(axis=1)
    spare = part.edges & (part.edges.sum(axis=2) > 1)[:, :, None] & part.operations[:, None, :]
    width = part.types.shape[1]
    gain = np.where(spare, score[:, node, None, :] - score, -np.inf).reshape(len(missing), width * width)
    given, taker = np.divmod(gain.argmax(axis=1), width)
    adds, swaps = free.any(axis=1), np.isfinite(gain).any(axis=1)
    edges = cells.edges.copy()
    edges[missing[adds], node, best[adds]] = True
    swaps &= ~adds
    edges[missing[swaps], given[swaps], taker[swaps]] = False
    edges[missing[swaps], node, taker[swaps]] = True
    return cells._replace(edges=edges)
