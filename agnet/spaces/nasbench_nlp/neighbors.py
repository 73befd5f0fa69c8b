"""Cells one change away, each change with its reverse."""

from collections.abc import Iterator

from agnet.spaces.nasbench_nlp.cells import build, decode
from agnet.spaces.nasbench_nlp.notation import INPUTS, LEAST, MOST, OPERATIONS, STATES, Part, parse

ONE_SOURCE = tuple(name for name, least in zip(OPERATIONS, LEAST, strict=True) if least == 1)
"""Operations that can read one node."""


def neighbors(architecture: str, max_nodes: int) -> list[str]:
    """Cells that one change makes of one; sorted."""
    parts = parse(architecture)
    candidates = [changed for changed in _changes(parts) if INPUTS + len(changed) <= max_nodes]
    return sorted({text for text in decode(build(candidates, max_nodes)) if text is not None} - {architecture})


def _changes(parts: list[Part]) -> Iterator[list[Part]]:
    """Changed cells, of which some are none."""
    *operations, output = parts
    for i, part in enumerate(operations):
        for name in OPERATIONS:
            yield [*operations[:i], part._replace(name=name), *operations[i + 1 :], output]
    for i, part in enumerate(parts):
        fewest, most = _bounds(part.name)
        others = [u for u in range(INPUTS * (part is output), INPUTS + i) if u not in part.sources]
        for read in part.sources:
            left = tuple(u for u in part.sources if u != read)
            if len(left) >= fewest:
                yield from _reading(parts, i, left)
            for other in others:
                yield from _reading(parts, i, (*left, other))
        if len(part.sources) < most:
            for other in others:
                yield from _reading(parts, i, (*part.sources, other))
    for marked in range(len(output.sources)):
        yield [*operations, output._replace(marked=marked)]
    yield from _longer(parts)
    yield from _shorter(parts)


def _bounds(name: str) -> tuple[int, int]:
    if name == "output":
        return 1, STATES
    return LEAST[OPERATIONS.index(name)], MOST[OPERATIONS.index(name)]


def _reading(parts: list[Part], place: int, sources: tuple[int, ...]) -> Iterator[list[Part]]:
    """With other sources of one part; of the output, with every choice of h_new_0."""
    for marked in range(len(sources) if parts[place].name == "output" else 1):
        changed = Part(parts[place].name, tuple(sorted(sources)), marked)
        yield [*parts[:place], changed, *parts[place + 1 :]]


def _longer(parts: list[Part]) -> Iterator[list[Part]]:
    """With an operation of one source within an edge, just before the node that reads it."""
    for i, part in enumerate(parts):
        moved = [_renumbered(other, INPUTS + i, 1) for other in parts[i + 1 :]]
        for read in part.sources:
            left = tuple(u for u in part.sources if u != read)
            if part.name == "output" and read < INPUTS:
                continue
            for changed in _reading([part], 0, (*left, INPUTS + i)):
                for name in ONE_SOURCE:
                    yield [*parts[:i], Part(name, (read,)), *changed, *moved]


def _shorter(parts: list[Part]) -> Iterator[list[Part]]:
    """Without an operation of one source whose only reader is the next node, which reads the source instead."""
    for i, part in enumerate(parts[:-1]):
        node = INPUTS + i
        reader = parts[i + 1]
        alone = all(node not in other.sources for other in parts[i + 2 :])
        if len(part.sources) == 1 and alone and node in reader.sources and part.sources[0] not in reader.sources:
            sources = (*(u for u in reader.sources if u != node), part.sources[0])
            moved = [_renumbered(other, node + 1, -1) for other in parts[i + 2 :]]
            for [changed] in _reading([reader], 0, sources):
                yield [*parts[:i], changed, *moved]


def _renumbered(part: Part, begin: int, by: int) -> Part:
    """With other numbers from a node on."""
    return part._replace(sources=tuple(u + by * (u >= begin) for u in part.sources))
