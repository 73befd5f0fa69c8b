"""Graphs as arrays: their live nodes, the cells that they are, and graphs of cells."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64

from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index
from agnet.spaces.nasbench101.canonical import MAX_EDGES, MAX_VERTICES, SLOTS, canonical_keys, slot, strings

SOURCE, TARGET = (ends.numpy() for ends in slot_index(MAX_VERTICES))
_BACKWARDS = np.argsort(-SOURCE, kind="stable")
_POSITIONS = np.arange(MAX_VERTICES)


class Cells(NamedTuple):
    """Graphs as arrays, cut at their first output.

    Attributes:
        types: type of every node.
        edges: slots between nodes of the graph.
        size: number of nodes up to the output.
        proper: whether input, operations and output are in their places.
    """

    types: Int64[np.ndarray, "batch nodes"]
    edges: Bool[np.ndarray, "batch slots"]
    size: Int64[np.ndarray, " batch"]
    proper: Bool[np.ndarray, " batch"]

    @classmethod
    def of(cls, graphs: Graphs) -> "Cells":
        """Arrays of graphs."""
        types, size = graphs.node_types.numpy(), graphs.num_nodes.numpy()
        inner = (_POSITIONS > 0) & (size[:, None] - 1 > _POSITIONS)
        proper = (types[:, 0] == INPUT) & (types[np.arange(len(types)), size - 1] == OUTPUT)
        proper &= (~inner | (types > INPUT)).all(axis=1)
        return cls(types, graphs.edges.numpy() & (size[:, None] > TARGET), size, proper)

    def live(self) -> Bool[np.ndarray, "batch nodes"]:
        """Nodes on a path from input to output."""
        reached, needed = np.zeros(self.types.shape, dtype=bool), self.size[:, None] - 1 == _POSITIONS
        reached[:, 0] = True
        for edge in range(SLOTS):  # in the order of targets
            reached[:, TARGET[edge]] |= self.edges[:, edge] & reached[:, SOURCE[edge]]
        for edge in _BACKWARDS:
            needed[:, SOURCE[edge]] |= self.edges[:, edge] & needed[:, TARGET[edge]]
        return reached & needed

    def pruned(self) -> tuple["Cells", Bool[np.ndarray, "batch nodes"]]:
        """Graphs without the edges that lie on no path, and the nodes that lie on one."""
        live = self.live()
        return self._replace(edges=self.edges & live[:, SOURCE] & live[:, TARGET]), live


def decode(graphs: Graphs) -> list[str | None]:
    """Strings of graphs after cutting at the first output, pruning and renumbering; None if no cell is left."""
    cells, live = Cells.of(graphs).pruned()
    valid = cells.proper & live[:, 0] & (cells.edges.sum(axis=1) <= MAX_EDGES)
    # live vertices move up to the front, keeping their order
    vertices, place = live.sum(axis=1), live.cumsum(axis=1) - 1
    moved = np.zeros_like(cells.edges)
    rows, slots = np.nonzero(cells.edges)
    u, v = place[rows, SOURCE[slots]], place[rows, TARGET[slots]]
    moved[rows, v * (v - 1) // 2 + u] = True
    codes = np.zeros((len(live), MAX_VERTICES - 2), dtype=np.int64)
    rows, nodes = np.nonzero(live & valid[:, None] & (cells.types > INPUT))
    codes[rows, place[rows, nodes] - 1] = cells.types[rows, nodes] - 2
    found: list[str | None] = [None] * len(live)
    for count in range(2, MAX_VERTICES + 1):
        chosen = np.flatnonzero(valid & (vertices == count))
        if len(chosen):
            keys = canonical_keys(moved[chosen], codes[chosen], count)
            for row, text in zip(chosen.tolist(), strings(keys, count), strict=True):
                found[row] = text
    return found


def graphs(rows: Sequence[tuple[Sequence[int], Iterable[tuple[int, int]]]]) -> Graphs:
    """Graphs of cells that are numbered topologically.

    Args:
        rows: node types of the interior vertices 1, 2, ..., and edges of every cell.
    """
    types = np.full((len(rows), MAX_VERTICES), OUTPUT)
    types[:, 0] = INPUT
    edges = np.zeros((len(rows), SLOTS), dtype=bool)
    for row, (inner, pairs) in enumerate(rows):
        types[row, 1 : len(inner) + 1] = inner
        edges[row, [slot(u, v) for u, v in pairs]] = True
    return Graphs(torch.from_numpy(types), torch.from_numpy(edges))
