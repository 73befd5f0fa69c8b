"""Repair graphs that are not cells."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from agnet.spaces.graphs import INPUT, OUTPUT
from agnet.spaces.nasbench_nlp.cells import FEWEST, FIRST, MANIEST, MARKED, STATE, TYPES, Cells
from agnet.spaces.nasbench_nlp.notation import INPUTS, STATES

_LINEAR = TYPES["linear"]


def repaired(
    cells: Cells, nodes: Float64[np.ndarray, "batch nodes types"], edges: Float64[np.ndarray, "batch nodes nodes"]
) -> Cells:
    """Turn graphs into cells by likely changes.

    The steps are, in this order:

    1. Nodes that are not operations become the likeliest one.
    2. The output keeps at most three of the nodes that it reads, the likeliest, or gets one.
    3. Every operation keeps or gets its likeliest sources, as many as it takes.
    4. Operations that nothing reads are removed.
    5. An input that nothing reads becomes a further source of a linear operation, or else replaces a source that has
       other readers.

    Args:
        cells: graphs to repair.
        nodes: log-probabilities of node types.
        edges: log-odds of edges.

    Returns:
        The repaired graphs; those that could not be repaired are not cells.
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
    """Node types with inputs, at least one operation, and an output; and numbers of nodes."""
    last = cells.types.shape[1] - 1
    size = np.clip(cells.size, INPUTS + 2, None)
    position = np.arange(last + 1)
    likeliest = nodes[:, :, FIRST:].argmax(axis=2) + FIRST
    types = np.where(cells.types < FIRST, likeliest, cells.types)
    types[position >= size[:, None] - 1] = OUTPUT
    types[:, 0], types[:, 1:INPUTS] = INPUT, cells.types[:, 1:INPUTS]
    return types, size


def _sources(cells: Cells, nodes: np.ndarray, scores: np.ndarray) -> Cells:
    """Sources of the output and the operations: the drawn ones first, as many as each may have."""
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
    """Mask of the ``count`` highest values of every row."""
    order = np.argsort(-wish, axis=1, kind="stable")
    found = np.zeros(wish.shape, dtype=bool)
    np.put_along_axis(found, order, np.arange(wish.shape[1]) < count[:, None], axis=1)
    return found


def _pruned(cells: Cells, scores: np.ndarray) -> tuple[Cells, np.ndarray]:
    """Cells without operations from which no path leads to the output, and scores in the new order of nodes."""
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
    """Cells in which some operation reads a given input or hidden state, if the cell has it."""
    # only cells that have the node but do not read it need a change
    missing = np.flatnonzero((node <= cells.states) & ~cells.edges[:, node].any(axis=1))
    part, score = cells.take(missing), scores[missing]
    # a linear with a free place costs no other edge, so it is preferred
    free = part.operations & (part.types == _LINEAR) & (part.edges.sum(axis=1) < MANIEST[_LINEAR])
    best = np.where(free, score[:, node], -np.inf).argmax(axis=1)
    # an edge is spare if its source has other readers: giving it up leaves no node unread
    spare = part.edges & (part.edges.sum(axis=2) > 1)[:, :, None] & part.operations[:, None, :]
    width = part.types.shape[1]
    # otherwise swap where the scores lose least: reader v reads the node instead of its spare source u
    gain = np.where(spare, score[:, node, None, :] - score, -np.inf).reshape(len(missing), width * width)
    given, taker = np.divmod(gain.argmax(axis=1), width)
    adds, swaps = free.any(axis=1), np.isfinite(gain).any(axis=1)
    edges = cells.edges.copy()
    edges[missing[adds], node, best[adds]] = True
    swaps &= ~adds
    edges[missing[swaps], given[swaps], taker[swaps]] = False
    edges[missing[swaps], node, taker[swaps]] = True
    return cells._replace(edges=edges)
