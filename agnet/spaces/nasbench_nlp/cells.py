"""Graphs as arrays: the test for cells, and conversion from and to strings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64

from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index
from agnet.spaces.nasbench_nlp.notation import INPUTS, LEAST, MOST, OPERATIONS, STATES, Part, to_text

MARKED, STATE, FIRST = 2, 3, 4
"""Node types: the previous hidden state 0, any other previous state, and the first operation."""

TYPES = {name: k for k, name in enumerate(OPERATIONS, start=FIRST)}

FEWEST = np.array([0] * FIRST + list(LEAST))
"""Fewest sources, by node type."""

MANIEST = np.array([0] * FIRST + list(MOST))
"""Most sources, by node type."""


class Cells(NamedTuple):
    """Graphs as arrays, cut at their first output.

    Attributes:
        types: type of every node.
        edges: whether the second node reads the first.
        size: number of nodes up to the output.
    """

    types: Int64[np.ndarray, "batch nodes"]
    edges: Bool[np.ndarray, "batch nodes nodes"]
    size: Int64[np.ndarray, " batch"]

    @classmethod
    def of(cls, graphs: Graphs) -> "Cells":
        """Arrays of graphs."""
        types, size = graphs.node_types.numpy(), graphs.num_nodes.numpy()
        edges = dense(graphs.edges.numpy())
        inside = np.arange(types.shape[1]) < size[:, None]
        return cls(types, edges & inside[:, None, :] & inside[:, :, None], size)

    def graphs(self) -> Graphs:
        """The inverse of :meth:`of`."""
        source, target = (ends.numpy() for ends in slot_index(self.types.shape[1]))
        return Graphs(torch.from_numpy(self.types), torch.from_numpy(self.edges[:, source, target]))

    def take(self, rows: Int64[np.ndarray, " chosen"]) -> "Cells":
        """The graphs in given rows."""
        return Cells(self.types[rows], self.edges[rows], self.size[rows])

    @property
    def operations(self) -> Bool[np.ndarray, "batch nodes"]:
        """Nodes between the inputs and the output."""
        nodes = np.arange(self.types.shape[1])
        return (nodes >= INPUTS) & (nodes < self.size[:, None] - 1)

    @property
    def states(self) -> Int64[np.ndarray, " batch"]:
        """Number of nodes that the output reads."""
        return self.edges[np.arange(len(self.size)), :, self.size - 1].sum(axis=1)

    def valid(self) -> Bool[np.ndarray, " batch"]:
        """Whether each graph is a cell."""
        rows, nodes = np.arange(len(self.size)), np.arange(self.types.shape[1])
        operations, states = self.operations, self.states
        sources, readers = self.edges.sum(axis=1), self.edges.sum(axis=2)
        hidden = self.types[:, 1:INPUTS]
        fits = (self.size > INPUTS + 1) & (self.types[:, 0] == INPUT) & (self.types[rows, self.size - 1] == OUTPUT)
        fits &= ((hidden == MARKED) | (hidden == STATE)).all(axis=1) & ((hidden == MARKED).sum(axis=1) == 1)
        fits &= (hidden == MARKED).argmax(axis=1) < states
        fits &= (~operations | (self.types >= FIRST)).all(axis=1)
        enough = (sources >= FEWEST[self.types]) & (sources <= MANIEST[self.types])
        fits &= (~operations | enough).all(axis=1) & (sources[:, :INPUTS] == 0).all(axis=1)
        fits &= (states >= 1) & (states <= STATES) & ~self.edges[rows, :INPUTS, self.size - 1].any(axis=1)
        present = (nodes < INPUTS) & (nodes <= states[:, None])
        # readers come later, so if every operation is read, every operation reaches the output
        return fits & ((readers > 0) == (operations | present)).all(axis=1)


def dense(slots: np.ndarray) -> np.ndarray:
    """Edge slots ``[batch, slots]`` as matrices ``[batch, source, target]``, zero outside the slots."""
    nodes = int((1 + (1 + 8 * slots.shape[1]) ** 0.5) / 2)
    source, target = (ends.numpy() for ends in slot_index(nodes))
    found = np.zeros((len(slots), nodes, nodes), dtype=slots.dtype)
    found[:, source, target] = slots
    return found


def build(rows: Sequence[Sequence[Part]], max_nodes: int) -> Cells:
    """Cells of parts, which may have too many or too few sources; no cell may exceed ``max_nodes`` nodes."""
    types = np.full((len(rows), max_nodes), OUTPUT)
    types[:, 0], types[:, 1:INPUTS] = INPUT, STATE
    edges = np.zeros((len(rows), max_nodes, max_nodes), dtype=bool)
    for row, parts in enumerate(rows):
        types[row, INPUTS : INPUTS + len(parts) - 1] = [TYPES[part.name] for part in parts[:-1]]
        types[row, 1 + min(parts[-1].marked, STATES - 1)] = MARKED
        for node, part in enumerate(parts, start=INPUTS):
            edges[row, part.sources, node] = True
    return Cells(types, edges, np.array([INPUTS + len(parts) for parts in rows], dtype=np.int64))


def decode(cells: Cells) -> list[str | None]:
    """Strings of graphs; None for a graph that is not a cell."""
    valid = cells.valid()
    found: list[str | None] = [None] * len(valid)
    rows = np.flatnonzero(valid)
    for row, parts in zip(rows.tolist(), parts_of(cells.take(rows)), strict=True):
        found[row] = to_text(parts)
    return found


def parts_of(cells: Cells) -> list[list[Part]]:
    """Operations and output of valid cells."""
    names = ("output", "", "", "", *OPERATIONS)
    sources: list[list[tuple[int, ...]]] = []
    for matrix, size in zip(cells.edges, cells.size.tolist(), strict=True):
        listed: list[list[int]] = [[] for _ in range(size)]
        for u, v in zip(*(ends.tolist() for ends in np.nonzero(matrix)), strict=True):
            listed[v].append(u)
        sources.append([tuple(nodes) for nodes in listed[INPUTS:]])
    marked = (cells.types[:, 1:INPUTS] == MARKED).argmax(axis=1).tolist()
    return [
        [Part(names[kind], read) for kind, read in zip(kinds[INPUTS:], rows[:-1], strict=False)]
        + [Part("output", rows[-1], mark)]
        for kinds, rows, mark in zip(cells.types.tolist(), sources, marked, strict=True)
    ]
