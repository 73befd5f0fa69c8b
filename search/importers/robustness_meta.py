"""``meta.json`` of the robustness dataset, which NAS-RobBench-201 has as well: strings and isomorphs by id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.published_json import ISOMORPH, STRING
from search.importers.base import entry


@dataclass(frozen=True)
class Ids:
    """Strings in the order of ids, the row of every id, and the representative's id for every row.

    Attributes:
        architectures: the strings.
        rows: row of every id.
        isomorphs: id of the network that was evaluated in a row's place.
    """

    architectures: list[str]
    rows: dict[str, int]
    isomorphs: list[int]


def existing(path: Path) -> Path | None:
    """Path of a file, plain or compressed; None if neither exists.

    Args:
        path: the plain file.
    """
    return next((p for p in (path, path.with_name(f"{path.name}.gz")) if p.is_file()), None)


def read_ids(content: Any, where: str, remedy: str) -> Ids:
    """The entry ``ids`` of ``meta.json``.

    Args:
        content: the entry.
        where: name of the file, for messages.
        remedy: advice that ends the error of a file that is not as expected.

    Raises:
        TableError: if it has no ids, an architecture that is not NAS-Bench-201's, or an isomorph that is no id.
    """
    if (
        not isinstance(content, dict)
        or not content
        or not all(k.isascii() and k.isdigit() and len(k) < 9 for k in content)
    ):
        raise TableError(f"{where}: ids is no dictionary of numbers; {remedy}")
    expected = NASBench201().enumerate()
    ordered = sorted(content, key=int)
    rows = {name: row for row, name in enumerate(ordered)}
    architectures, isomorphs = [], []
    for name in ordered:
        architecture, isomorph = (entry(content[name], k, f"{where}: id {name}", remedy) for k in (STRING, ISOMORPH))
        if int(name) >= len(expected) or architecture != expected[int(name)]:
            raise TableError(f"{where}: id {name} is {architecture!r}, not NAS-Bench-201's architecture; {remedy}")
        if str(isomorph) not in rows:
            raise TableError(f"{where}: id {name} is isomorphic to {isomorph!r}, which is no id; {remedy}")
        architectures.append(architecture)
        isomorphs.append(int(isomorph))
    return Ids(architectures, rows, isomorphs)
