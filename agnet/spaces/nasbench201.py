"""NAS-Bench-201: six edges, five operations, 15,625 cells.

Source: Dong & Yang, 2020, https://arxiv.org/abs/2001.00326. The cell is handled as its line graph, as in AG-Net: each
of the six edges becomes a node typed by its operation, between one input and one output node, with fixed adjacency.
"""

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache, cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from agnet.errors import InvalidArchitecture
from agnet.graphs import INPUT, OUTPUT, Graphs, slot_index
from agnet.spaces.base import AbstractSpace

OPERATIONS = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none")
"""Operations in node-type order: operation ``k`` is node type ``k + 2``."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The cell's edges ``(source, target)`` in the order of the string; edge ``e`` is graph node ``e + 1``."""

_ID_ORDER = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Operation order in which the benchmark enumerates cells before shuffling them into ids."""

_LINE_GRAPH = ((0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7))
_PATTERN = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|", flags=re.ASCII)


def parse(architecture: str) -> tuple[str, ...]:
    """Operations on the six edges of a cell, in the order of :data:`EDGES`.

    Raises:
        InvalidArchitecture: if the text is not a NAS-Bench-201 string.

    Example:
        >>> parse("|none~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|")
        ('none', 'none', 'skip_connect', 'nor_conv_3x3', 'none', 'none')
    """
    match = _PATTERN.fullmatch(architecture)
    if match is None or any(op not in OPERATIONS for op in match.groups()):
        raise InvalidArchitecture(
            f"not a NAS-Bench-201 cell: {architecture!r}; expected "
            f"'|op~0|+|op~0|op~1|+|op~0|op~1|op~2|' with op one of {', '.join(OPERATIONS)}"
        )
    return match.groups()


def to_string(operations: Sequence[str]) -> str:
    """The benchmark's string of six operations: the inverse of :func:`parse`."""
    o = operations
    return f"|{o[0]}~0|+|{o[1]}~0|{o[2]}~1|+|{o[3]}~0|{o[4]}~1|{o[5]}~2|"


def isomorphism_key(architecture: str) -> str:
    """The benchmark's uniqueness text: equal texts are evaluated once (6,466 distinct texts).

    Node by node: a zero operation, or any operation on a source whose text is exactly the dead mark ``#``, contributes
    ``#``; a skip contributes its source's text; other operations wrap it. It is *not* a functional key: see
    :func:`functional_key`.
    """
    texts = ["0"]
    operations = dict(zip(EDGES, parse(architecture), strict=True))
    for node in (1, 2, 3):
        terms = []
        for source in range(node):
            operation = operations[source, node]
            if operation == "none" or texts[source] == "#":
                terms.append("#")
            elif operation == "skip_connect":
                terms.append(texts[source])
            else:
                terms.append(f"({texts[source]})@{operation}")
        texts.append("+".join(sorted(terms)))
    return texts[3]


def live_edges(architecture: str) -> tuple[bool, ...]:
    """Which of the six edges lie on a path of non-zero operations from the input to the output."""
    operations = parse(architecture)
    reached, needed = {0}, {3}
    for (source, target), operation in zip(EDGES, operations, strict=True):
        if operation != "none" and source in reached:
            reached.add(target)
    for (source, target), operation in reversed(list(zip(EDGES, operations, strict=True))):
        if operation != "none" and target in needed:
            needed.add(source)
    return tuple(
        operation != "none" and source in reached and target in needed
        for (source, target), operation in zip(EDGES, operations, strict=True)
    )


def functional_key(architecture: str) -> str:
    """A strict key: dead branches pruned, sums flattened and sorted, shared modules told from equal ones.

    Two cells with equal keys have the same computation graph up to the names of their weights, so they describe the
    same family of functions: 5,260 classes. A convolution fed by a dead node counts as dead, though batch
    normalisation turns its zero input into a learned constant.

    Returns:
        ``"definitions|output"``: every module once, as ``number=operation(summands)``, then the summands of the output;
        summand 0 is the input, an empty output a cell without a live path.

    Example:
        >>> functional_key("|none~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|")
        '1=nor_conv_3x3(0)|1'
    """
    live = live_edges(architecture)
    modules: list[tuple[str, tuple[int, ...]]] = []  # module m is number m + 1; number 0 is the input
    nodes: list[tuple[int, ...]] = [(0,), (), (), ()]  # sums of module numbers
    for (source, target), operation, alive in zip(EDGES, parse(architecture), live, strict=True):
        if not alive:
            continue
        if operation == "skip_connect":
            summands = nodes[source]
        else:
            module = (operation, tuple(sorted(nodes[source])))
            if operation != "avg_pool_3x3" or module not in modules:  # a pool has no weights: equal means same
                modules.append(module)
                summands = (len(modules),)
            else:
                summands = (modules.index(module) + 1,)
        nodes[target] += summands
    return min(_renumberings(modules, nodes[3]))


def _renumberings(modules: list[tuple[str, tuple[int, ...]]], output: tuple[int, ...]) -> Iterator[str]:
    """Texts of a sum of modules under every numbering that sorts the modules by their expanded text."""
    texts = ["0"]
    for operation, summands in modules:
        texts.append(f"{operation}({'+'.join(sorted(texts[s] for s in summands))})")
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


@cache
def _cells_by_operations() -> tuple[str, ...]:
    """All cells, the last edge's operation changing fastest. Made once per process, as are the next two."""
    return tuple(to_string(ops) for ops in itertools.product(OPERATIONS, repeat=6))


@cache
def _operation_codes() -> dict[str, tuple[int, ...]]:
    """Indices into :data:`OPERATIONS` of every cell."""
    return dict(zip(_cells_by_operations(), itertools.product(range(5), repeat=6), strict=True))


@cache
def _cells_by_id() -> tuple[str, ...]:
    """All cells in the order of the benchmark's ids."""
    cells = [to_string(ops) for ops in itertools.product(_ID_ORDER, repeat=6)]
    random.Random(88).shuffle(cells)
    return tuple(cells)


class NASBench201(AbstractSpace):
    """The NAS-Bench-201 topology space, with the benchmark's own ids.

    Example:
        >>> space = NASBench201()
        >>> space.enumerate()[50]
        '|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_1x1~2|'
    """

    name = "nasbench201"
    node_types = ("output", "input", *OPERATIONS)
    max_nodes = 8
    size = 5**6

    def encode(self, architectures: Sequence[str]) -> Graphs:
        """Line graphs of NAS-Bench-201 strings; see :class:`AbstractSpace`."""
        codes = _operation_codes()
        try:
            digits = torch.tensor([codes[a] for a in architectures], dtype=torch.int64).reshape(-1, 6)
        except (KeyError, TypeError):
            for architecture in architectures:
                parse(architecture)
            raise
        node_types = torch.full((len(digits), self.max_nodes), OUTPUT)
        node_types[:, 0] = INPUT
        node_types[:, 1:7] = digits + 2
        return Graphs(node_types, self._adjacency.expand(len(digits), -1).clone())

    def decode(self, graphs: Graphs) -> list[str | None]:
        """NAS-Bench-201 strings of line graphs, None where invalid."""
        index = self._lexicographic_index(graphs.node_types).tolist()
        strings, valid = _cells_by_operations(), self.is_valid(graphs).tolist()
        return [strings[i] if ok else None for i, ok in zip(index, valid, strict=True)]

    def is_valid(self, graphs: Graphs) -> Bool[Tensor, " batch"]:
        """Input first, six operations, output last, and exactly the ten edges of the line graph."""
        types = graphs.node_types
        return (
            (types[:, 0] == INPUT)
            & (types[:, 7] == OUTPUT)
            & (types[:, 1:7] > INPUT).all(dim=1)
            & (graphs.edges == self._adjacency).all(dim=1)
        )

    def sample(self, n: int, *, generator: torch.Generator) -> list[str]:
        """Uniform cells, with repeats."""
        drawn = torch.randint(len(self._by_id), (n,), generator=generator)
        return [self._by_id[i] for i in drawn.tolist()]

    def neighbors(self, architecture: str) -> list[str]:
        """The 24 cells with one operation changed, edge by edge."""
        operations = parse(architecture)
        return [
            to_string([*operations[:edge], other, *operations[edge + 1 :]])
            for edge, operation in enumerate(operations)
            for other in OPERATIONS
            if other != operation
        ]

    def enumerate(self) -> Sequence[str]:
        """All 15,625 strings; the position is the benchmark's id."""
        return self._by_id

    def canonical(self, architecture: str) -> str:
        """The lowest-id member of the cell's class under :func:`isomorphism_key`."""
        parse(architecture)
        return self._by_id[self.isomorphs[self._ids[architecture]]]

    def functional_key(self, architecture: str) -> str:
        """See :func:`functional_key`."""
        return functional_key(architecture)

    @cached_property
    def isomorphs(self) -> list[int]:
        """For every id the lowest id of its isomorphism class (6,466 distinct)."""
        first: dict[str, int] = {}
        return [first.setdefault(isomorphism_key(a), i) for i, a in enumerate(self._by_id)]

    def operations(self, graphs: Graphs) -> Int[Tensor, "batch 6"]:
        """Index into :data:`OPERATIONS` of the six edges of each (valid) graph."""
        return graphs.node_types[:, 1:7] - 2

    @property
    def _by_id(self) -> tuple[str, ...]:
        return _cells_by_id()

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {a: i for i, a in enumerate(self._by_id)}

    @cached_property
    def _adjacency(self) -> Bool[Tensor, " slots"]:
        source, target = slot_index(self.max_nodes)
        present = set(_LINE_GRAPH)
        return torch.tensor([(u, v) in present for u, v in zip(source.tolist(), target.tolist(), strict=True)])

    def _lexicographic_index(self, node_types: Int[Tensor, "batch nodes"]) -> Int[Tensor, " batch"]:
        powers = 5 ** torch.arange(5, -1, -1)
        return ((node_types[:, 1:7] - 2).clamp(min=0) * powers).sum(dim=1)
