"""Pairs of DARTS cells as text.

The two operations of a node are ordered by their sources, so that a pair of cells has one string:
``|sep_conv_3x3~0|skip_connect~1|+|...|+|...|+|...|/|...``, with the normal cell first.
"""

import itertools
import re
from collections.abc import Mapping
from functools import cache

from agnet.errors import InvalidArchitecture, quoted

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
"""Number of intermediate nodes of a cell."""

CELLS = ("normal", "reduce")

SOURCES = tuple(tuple(itertools.combinations(range(2 + step), 2)) for step in range(STEPS))
"""Pairs of nodes that each intermediate node can read."""

Node = tuple[tuple[str, int], tuple[str, int]]
"""Two operations with their sources, the lower source first."""

Cell = tuple[Node, ...]

_PATTERN = re.compile(r"\|(\w+)~(\d)\|(\w+)~(\d)\|", flags=re.ASCII)
_NODE = "|op~source|op~source|"


def parse(architecture: str) -> dict[str, Cell]:
    """Normal and reduction cell of a string.

    Raises:
        InvalidArchitecture: if the text is not a pair of cells, or not in this space's order.
    """
    texts = architecture.split("/") if isinstance(architecture, str) else []
    try:
        if len(texts) != len(CELLS):
            raise ValueError(f"{len(texts)} cells")
        return {name: _cell(text) for name, text in zip(CELLS, texts, strict=True)}
    except ValueError as error:
        raise InvalidArchitecture(
            f"not a pair of DARTS cells: {quoted(architecture)} ({error}); expected "
            f"{'+'.join([_NODE] * STEPS)!r} twice, with '/' between, "
            f"op one of {', '.join(OPERATIONS)}, sources of a node ascending"
        ) from None


def parse_cell(text: str) -> Cell:
    """One cell, as written on either side of the ``/`` of a pair.

    Raises:
        InvalidArchitecture: if the text is not a cell.
    """
    try:
        return _cell(text)
    except ValueError as error:
        raise InvalidArchitecture(
            f"not a DARTS cell: {quoted(text)} ({error}); expected {'+'.join([_NODE] * STEPS)!r}, op one of "
            f"{', '.join(OPERATIONS)}, sources of a node ascending"
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
            raise ValueError(f"node {step + 2} is {quoted(part)}")
        if (int(match[2]), int(match[4])) not in SOURCES[step]:
            raise ValueError(f"node {step + 2} reads {match[2]} and {match[4]}")
        nodes.append(((match[1], int(match[2])), (match[3], int(match[4]))))
    return tuple(nodes)


def to_string(cells: Mapping[str, Cell]) -> str:
    """The string of a pair of cells: the inverse of :func:`parse`."""
    return "/".join("+".join(f"|{a}~{u}|{b}~{v}|" for (a, u), (b, v) in cells[name]) for name in CELLS)
