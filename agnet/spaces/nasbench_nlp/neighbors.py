"""Cells one change away; every change has its reverse."""

from collections.abc import Iterator

from agnet.spaces.nasbench_nlp.notation import INPUTS, LEAST, MOST, OPERATIONS, STATES, Part, parse, to_text

ONE_SOURCE = tuple(name for name, least in zip(OPERATIONS, LEAST, strict=True) if least == 1)
"""Operations that read one node."""


def neighbors(architecture: str, max_nodes: int) -> list[str]:
    """Cells one change away from a cell; sorted."""
    parts = parse(architecture)
    candidates = (changed for changed in _changes(parts) if INPUTS + len(changed) <= max_nodes)
    return sorted({to_text(changed) for changed in candidates if _all_read(changed)} - {architecture})


def _all_read(parts: list[Part]) -> bool:
    """Whether the output reads only operations, and the nodes that are read are exactly the input, every operation, and
    as many hidden states as there are new ones.
    """
    if parts[-1].sources[0] < INPUTS:
        return False
    read = set().union(*(part.sources for part in parts))
    return read == {*range(len(parts[-1].sources) + 1), *range(INPUTS, INPUTS + len(parts) - 1)}


def _changes(parts: list[Part]) -> Iterator[list[Part]]:
    """Changed parts, some of which are not cells."""
    output = parts[-1]
    for i, part in enumerate(parts):
        names = ("output",) if part is output else OPERATIONS
        others = [u for u in range(INPUTS * (part is output), INPUTS + i) if u not in part.sources]
        fewer = [tuple(v for v in part.sources if v != u) for u in part.sources]
        for name in names:
            yield from _reading(parts, i, name, [part.sources, *fewer, *((*part.sources, u) for u in others)])
        yield from _reading(parts, i, part.name, [(*left, u) for left in fewer for u in others])
    yield from _longer(parts)
    yield from _shorter(parts)


def _bounds(name: str) -> tuple[int, int]:
    if name == "output":
        return 1, STATES
    return LEAST[OPERATIONS.index(name)], MOST[OPERATIONS.index(name)]


def _reading(parts: list[Part], place: int, name: str, every: list[tuple[int, ...]]) -> Iterator[list[Part]]:
    """Parts with one of them renamed and given other sources; for the output, with every choice of h_new_0."""
    fewest, most = _bounds(name)
    for sources in every:
        if fewest <= len(sources) <= most:
            for marked in range(len(sources) if name == "output" else 1):
                yield [*parts[:place], Part(name, tuple(sorted(sources)), marked), *parts[place + 1 :]]


def _longer(parts: list[Part]) -> Iterator[list[Part]]:
    """Parts with an operation of one source inserted into an edge, just before the edge's reader."""
    for i, part in enumerate(parts):
        moved = [_renumbered(other, INPUTS + i, 1) for other in parts[i + 1 :]]
        for read in part.sources:
            left = tuple(u for u in part.sources if u != read)
            if part.name == "output" and read < INPUTS:
                continue
            for changed in _reading([part], 0, part.name, [(*left, INPUTS + i)]):
                for name in ONE_SOURCE:
                    yield [*parts[:i], Part(name, (read,)), *changed, *moved]


def _shorter(parts: list[Part]) -> Iterator[list[Part]]:
    """Parts without an operation of one source whose only reader is the next node, which then reads the source."""
    for i, part in enumerate(parts[:-1]):
        node = INPUTS + i
        reader = parts[i + 1]
        alone = all(node not in other.sources for other in parts[i + 2 :])
        if len(part.sources) == 1 and alone and node in reader.sources and part.sources[0] not in reader.sources:
            sources = (*(u for u in reader.sources if u != node), part.sources[0])
            moved = [_renumbered(other, node + 1, -1) for other in parts[i + 2 :]]
            for [changed] in _reading([reader], 0, reader.name, [sources]):
                yield [*parts[:i], changed, *moved]


def _renumbered(part: Part, begin: int, by: int) -> Part:
    """The part with sources from node ``begin`` on shifted by ``by``."""
    return part._replace(sources=tuple(u + by * (u >= begin) for u in part.sources))
