"""DARTS cells in the notations of DARTS itself and of NAS-Bench-301.

* DARTS: ``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[...])``.
* NAS-Bench-301's configuration: ``NetworkSelectorDatasetInfo:darts:edge_normal_0: sep_conv_3x3`` for every edge that is
  present, numbered by target, then source; and ``...:inputs_node_normal_3: 0_1`` for all nodes but the first.
"""

import ast
from collections.abc import Sequence

from agnet.errors import InvalidArchitecture
from agnet.spaces.darts.notation import CELLS, OPERATIONS, SOURCES, STEPS, Cell, parse, to_string

PREFIX = "NetworkSelectorDatasetInfo:darts:"

_CONCAT = [2, 3, 4, 5]
_LONGEST = 10_000  # characters; a genotype has about 700


def from_genotype(text: str) -> str:
    """The string of a genotype as DARTS prints it.

    Args:
        text: the call of ``Genotype``, with lists, tuples, or ``range`` for the concatenated nodes.

    Raises:
        InvalidArchitecture: if the text is not such a call, or concatenates other nodes than 2 to 5.

    Example:
        >>> cell = [("sep_conv_3x3", 1), ("skip_connect", 0), *[("sep_conv_3x3", 0), ("sep_conv_5x5", 1)] * 3]
        >>> text = f"Genotype(normal={cell}, normal_concat=range(2, 6), reduce={cell}, reduce_concat=range(2, 6))"
        >>> from_genotype(text).split("+")[0]
        '|skip_connect~0|sep_conv_3x3~1|'
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"{len(text)} characters, more than the {_LONGEST} of any genotype")
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("it is no call with four names")
        given = {keyword.arg: _literal(keyword.value) for keyword in call.keywords}
        cells: dict[str, Cell] = {}
        for name in CELLS:
            if list(given[f"{name}_concat"]) != _CONCAT:
                raise ValueError(f"{name}_concat={given[f'{name}_concat']}")
            cells[name] = from_pairs([(operation, source) for operation, source in given[name]])
    except (SyntaxError, ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        said = " ".join(str(error).split())[:200]
        raise InvalidArchitecture(
            f"not a DARTS genotype: {text[:60]!r}... ({said}); expected Genotype(normal=[('op', source), ...], "
            "normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[2, 3, 4, 5])"
        ) from None
    return to_string(cells)


def _literal(node: ast.expr) -> list:
    """The value of a literal list or tuple, or of a call of ``range``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords:
        return list(range(*(ast.literal_eval(arg) for arg in node.args))[: len(_CONCAT) + 1])
    return list(ast.literal_eval(node))


def from_pairs(pairs: Sequence[tuple[str, int]]) -> Cell:
    """A cell from eight pairs of operation and source, two for each node, in either order.

    Raises:
        ValueError: if a pair does not fit; the message names it.
    """
    if len(pairs) != 2 * STEPS:
        raise ValueError(f"{len(pairs)} operations")
    nodes = []
    for step in range(STEPS):
        first, second = sorted(pairs[2 * step : 2 * step + 2], key=lambda pair: pair[1])
        if (first[1], second[1]) not in SOURCES[step]:
            raise ValueError(f"node {step + 2} reads {first[1]} and {second[1]}")
        for operation, _ in (first, second):
            if operation not in OPERATIONS:
                raise ValueError(f"operation {operation!r}")
        nodes.append(((first[0], int(first[1])), (second[0], int(second[1]))))
    return tuple(nodes)


def to_genotype(architecture: str) -> str:
    """DARTS' notation of a pair of cells.

    Example:
        >>> cell = "|skip_connect~0|sep_conv_3x3~1|+" + "+".join(["|sep_conv_3x3~0|sep_conv_3x3~1|"] * 3)
        >>> from_genotype(to_genotype(f"{cell}/{cell}")) == f"{cell}/{cell}"
        True
    """
    parts = []
    for name, cell in parse(architecture).items():
        parts += [f"{name}={[pair for node in cell for pair in node]}", f"{name}_concat={_CONCAT}"]
    return f"Genotype({', '.join(parts)})"


def edge_number(source: int, target: int) -> int:
    """NAS-Bench-301's number of the edge into an intermediate node (2 to 5).

    Example:
        >>> [edge_number(0, 2), edge_number(1, 2), edge_number(0, 3), edge_number(4, 5)]
        [0, 1, 2, 13]
    """
    return sum(range(2, target)) + source


def to_configuration(architecture: str) -> dict[str, str]:
    """NAS-Bench-301's configuration of a pair of cells; only active hyperparameters are listed."""
    found = {}
    for name, cell in parse(architecture).items():
        for target, ((a, u), (b, v)) in enumerate(cell, start=2):
            found[f"{PREFIX}edge_{name}_{edge_number(u, target)}"] = a
            found[f"{PREFIX}edge_{name}_{edge_number(v, target)}"] = b
            if target > 2:
                found[f"{PREFIX}inputs_node_{name}_{target}"] = f"{u}_{v}"
    return found
