"""The queries of a search: the record in memory, and the append-only ``history.jsonl`` with one line per query."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from agnet.errors import RunDirectoryError, UnreadableFile
from agnet.multiobjective.outcomes import Outcomes
from agnet.runtime.digests import of_bytes
from agnet.runtime.files import append_text, truncate
from agnet.runtime.reading import read_bytes
from agnet.tables.goal import Goal
from search.incumbent import IncumbentTracker


@dataclass(frozen=True)
class Query:
    """One evaluation of an architecture.

    Attributes:
        index: position in the search, from 0.
        architecture: the space's string.
        values: columns that the search sees, objectives and limited ones, in their own units and directions.
        round: number of the query's round, from 0.
        seconds: wall-clock time of the search when the round's values were known.
    """

    index: int
    architecture: str
    values: dict[str, float]
    round: int
    seconds: float


@dataclass(frozen=True)
class Round:
    """The record of a round, without its queries.

    Attributes:
        queries: number of queries after the round.
        seconds: wall-clock time of the search after the round.
        surrogate_spearman: rank correlation by :func:`search.correlation.surrogate_spearman`.
        diagnostics: the optimizer's diagnostics of its proposal.
        optimizer_seconds: wall-clock time spent inside the optimizer in this round.
    """

    queries: int
    seconds: float
    surrogate_spearman: float | None
    diagnostics: dict[str, float]
    optimizer_seconds: float = 0.0


class History:
    """All queries of a search in order, with the best one after each.

    Args:
        goal: goal of the search.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.queries: list[Query] = []
        self.rounds: list[Round] = []
        self.incumbents: list[int | None] = []
        """After each query, the index of the best feasible query so far."""
        self.feasible: list[bool] = []
        """Whether each query satisfies all limits."""
        self._violations: list[float] = []
        self._tracker = IncumbentTracker(len(goal.names))
        self._architectures: set[str] = set()

    def __len__(self) -> int:
        return len(self.queries)

    def __contains__(self, architecture: str) -> bool:
        return architecture in self._architectures

    def extend(self, queries: Iterable[Query]) -> None:
        """Append queries."""
        added = list(queries)
        outcomes = self.goal.outcomes(self._measured(added))
        rows = zip(outcomes.values.tolist(), outcomes.feasible.tolist(), outcomes.violations.tolist(), strict=True)
        for query, (values, feasible, violation) in zip(added, rows, strict=True):
            self.incumbents.append(self._tracker.add(values, feasible=feasible))
            self.feasible.append(feasible)
            self._violations.append(violation)
            self.queries.append(query)
            self._architectures.add(query.architecture)

    @property
    def best(self) -> Query | None:
        """The feasible query that :func:`agnet.multiobjective.pareto.rank` puts first; None without any.

        Among equals it is the earliest.
        """
        index = self.incumbents[-1] if self.incumbents else None
        return None if index is None else self.queries[index]

    @property
    def closest(self) -> Query:
        """The query with the smallest violation; the earliest among equals."""
        return self.queries[self._violations.index(min(self._violations))]

    @property
    def front(self) -> list[Query]:
        """Feasible non-dominated queries, in the order of :attr:`best`."""
        return [self.queries[i] for i in self._tracker.front()]

    @property
    def outcomes(self) -> Outcomes:
        """All queries as an optimizer sees them."""
        return self.goal.outcomes(self._measured(self.queries))

    def _measured(self, queries: Sequence[Query]) -> Float[Tensor, "n columns"]:
        rows = [[query.values[column] for column in self.goal.columns] for query in queries]
        return torch.tensor(rows, dtype=torch.float64, device="cpu").reshape(len(rows), len(self.goal.columns))

    @property
    def seconds(self) -> float:
        """Wall-clock time of the finished rounds."""
        return self.rounds[-1].seconds if self.rounds else 0.0


def append_queries(path: Path, queries: Iterable[Query]) -> None:
    """Append lines to a history file and wait until they are on disk."""
    append_text(path, "".join(json.dumps(asdict(query)) + "\n" for query in queries))


def read_queries(path: Path, count: int | None = None, digest: str | None = None) -> list[Query]:
    """Queries of a history file; a last line that a kill has cut off is left out, and a missing file counts as empty.

    Args:
        path: the file.
        count: number of queries to read; None for all.
        digest: SHA-256 of the file after these; None if it is not known.

    Raises:
        RunDirectoryError: if the file has fewer, a line is damaged, or the digest is another one.
    """
    return [query for query, _ in _verified(path, count, digest)]


def keep_queries(path: Path, count: int, digest: str | None = None) -> list[Query]:
    """Truncate a history file after ``count`` queries and return these; see :func:`read_queries`.

    Args:
        path: the file.
        count: number of queries to keep.
        digest: SHA-256 of the file after these; None if it is not known.
    """
    kept = _verified(path, count, digest)
    if path.exists():
        truncate(path, kept[-1][1] if kept else 0)
    return [query for query, _ in kept]


def _verified(path: Path, count: int | None, digest: str | None) -> list[tuple[Query, int]]:
    kept = _read(path)[:count]
    if count is None:
        return kept
    if len(kept) < count:
        raise RunDirectoryError(
            f"{path} holds {len(kept)} queries, but {count} were finished; restore it, or start anew with force=true"
        )
    end = kept[-1][1] if kept else 0
    if digest is not None and of_bytes(_content(path)[:end]) != digest:
        raise RunDirectoryError(
            f"{path} was changed after it was written: its first {count} lines do not match their hash; restore it, or "
            "start anew with force=true"
        )
    return kept


def history_digest(path: Path) -> str:
    """SHA-256 of a history file.

    Raises:
        RunDirectoryError: if it cannot be read.
    """
    return of_bytes(_content(path))


_LARGEST = 16 * 2**30


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, most=_LARGEST)
    except UnreadableFile as error:
        raise RunDirectoryError(str(error)) from error


def _read(path: Path) -> list[tuple[Query, int]]:
    """Queries, each with the number of bytes up to the end of its line."""
    if not path.exists():
        return []
    lines = _content(path).split(b"\n")
    found, end = [], 0
    for number, line in enumerate(lines[:-1]):  # text after the last line feed is cut off or empty
        end += len(line) + 1
        try:
            query = _query(line)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            if number == len(lines) - 2:
                break
            raise RunDirectoryError(_damaged(path, number)) from error
        if query.index != number:
            raise RunDirectoryError(_damaged(path, number))
        found.append((query, end))
    return found


def _query(line: bytes) -> Query:
    """A line's query, its values as numbers."""
    fields: dict[str, Any] = json.loads(line)
    query = Query(**fields)
    if not isinstance(query.architecture, str):
        raise TypeError(query.architecture)
    return replace(query, values={str(name): float(value) for name, value in query.values.items()})


def _damaged(path: Path, number: int) -> str:
    return f"{path}: line {number + 1} is not query {number} of a search; restore it, or start anew with force=true"
