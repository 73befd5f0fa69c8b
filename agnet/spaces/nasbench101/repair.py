"""Repair graphs that are not cells: add a path if there is none, remove edges if there are too many."""

import numpy as np
from jaxtyping import Bool, Float64

from agnet.spaces.nasbench101.canonical import MAX_EDGES, SLOTS
from agnet.spaces.nasbench101.cells import SOURCE, TARGET, Cells


def repaired(cells: Cells, scores: Float64[np.ndarray, "batch slots"]) -> Bool[np.ndarray, "batch slots"]:
    """Edges with a path from input to output and, after pruning, at most nine edges.

    If there is no path, the likeliest one is added. Then, while there are too many edges, the least likely one is
    removed, except on the likeliest path.
    """
    path = _likeliest_path(cells, np.where(cells.edges, 0.0, np.maximum(-scores, 0.0)))
    broken = ~cells.live()[:, 0]
    cells = cells._replace(edges=cells.edges | (path & broken[:, None]))
    kept = _likeliest_path(cells, np.where(cells.edges, np.logaddexp(0.0, -scores), np.inf))
    edges = cells.edges.copy()
    rows = np.arange(len(edges))
    while len(rows):
        part = Cells(cells.types[rows], edges[rows], cells.size[rows], cells.proper[rows]).pruned()[0].edges
        many = part.sum(axis=1) > MAX_EDGES
        rows, part = rows[many], part[many]
        least = np.where(part & ~kept[rows], scores[rows], np.inf).argmin(axis=1)
        edges[rows, least] = False
    return edges


def _likeliest_path(cells: Cells, costs: Float64[np.ndarray, "batch slots"]) -> Bool[np.ndarray, "batch slots"]:
    """Edges of the cheapest path from input to output."""
    batch = np.arange(len(costs))
    total = np.full(cells.types.shape, np.inf)
    total[:, 0] = 0.0
    before = np.zeros(cells.types.shape, dtype=np.int64)
    for slot in range(SLOTS):  # in the order of targets
        u, v = SOURCE[slot], TARGET[slot]
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
