"""Cells as text."""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from agnet.errors import InvalidArchitecture, quoted

OPERATIONS = ("sigm", "tanh", "leaky_relu", "sum", "prod", "linear", "blend")
"""Operations in node-type order: operation ``k`` is node type ``k + 4``."""

LEAST, MOST = (1, 1, 1, 2, 2, 2, 3), (1, 1, 1, 2, 2, 3, 3)
"""Fewest and most sources of the operations."""

INPUTS = 4
"""Number of first nodes that are the input ``x`` and the hidden states, in every graph."""

STATES = 3
"""Largest number of hidden states of a cell."""

_MOST = 10_000
"""Nodes of a text, and characters of a node, above which it is not read."""

_PATTERN = re.compile(r"([a-z_]+)\((\*?\d{1,6}(?:,\*?\d{1,6})*)\)", flags=re.ASCII)


class Part(NamedTuple):
    """An operation or the output.

    Attributes:
        name: one of :data:`OPERATIONS`, or ``output``.
        sources: nodes that it reads, ascending.
        marked: position of ``h_new_0`` among the sources; for the output only.
    """

    name: str
    sources: tuple[int, ...]
    marked: int = 0


def parse(architecture: str) -> list[Part]:
    """Operations, from node 4 on, and output of a string; encoding checks whether they make a cell.

    Raises:
        InvalidArchitecture: if the text does not follow this notation.

    Example:
        >>> parse("linear(0,1)|output(*4)")
        [Part(name='linear', sources=(0, 1), marked=0), Part(name='output', sources=(4,), marked=0)]
    """
    texts = architecture.split("|") if isinstance(architecture, str) else []
    try:
        if len(texts) > _MOST:
            raise ValueError(f"{len(texts)} nodes, more than the {_MOST} of any cell")
        parts = [_part(text) for text in texts]
        for node, part in enumerate(parts, start=INPUTS):
            if (part.name == "output") != (node == INPUTS + len(parts) - 1) or part.sources[-1] >= node:
                raise ValueError(f"node {node} is {quoted(texts[node - INPUTS])}")
    except ValueError as error:
        raise invalid(architecture, str(error)) from None
    return parts


def invalid(architecture: object, reason: str) -> InvalidArchitecture:
    """The error for a text that is not a cell."""
    return InvalidArchitecture(
        f"not a NAS-Bench-NLP cell: {quoted(architecture)} ({reason}); expected 'linear(0,1)|tanh(4)|output(*5)': "
        f"operations from node {INPUTS} on, each one of {', '.join(OPERATIONS)} with the nodes it reads (0 is the "
        f"input, 1 to {STATES} are hidden states), all of them read, and * before the output's h_new_0"
    )


def to_text(parts: Sequence[Part]) -> str:
    """The inverse of :func:`parse`."""
    return "|".join(map(_text, parts))


@cache
def _text(part: Part) -> str:
    return text(part.name, part.sources, part.marked if part.name == "output" else None)


def text(name: str, sources: tuple[int, ...], marked: int | None = None) -> str:
    """Text of an operation, or of the output with a mark."""
    return f"{name}({','.join('*' * (i == marked) + str(node) for i, node in enumerate(sources))})"


@cache
def _part(written: str) -> Part:
    match = _PATTERN.fullmatch(written) if len(written) <= _MOST else None
    if match is None or match[1] not in (*OPERATIONS, "output"):
        raise ValueError(f"a node is {quoted(written)}")
    sources = tuple(int(node) for node in match[2].replace("*", "").split(","))
    marks = [i for i, node in enumerate(match[2].split(",")) if node.startswith("*")]
    if list(sources) != sorted(set(sources)) or len(marks) != (match[1] == "output"):
        raise ValueError(f"a node is {quoted(written)}")
    part = Part(match[1], sources, *marks)
    if _text(part) != written:
        raise ValueError(f"a node is {quoted(written)}")
    return part
