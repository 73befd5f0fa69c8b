"""DARTS: a normal and a reduction cell, about 10^18 pairs; NAS-Bench-301's space.

Source: Liu et al., 2019, https://arxiv.org/abs/1806.09055. A cell has two inputs, 0 and 1, and four intermediate nodes,
2 to 5, each the sum of two operations that read two different earlier nodes; the output concatenates the four. Here
the two operations of a node stand in the order of what they read, so that a pair of cells has one string:
``|sep_conv_3x3~0|skip_connect~1|+|...|+|...|+|...|/|...``, the normal cell first.

As a graph, a pair is one: the inputs, the eight operations of the normal cell, the eight of the reduction cell, the
output. An operation has an edge from the input that it reads, or from both operations of the node that it reads, and
one to the output.
"""

import itertools
import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.graphs import INPUT, OUTPUT, Graphs, slot_index
from agnet.spaces.base import AbstractSpace

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""Operations in node-type order: operation ``k`` is node type ``k + 3``."""

STEPS = 4
"""Intermediate nodes of a cell."""

CELLS = ("normal", "reduce")

SOURCES = tuple(tuple(itertools.combinations(range(2 + step), 2)) for step in range(STEPS))
"""For every intermediate node the pairs of nodes that it can read."""

_PREVIOUS = 2  # node type of the second input; the first is INPUT
_FIRST = 3  # of the first operation
_EVIDENCE = 1.0  # log-odds that a drawn edge adds to its score, and a missing one takes from it
_NODES = 2 + 2 * STEPS * len(CELLS) + 1
_PATTERN = re.compile(r"\|(\w+)~(\d)\|(\w+)~(\d)\|", flags=re.ASCII)

Node = tuple[tuple[str, int], tuple[str, int]]
"""Two operations and what they read, the lower source first."""

Cell = tuple[Node, ...]


def parse(architecture: str) -> dict[str, Cell]:
    """Normal and reduction cell of a string.

    Raises:
        InvalidArchitecture: if the text is no pair of cells, or not in this space's order.
    """
    texts = architecture.split("/") if isinstance(architecture, str) else []
    try:
        if len(texts) != len(CELLS):
            raise ValueError(f"{len(texts)} cells")
        return {name: _cell(text) for name, text in zip(CELLS, texts, strict=True)}
    except ValueError as error:
        node = "|op~source|op~source|"
        raise InvalidArchitecture(
            f"not a pair of DARTS cells: {architecture!r} ({error}); expected {'+'.join([node] * STEPS)!r} twice, with "
            f"'/' between, op one of {', '.join(OPERATIONS)}, sources of a node ascending"
        ) from None


@cache
def _cell(text: str) -> Cell:
    parts = text.split("+")
    if len(parts) != STEPS:
        raise ValueError(f"{len(parts)} nodes")
    nodes: list[Node] = []
    for step, part in enumerate(parts):
        match = _PATTERN.fullmatch(part)
        if match is None or not {match[1], match[3]} <= set(OPERATIONS):
            raise ValueError(f"node {step + 2} is {part!r}")
        if (int(match[2]), int(match[4])) not in SOURCES[step]:
            raise ValueError(f"node {step + 2} reads {match[2]} and {match[4]}")
        nodes.append(((match[1], int(match[2])), (match[3], int(match[4]))))
    return tuple(nodes)


def to_string(cells: dict[str, Cell]) -> str:
    """The string of a pair of cells: the inverse of :func:`parse`."""
    return "/".join("+".join(f"|{a}~{u}|{b}~{v}|" for (a, u), (b, v) in cells[name]) for name in CELLS)


class _Slots(NamedTuple):
    """Where an intermediate node lies in a graph.

    Attributes:
        nodes: graph nodes of its two operations.
        slots: edge slots into them.
        patterns: for every pair of sources, which of the slots are present.
    """

    nodes: tuple[int, int]
    slots: Int[Tensor, " slots"]
    patterns: Bool[Tensor, "pairs slots"]


@cache
def _layout() -> tuple[_Slots, ...]:
    """All intermediate nodes, normal cell first."""
    source, target = slot_index(_NODES)
    found = []
    for cell, step in itertools.product(range(len(CELLS)), range(STEPS)):
        begin = 2 + cell * 2 * STEPS
        nodes = (begin + 2 * step, begin + 2 * step + 1)
        slots = ((target == nodes[0]) | (target == nodes[1])).nonzero()[:, 0]
        feeding = [(0,), (1,), *((begin + 2 * u, begin + 2 * u + 1) for u in range(step))]
        patterns = torch.zeros(len(SOURCES[step]), len(slots), dtype=torch.bool)
        for row, pair in enumerate(SOURCES[step]):
            for node, one in zip(nodes, pair, strict=True):
                for column, slot in enumerate(slots.tolist()):
                    patterns[row, column] |= bool(target[slot] == node) and int(source[slot]) in feeding[one]
        found.append(_Slots(nodes, slots, patterns))
    return tuple(found)


@cache
def _outgoing() -> tuple[Int[Tensor, " slots"], Bool[Tensor, " slots"]]:
    """Slots into the second input and the output, and which of them are present: from operations to the output."""
    source, target = slot_index(_NODES)
    slots = ((target == 1) | (target == _NODES - 1)).nonzero()[:, 0]
    return slots, source[slots] >= 2


class DARTS(AbstractSpace):
    """Pairs of DARTS cells.

    Example:
        >>> space = DARTS()
        >>> [pair] = space.sample(1, generator=torch.Generator().manual_seed(0))
        >>> pair.count("+"), len(space.neighbors(pair))
        (6, 120)
    """

    name = "darts"
    node_types = ("output", "input", "input_1", *OPERATIONS)
    max_nodes = _NODES
    size = None

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Graphs of strings; see :class:`AbstractSpace`."""
        operations, pairs = [], []
        for architecture in architectures:
            pair = [node for cell in parse(architecture).values() for node in cell]
            operations.append([_TYPES[name] for node in pair for name, _ in node])
            pairs.append([_PAIRS[i % STEPS][a[1], b[1]] for i, (a, b) in enumerate(pair)])
        nodes = STEPS * len(CELLS)
        return _graphs(
            torch.tensor(operations, dtype=torch.int64).reshape(-1, 2 * nodes),
            torch.tensor(pairs, dtype=torch.int64).reshape(-1, nodes),
        )

    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of graphs, None where an edge or a node is not as in a pair of cells."""
        pairs, fitting = _read(graphs.edges)
        valid = (fitting.all(dim=1) & _proper(graphs)).tolist()
        return [
            text if fits else None
            for text, fits in zip(_strings(graphs.node_types[:, 2:-1], pairs), valid, strict=True)
        ]

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Which graphs are pairs of cells."""
        return _read(graphs.edges)[1].all(dim=1) & _proper(graphs)

    def mend(
        self, graphs: Graphs, *, nodes: Float[Tensor, "batch nodes types"], edges: Float[Tensor, "batch slots"]
    ) -> Graphs:
        """See :class:`AbstractSpace`.

        Nodes that are no operations become the likeliest; an intermediate node whose edges are no pair of sources gets
        the likeliest, the graph being further evidence of :data:`_EVIDENCE`; what is fixed is set.
        """
        types = graphs.node_types[:, 2:-1]
        likeliest = nodes[:, 2:-1, _FIRST:].argmax(dim=2) + _FIRST
        pairs, fitting = _read(graphs.edges)
        for i, where in enumerate(_layout()):
            drawn = 2 * graphs.edges[:, where.slots].double() - 1
            best = ((edges[:, where.slots].double() + _EVIDENCE * drawn) @ where.patterns.double().T).argmax(dim=1)
            pairs[:, i] = torch.where(fitting[:, i], pairs[:, i], best)
        return _graphs(torch.where(types >= _FIRST, types, likeliest), pairs)

    def sample(self, n: int, *, generator: torch.Generator) -> list[str]:
        """Uniform pairs of cells."""
        types = torch.randint(len(OPERATIONS), (n, 2 * STEPS * len(CELLS)), generator=generator) + _FIRST
        drawn = torch.rand(n, STEPS * len(CELLS), generator=generator, dtype=torch.float64)
        counts = torch.tensor([len(pairs) for pairs in SOURCES] * len(CELLS))
        return _strings(types, (drawn * counts).long())

    def neighbors(self, architecture: str) -> list[str]:
        """The 120 pairs with one operation or one source changed."""
        cells = parse(architecture)
        found = []
        for name, step in itertools.product(CELLS, range(STEPS)):
            node = cells[name][step]
            for one in range(2):
                operation, source = node[one]
                (_, fixed) = node[1 - one]
                others = [(other, source) for other in OPERATIONS if other != operation]
                others += [(operation, other) for other in range(2 + step) if other not in (source, fixed)]
                for other in others:
                    changed = tuple(sorted([other, node[1 - one]], key=lambda part: part[1]))
                    cell = (*cells[name][:step], changed, *cells[name][step + 1 :])
                    found.append(to_string({**cells, name: cell}))  # pyright: ignore[reportArgumentType]
        return found

    def recombine(self, mother: str, father: str, *, generator: torch.Generator) -> str:
        """A pair of cells that takes every intermediate node, with what it reads, from either parent."""
        both = parse(mother), parse(father)
        turns = iter((torch.rand(STEPS * len(CELLS), generator=generator) < 0.5).tolist())
        return to_string({name: tuple(both[next(turns)][name][step] for step in range(STEPS)) for name in CELLS})

    def enumerate(self) -> Sequence[str]:
        """Not possible.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            "space=darts has about 10^18 pairs of cells and cannot be enumerated; choose an optimizer that does not "
            "look at all of them"
        )


_TYPES = {name: k for k, name in enumerate(OPERATIONS, start=_FIRST)}
_PAIRS = tuple({pair: row for row, pair in enumerate(pairs)} for pairs in SOURCES)


def _graphs(types: Int[Tensor, "batch 16"], pairs: Int[Tensor, "batch 8"]) -> Graphs:
    """Graphs of operations and pairs of sources."""
    node_types = torch.full((len(types), _NODES), OUTPUT)
    node_types[:, 0], node_types[:, 1], node_types[:, 2:-1] = INPUT, _PREVIOUS, types
    edges = torch.zeros(len(types), _NODES * (_NODES - 1) // 2, dtype=torch.bool)
    for i, where in enumerate(_layout()):
        edges[:, where.slots] = where.patterns[pairs[:, i]]
    slots, present = _outgoing()
    edges[:, slots] = present
    return Graphs(node_types, edges)


def _read(edges: Bool[Tensor, "batch slots"]) -> tuple[Int[Tensor, "batch 8"], Bool[Tensor, "batch 9"]]:
    """Pairs of sources, and where they, and the edges that are fixed, are as they have to be."""
    pairs, fitting = [], []
    for where in _layout():
        equal = (edges[:, None, where.slots] == where.patterns).all(dim=2)
        pairs.append(equal.long().argmax(dim=1))
        fitting.append(equal.any(dim=1))
    slots, present = _outgoing()
    fitting.append((edges[:, slots] == present).all(dim=1))
    return torch.stack(pairs, dim=1), torch.stack(fitting, dim=1)


def _proper(graphs: Graphs) -> Bool[Tensor, " batch"]:
    """Whether the inputs, operations and the output are where they belong."""
    types = graphs.node_types
    ends = (types[:, 0] == INPUT) & (types[:, 1] == _PREVIOUS) & (types[:, -1] == OUTPUT)
    return ends & (types[:, 2:-1] >= _FIRST).all(dim=1)


def _strings(types: Int[Tensor, "batch 16"], pairs: Int[Tensor, "batch 8"]) -> list[str]:
    """Strings of operations and pairs of sources; of whatever else, some text."""
    found = []
    for row, chosen in zip((types - _FIRST).tolist(), pairs.tolist(), strict=True):
        nodes = [_NODE_TEXTS[i % STEPS][chosen[i]][row[2 * i]][row[2 * i + 1]] for i in range(len(chosen))]
        found.append("+".join(nodes[:STEPS]) + "/" + "+".join(nodes[STEPS:]))
    return found


_NODE_TEXTS = [
    [[[f"|{a}~{u}|{b}~{v}|" for b in OPERATIONS] for a in OPERATIONS] for u, v in pairs] for pairs in SOURCES
]
"""Texts of intermediate nodes by step, pair of sources, and operations."""
