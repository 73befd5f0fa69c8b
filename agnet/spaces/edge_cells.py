"""Cells with an operation on the edge between every two vertices, as in NAS-Bench-201, for any operations and size.

The first vertex is the input, the last is the output, and every vertex sums its incoming edges. As in AG-Net, such a
cell is represented by its line graph: each edge becomes a node typed by its operation, between one input and one output
node, with fixed adjacency.
"""

import abc
import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from agnet.runtime.gradients import with_gradients
from agnet.spaces.base import AbstractSpace
from agnet.spaces.graphs import INPUT, OUTPUT, Graphs, slot_index

Edge = tuple[int, int]


def edges_of(vertices: int) -> tuple[Edge, ...]:
    """The edges ``(source, target)``, by target, then source.

    Example:
        >>> edges_of(3)
        ((0, 1), (0, 2), (1, 2))
    """
    return tuple((source, target) for target in range(vertices) for source in range(target))


def live_edges(edges: Sequence[Edge], operations: Sequence[str], *, zero: str) -> tuple[bool, ...]:
    """Whether each edge lies on a path from the first vertex to the last that no ``zero`` operation cuts.

    Args:
        edges: edges in the order of :func:`edges_of`.
        operations: one operation per edge.
        zero: the operation that passes nothing on.
    """
    reached, needed = {0}, {edges[-1][1]}
    pairs = list(zip(edges, operations, strict=True))
    # one pass each way is enough: edges are ordered by target, so a vertex is settled before any edge leaves it
    for (source, target), operation in pairs:
        if operation != zero and source in reached:
            reached.add(target)
    for (source, target), operation in reversed(pairs):
        if operation != zero and target in needed:
            needed.add(source)
    return tuple(operation != zero and source in reached and target in needed for (source, target), operation in pairs)


def functional_key(
    edges: Sequence[Edge], operations: Sequence[str], *, zero: str, identity: str, weightless: Sequence[str] = ()
) -> str:
    """A strict key: dead branches are pruned, sums flattened and sorted, shared modules distinguished from equal ones.

    Two cells with equal keys have the same computation graph up to the names of their weights, so they describe the
    same family of functions. An operation fed by a dead vertex counts as dead, though batch normalisation turns its
    zero input into a learned constant.

    Args:
        edges: edges in the order of :func:`edges_of`.
        operations: one operation per edge.
        zero: the operation that passes nothing on.
        identity: the operation that passes its source on.
        weightless: operations without weights; equal ones on the same source are a single module.

    Returns:
        ``"definitions|output"``: every module once, as ``number=operation(summands)``, then the summands of the output.
        Summand 0 is the input; an empty output stands for a cell without a live path.

    Example:
        >>> functional_key(edges_of(3), ("skip", "conv", "none"), zero="none", identity="skip")
        '1=conv(0)|1'
    """
    live = live_edges(edges, operations, zero=zero)
    modules: list[tuple[str, tuple[int, ...]]] = []  # module m is number m + 1; number 0 is the input
    vertices: list[tuple[int, ...]] = [(0,), *((),) * edges[-1][1]]  # sums of module numbers
    for (source, target), operation, alive in zip(edges, operations, live, strict=True):
        if not alive:
            continue
        if operation == identity:
            summands = vertices[source]
        else:
            module = (operation, tuple(sorted(vertices[source])))
            # two modules with weights of their own may differ even on equal inputs; without weights they cannot
            if operation in weightless and module in modules:
                summands = (modules.index(module) + 1,)
            else:
                modules.append(module)
                summands = (len(modules),)
        vertices[target] += summands
    # modules are numbered in the order of edges, which isomorphic cells do not share: take the first of all texts
    return min(_renumberings(modules, vertices[-1]))


def _renumberings(modules: list[tuple[str, tuple[int, ...]]], output: tuple[int, ...]) -> Iterator[str]:
    """Texts of a sum of modules under every numbering that sorts the modules by their expanded text."""
    texts = ["0"]
    for operation, summands in modules:
        texts.append(f"{operation}({'+'.join(sorted(texts[s] for s in summands))})")
    # expanded texts order all modules but those with equal texts, so only permutations of these have to be tried
    by_text = sorted(range(1, len(texts)), key=lambda m: texts[m])
    groups = [list(group) for _, group in itertools.groupby(by_text, key=lambda m: texts[m])]
    for orders in itertools.product(*(itertools.permutations(group) for group in groups)):
        number = {0: 0} | {m: i + 1 for i, m in enumerate(itertools.chain(*orders))}
        definitions = sorted(
            (number[m], f"{number[m]}={operation}({_sum(number, summands)})")
            for m, (operation, summands) in enumerate(modules, start=1)
        )
        yield ";".join(text for _, text in definitions) + "|" + _sum(number, output)


def _sum(number: dict[int, int], summands: tuple[int, ...]) -> str:
    return "+".join(str(n) for n in sorted(number[s] for s in summands))


class EdgeCells(AbstractSpace):
    """A space of such cells, small enough to be listed; a subclass gives the operations and the notation.

    Attributes:
        operations: possible operations of an edge; operation ``k`` is node type ``k + 2``.
        vertices: number of vertices of a cell.
        zero: the operation that passes nothing on.
        identity: the operation that passes its source on.
        weightless: operations without weights; equal ones on the same source are a single module.
        edges: edges of a cell in the order of :func:`edges_of`.
    """

    operations: ClassVar[tuple[str, ...]]
    vertices: ClassVar[int]
    zero: ClassVar[str] = "none"
    identity: ClassVar[str] = "skip_connect"
    weightless: ClassVar[tuple[str, ...]] = ()
    edges: ClassVar[tuple[Edge, ...]]
    has_isomorphs = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        edges = edges_of(cls.vertices)
        follows = {
            "edges": edges,
            "node_types": ("output", "input", *cls.operations),
            "max_nodes": len(edges) + 2,
            "size": len(cls.operations) ** len(edges),
        }
        for name, value in follows.items():
            if name not in vars(cls):  # a subclass that is part of a space sets its own size
                setattr(cls, name, value)

    @staticmethod
    @abc.abstractmethod
    def parse(architecture: str) -> tuple[str, ...]:
        """Operations of a string, in the order of ``edges``.

        Raises:
            InvalidArchitecture: if the text is not a cell of the space.
        """

    @staticmethod
    @abc.abstractmethod
    def to_string(operations: Sequence[str]) -> str:
        """The inverse of :meth:`parse`."""

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Line graphs of strings; see :class:`AbstractSpace`."""
        codes = _codes(type(self))
        try:
            digits = torch.tensor([codes[a] for a in architectures], dtype=torch.int64, device="cpu").reshape(
                -1, len(self.edges)
            )
        except (KeyError, TypeError):
            for architecture in architectures:  # parsing is slow, but its message says what is wrong
                self.parse(architecture)
            raise
        node_types = torch.full((len(digits), self.max_nodes), OUTPUT, device="cpu")
        node_types[:, 0] = INPUT
        node_types[:, 1:-1] = digits + 2
        return Graphs(node_types, _line_graph(self.vertices).expand(len(digits), -1).clone())

    def decode(self, graphs: Graphs) -> list[str | None]:
        """Strings of line graphs, None where invalid."""
        # operations are digits of the cell's number; clamping keeps invalid types within the list until they are masked
        powers = len(self.operations) ** torch.arange(len(self.edges) - 1, -1, -1, device="cpu")
        index = (((graphs.node_types[:, 1:-1] - 2).clamp(min=0)) * powers).sum(dim=1).tolist()
        strings, valid = _cells(type(self)), self.is_valid(graphs).tolist()
        return [strings[i] if ok else None for i, ok in zip(index, valid, strict=True)]

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Whether each graph has input, one operation per edge, output, and exactly the edges of the line graph."""
        types = graphs.node_types
        return (
            (types[:, 0] == INPUT)
            & (types[:, -1] == OUTPUT)
            & (types[:, 1:-1] > INPUT).all(dim=1)
            & (graphs.edges == _line_graph(self.vertices)).all(dim=1)
        )

    def sample(self, n: int, *, rng: torch.Generator | None = None) -> list[str]:
        """Uniform cells, with repeats."""
        cells = self.enumerate()
        return [cells[int(i)] for i in torch.randint(len(cells), (n,), generator=rng, device="cpu")]

    def neighbors(self, architecture: str) -> list[str]:
        """Cells with one operation changed, edge by edge."""
        operations = self.parse(architecture)
        return [
            self.to_string([*operations[:edge], other, *operations[edge + 1 :]])
            for edge, operation in enumerate(operations)
            for other in self.operations
            if other != operation
        ]

    def enumerate(self) -> Sequence[str]:
        """All strings, the last edge's operation changing fastest."""
        return _cells(type(self))

    def canonical(self, architecture: str) -> str:
        """The first cell that computes the same family of functions."""
        return _first_of_function(type(self))[self.functional_key(architecture)]

    def functional_key(self, architecture: str) -> str:
        """The cell's strict key; see :func:`functional_key`."""
        return functional_key(
            self.edges, self.parse(architecture), zero=self.zero, identity=self.identity, weightless=self.weightless
        )


@cache
def _cells(space: type[EdgeCells]) -> tuple[str, ...]:
    """All cells; cached for the process, as are the following tables."""
    return tuple(space.to_string(ops) for ops in itertools.product(space.operations, repeat=len(space.edges)))


@cache
def _codes(space: type[EdgeCells]) -> dict[str, tuple[int, ...]]:
    """Indices of the operations of every cell."""
    every = itertools.product(range(len(space.operations)), repeat=len(space.edges))
    return dict(zip(_cells(space), every, strict=True))


@cache
@with_gradients
def _line_graph(vertices: int) -> Bool[Tensor, " slots"]:
    """Edge slots between an input, the edges of a cell, and an output."""
    edges = edges_of(vertices)
    ends = [(-1, 0), *edges, (vertices - 1, -1)]  # -1: outside the cell
    source, target = slot_index(len(ends))
    follows = [ends[u][1] == ends[v][0] for u, v in zip(source.tolist(), target.tolist(), strict=True)]
    return torch.tensor(follows, device="cpu")


@cache
def _first_of_function(space: type[EdgeCells]) -> dict[str, str]:
    """The first cell of every functional key."""
    made, first = space(), dict[str, str]()
    for cell in _cells(space):
        first.setdefault(made.functional_key(cell), cell)
    return first
