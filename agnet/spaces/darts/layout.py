"""DARTS cells as graphs: the positions of their nodes, and how graphs are built, read and repaired.

All cells form one graph: the inputs, the eight operations of every cell, the output. An operation has an edge from the
input that it reads, or from both operations of the node that it reads, and one to the output. The edge from the first
input to the second has no meaning: it exists because a generator's second node always reads its first.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet.spaces.darts.notation import OPERATIONS, SOURCES, STEPS, Cell
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index

NODE_TYPES = ("output", "input", "input_1", *OPERATIONS)
"""Vocabulary of node types."""

FIRST = 3
"""Node type of the first operation."""

_PREVIOUS = 2  # node type of the second input; the first is INPUT
_EVIDENCE = 1.0  # log-odds that a drawn edge adds to its score and a missing one subtracts
_TYPES = {name: k for k, name in enumerate(OPERATIONS, start=FIRST)}
_PAIRS = tuple({pair: row for row, pair in enumerate(pairs)} for pairs in SOURCES)


class Choices(NamedTuple):
    """The choices that define cells, which follow one another in a row.

    Attributes:
        types: node types of the operations.
        pairs: row of every intermediate node's two sources in :data:`~agnet.spaces.darts.notation.SOURCES`.
    """

    types: Int[Tensor, "batch operations"]
    pairs: Int[Tensor, "batch steps"]

    def cells(self) -> list[str]:
        """Texts of cells, row after row."""
        types = (self.types - FIRST).reshape(-1, 2 * STEPS).tolist()
        pairs = self.pairs.reshape(-1, STEPS).tolist()
        return [
            "+".join(_NODE_TEXTS[i][chosen[i]][row[2 * i]][row[2 * i + 1]] for i in range(STEPS))
            for row, chosen in zip(types, pairs, strict=True)
        ]


_NODE_TEXTS = [
    [[[f"|{a}~{u}|{b}~{v}|" for b in OPERATIONS] for a in OPERATIONS] for u, v in pairs] for pairs in SOURCES
]
"""Texts of intermediate nodes by step, pair of sources, and operations."""


class _Slots(NamedTuple):
    """Position of an intermediate node in a graph.

    Attributes:
        nodes: graph nodes of its two operations.
        slots: edge slots into these nodes.
        patterns: presence of these slots for every pair of sources.
    """

    nodes: tuple[int, int]
    slots: Int[Tensor, " slots"]
    patterns: Bool[Tensor, "pairs slots"]


class Layout:
    """Layout of graphs of one or two cells.

    Args:
        num_cells: number of cells, 1 or 2.

    Attributes:
        nodes: number of nodes of a graph.
        parts: nodes of every cell, with the inputs and the output.
    """

    def __init__(self, num_cells: int) -> None:
        self.num_cells = num_cells
        self.nodes = 2 + 2 * STEPS * num_cells + 1
        begins = [2 + 2 * STEPS * cell for cell in range(num_cells)]
        self.parts = tuple((0, 1, *range(begin, begin + 2 * STEPS), self.nodes - 1) for begin in begins)
        source, target = slot_index(self.nodes)
        self._steps = [self._step(begin, step) for begin, step in itertools.product(begins, range(STEPS))]
        self._fixed = ((target == 1) | (target == self.nodes - 1)).nonzero()[:, 0]  # into second input and output
        from_operation = source[self._fixed] >= 2
        self._present = (target[self._fixed] == 1) | from_operation  # from input to input, from operations to output

    def _step(self, begin: int, step: int) -> _Slots:
        """Slots of an intermediate node of the cell whose operations start at graph node ``begin``."""
        source, target = slot_index(self.nodes)
        nodes = (begin + 2 * step, begin + 2 * step + 1)
        slots = ((target == nodes[0]) | (target == nodes[1])).nonzero()[:, 0]
        feeding = [(0,), (1,), *((begin + 2 * u, begin + 2 * u + 1) for u in range(step))]
        patterns = torch.zeros(len(SOURCES[step]), len(slots), dtype=torch.bool, device="cpu")
        for row, pair in enumerate(SOURCES[step]):
            for node, one in zip(nodes, pair, strict=True):
                for column, slot in enumerate(slots.tolist()):
                    patterns[row, column] |= bool(target[slot] == node) and int(source[slot]) in feeding[one]
        return _Slots(nodes, slots, patterns)

    def choices(self, cells: Sequence[Sequence[Cell]]) -> Choices:
        """Choices of cells; each row holds the cells of one graph."""
        nodes = [[node for cell in row for node in cell] for row in cells]
        types = [[_TYPES[name] for node in row for name, _ in node] for row in nodes]
        pairs = [[_PAIRS[i % STEPS][a[1], b[1]] for i, (a, b) in enumerate(row)] for row in nodes]
        steps = STEPS * self.num_cells
        return Choices(
            torch.tensor(types, dtype=torch.int64, device="cpu").reshape(-1, 2 * steps),
            torch.tensor(pairs, dtype=torch.int64, device="cpu").reshape(-1, steps),
        )

    def drawn(self, n: int, *, rng: torch.Generator | None) -> Choices:
        """Uniform choices."""
        types = torch.randint(len(OPERATIONS), (n, 2 * STEPS * self.num_cells), generator=rng, device="cpu") + FIRST
        uniform = torch.rand(n, STEPS * self.num_cells, generator=rng, dtype=torch.float64, device="cpu")
        counts = torch.tensor([len(pairs) for pairs in SOURCES] * self.num_cells, device="cpu")
        return Choices(types, (uniform * counts).long())

    def graphs(self, chosen: Choices) -> Graphs:
        """Graphs of choices."""
        types = torch.full((len(chosen.types), self.nodes), OUTPUT, device="cpu")
        types[:, 0], types[:, 1], types[:, 2:-1] = INPUT, _PREVIOUS, chosen.types
        edges = torch.zeros(len(types), self.nodes * (self.nodes - 1) // 2, dtype=torch.bool, device="cpu")
        for i, where in enumerate(self._steps):
            edges[:, where.slots] = where.patterns[chosen.pairs[:, i]]
        edges[:, self._fixed] = self._present
        return Graphs(types, edges)

    def read(self, graphs: Graphs) -> tuple[Choices, Bool[Tensor, " batch"]]:
        """Choices of graphs, and whether :meth:`graphs` makes each of them; choices of other graphs are arbitrary."""
        pairs, fitting = self._pairs(graphs.edges)
        types = graphs.node_types
        ends = (types[:, 0] == INPUT) & (types[:, 1] == _PREVIOUS) & (types[:, -1] == OUTPUT)
        proper = ends & (types[:, 2:-1] >= FIRST).all(dim=1)
        fixed = (graphs.edges[:, self._fixed] == self._present).all(dim=1)
        return Choices(types[:, 2:-1], pairs), fitting.all(dim=1) & proper & fixed

    def repair(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """Turn graphs into cells; see :class:`~agnet.spaces.base.AbstractSpace`.

        Nodes that are not operations become the likeliest one. An intermediate node whose edges match no pair of
        sources gets the likeliest pair; the drawn edges add evidence of :data:`_EVIDENCE` to the scores. Fixed nodes
        and edges are set.
        """
        types = graphs.node_types[:, 2:-1]
        likeliest = nodes[:, 2:-1, FIRST:].argmax(dim=2) + FIRST
        pairs, fitting = self._pairs(graphs.edges)
        for i, where in enumerate(self._steps):
            drawn = 2 * graphs.edges[:, where.slots].double() - 1
            best = ((edges[:, where.slots].double() + _EVIDENCE * drawn) @ where.patterns.double().T).argmax(dim=1)
            pairs[:, i] = torch.where(fitting[:, i], pairs[:, i], best)
        return self.graphs(Choices(torch.where(types >= FIRST, types, likeliest), pairs))

    def _pairs(
        self, edges: Bool[Tensor, "batch slots"]
    ) -> tuple[Int[Tensor, "batch steps"], Bool[Tensor, "batch steps"]]:
        """Pair of sources of every step, and whether its edges match one."""
        pairs, fitting = [], []
        for where in self._steps:
            equal = (edges[:, None, where.slots] == where.patterns).all(dim=2)
            pairs.append(equal.long().argmax(dim=1))
            fitting.append(equal.any(dim=1))
        return torch.stack(pairs, dim=1), torch.stack(fitting, dim=1)
