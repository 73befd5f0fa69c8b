"""NAS-Bench-201: six edges, five operations, 15,625 cells.

Source: Dong & Yang, 2020, https://arxiv.org/abs/2001.00326.
"""

import itertools
import random
import re
from collections.abc import Sequence
from functools import cache

from agnet.errors import InvalidArchitecture, quoted
from agnet.spaces import edge_cells
from agnet.spaces.edge_cells import EdgeCells, edges_of

OPERATIONS = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none")
"""Operations in node-type order: operation ``k`` is node type ``k + 2``."""

EDGES = edges_of(4)
"""The cell's edges ``(source, target)`` in the order of the string; edge ``e`` is graph node ``e + 1``."""

_ID_ORDER = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Operation order in which the benchmark enumerates cells before shuffling them into ids."""

_PATTERN = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|", flags=re.ASCII)


def parse(architecture: str) -> tuple[str, ...]:
    """Operations on the six edges of a cell, in the order of :data:`EDGES`.

    Raises:
        InvalidArchitecture: if the text is not a NAS-Bench-201 string.

    Example:
        >>> parse("|none~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|")
        ('none', 'none', 'skip_connect', 'nor_conv_3x3', 'none', 'none')
    """
    match = _PATTERN.fullmatch(architecture) if isinstance(architecture, str) else None
    if match is None or any(op not in OPERATIONS for op in match.groups()):
        raise InvalidArchitecture(
            f"not a NAS-Bench-201 cell: {quoted(architecture)}; expected "
            f"'|op~0|+|op~0|op~1|+|op~0|op~1|op~2|' with op one of {', '.join(OPERATIONS)}"
        )
    return match.groups()


def to_string(operations: Sequence[str]) -> str:
    """The benchmark's string of six operations: the inverse of :func:`parse`."""
    o = operations
    return f"|{o[0]}~0|+|{o[1]}~0|{o[2]}~1|+|{o[3]}~0|{o[4]}~1|{o[5]}~2|"


def isomorphism_key(architecture: str) -> str:
    """The benchmark's uniqueness text: cells with equal texts are evaluated once (6,466 distinct texts).

    Texts are built node by node. A zero operation, or any operation on a source whose text is exactly the dead mark
    ``#``, contributes ``#``; a skip contributes its source's text; other operations wrap it. The text is *not* a
    functional key: see :func:`functional_key`.
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
    """Whether each of the six edges lies on a path of non-zero operations from the input to the output."""
    return edge_cells.live_edges(EDGES, parse(architecture), zero="none")


def functional_key(architecture: str) -> str:
    """A strict key with 5,260 classes; see :func:`agnet.spaces.edge_cells.functional_key`.

    Example:
        >>> functional_key("|none~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|")
        '1=nor_conv_3x3(0)|1'
    """
    return NASBench201().functional_key(architecture)


@cache
def _cells_by_id() -> tuple[str, ...]:
    """All cells in the order of the benchmark's ids; cached for the process."""
    cells = [to_string(ops) for ops in itertools.product(_ID_ORDER, repeat=6)]
    random.Random(88).shuffle(cells)
    return tuple(cells)


@cache
def _isomorphs() -> tuple[int, ...]:
    first: dict[str, int] = {}
    return tuple(first.setdefault(isomorphism_key(a), i) for i, a in enumerate(_cells_by_id()))


@cache
def _representatives() -> tuple[int, ...]:
    return tuple(sorted(set(_isomorphs())))


@cache
def _ids() -> dict[str, int]:
    return {a: i for i, a in enumerate(_cells_by_id())}


class NASBench201(EdgeCells):
    """The NAS-Bench-201 topology space, with the benchmark's own ids.

    Example:
        >>> space = NASBench201()
        >>> space.enumerate()[50]
        '|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_1x1~2|'
    """

    name = "nasbench201"
    operations = OPERATIONS
    vertices = 4
    weightless = ("avg_pool_3x3",)
    parse = staticmethod(parse)
    to_string = staticmethod(to_string)

    def enumerate(self) -> Sequence[str]:
        """All 15,625 strings; the position is the benchmark's id."""
        return _cells_by_id()

    def canonical(self, architecture: str) -> str:
        """The lowest-id member of the cell's class under :func:`isomorphism_key`."""
        parse(architecture)
        return _cells_by_id()[_isomorphs()[_ids()[architecture]]]

    @property
    def isomorphs(self) -> Sequence[int]:
        """Lowest id of the isomorphism class of every id (6,466 distinct)."""
        return _isomorphs()

    @property
    def representatives(self) -> Sequence[int]:
        """The lowest id of every isomorphism class, ascending."""
        return _representatives()
