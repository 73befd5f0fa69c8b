"""The search loop: ask, evaluate, tell, and save everything that a restart needs.

Every ``save_every`` seconds, at the end of a round, the new queries are first appended to ``history.jsonl``, and then
``state.pt`` is replaced. A kill at any moment leaves a state and at least its queries. A restart drops queries beyond
the state and repeats those rounds with the same proposals.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from agnet.errors import ConfigurationError, InvalidArchitecture, RunDirectoryError, TaskError
from agnet.optimizers.base import AbstractOptimizer
from agnet.runtime.digests import check_identity
from agnet.spaces.base import AbstractSpace
from agnet.tables.goal import Goal
from agnet.tables.objective import AbstractObjective
from search.correlation import surrogate_spearman
from search.history import History, Query, Round, append_queries, history_digest, keep_queries
from search.state import load_state, save_state

HISTORY_FILE, STATE_FILE = "history.jsonl", "state.pt"

OTHER_RUN = "restore these, choose another run_dir, or start anew with force=true"
"""What to do about a folder that was made with other settings or inputs."""


def check_schedule(*, budget: int, initial: int, batch: int) -> None:
    """Refuse a schedule that allows no search.

    Raises:
        ConfigurationError: if a number is not positive, or no query is left after the first round.
    """
    for name, value in (("initial", initial), ("batch", batch)):
        if value < 1:
            raise ConfigurationError(f"{name}={value}: at least one architecture must be queried per round")
    if budget <= initial:
        raise ConfigurationError(
            f"budget={budget} is spent by the initial={initial} random architectures; raise budget or lower initial"
        )


def run_search(
    space: AbstractSpace,
    objective: AbstractObjective,
    optimizer: AbstractOptimizer,
    *,
    budget: int,
    initial: int = 16,
    batch: int = 16,
    run_directory: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    observer: Callable[[History], None] | None = None,
    save_every: float = 0.0,
    progress: bool = False,
) -> History:
    """Query architectures until the budget is spent or the space is exhausted.

    A query is one evaluation of an architecture that was not queried before. The loop counts them, for any optimizer.

    Args:
        space: the space searched.
        objective: evaluates the proposed architectures.
        optimizer: proposes architectures; fresh, or built with the arguments it had when the run was interrupted.
        budget: number of queries.
        initial: queries of the first round.
        batch: queries of every other round; the last one may be smaller.
        run_directory: existing folder of ``history.jsonl`` and ``state.pt``, from which the search continues; None
            keeps everything in memory.
        identity: configuration and inputs of the search, as plain values; a folder of others is refused.
        save_every: seconds between two writes of the folder's files; 0 writes after every round. With instant look-ups,
            writing takes most of a search. A kill loses at most this many seconds of work.
        observer: called after every round, and once with the history of an interrupted run.
        progress: show a bar on a terminal.

    Raises:
        ConfigurationError: if :func:`check_schedule` refuses the schedule.
        RunDirectoryError: if the folder's files do not match each other, the identity or the objective.
        TaskError: if a value is not finite.
        RuntimeError: if the optimizer makes a forbidden proposal: a defect.
    """
    check_schedule(budget=budget, initial=initial, batch=batch)
    history = History(objective.goal)
    if run_directory is not None:
        _resume(history, optimizer, run_directory, objective, identity or {})
    if history.queries and observer is not None:
        observer(history)
    started = time.perf_counter() - history.seconds
    saved, written = len(history), time.perf_counter()
    disable = None if progress else True  # None: off when not a terminal
    with tqdm(total=budget, initial=len(history), desc="search", unit="query", disable=disable) as bar:
        while len(history) < budget:
            num_requested = min(batch if history.queries else initial, budget - len(history))
            begin = time.perf_counter()
            proposed = optimizer.ask(num_requested)
            thinking = time.perf_counter() - begin
            _check_proposals(proposed, num_requested, history, space)
            if not proposed:
                break
            diagnostics = dict(optimizer.diagnostics())
            correlation = surrogate_spearman(optimizer, objective)
            measured = objective(proposed)
            _check_finite(proposed, objective.goal, measured)
            seconds = round(time.perf_counter() - started, 3)
            queries = [
                Query(len(history) + i, architecture, values, len(history.rounds), seconds)
                for i, (architecture, values) in enumerate(zip(proposed, _named(objective.goal, measured), strict=True))
            ]
            begin = time.perf_counter()
            optimizer.tell(proposed, objective.goal.outcomes(measured))
            thinking += time.perf_counter() - begin
            history.extend(queries)
            seconds = round(time.perf_counter() - started, 3)
            history.rounds.append(Round(len(history), seconds, correlation, diagnostics, round(thinking, 4)))
            if run_directory is not None and (time.perf_counter() - written >= save_every or len(history) >= budget):
                saved = _save(history, optimizer, run_directory, saved, identity or {})
                written = time.perf_counter()
            if observer is not None:
                observer(history)
            bar.update(len(queries))
            shown = history.best
            values = {"feasible": "none yet"} if shown is None else {c: f"{v:.5g}" for c, v in shown.values.items()}
            bar.set_postfix(values)
    if run_directory is not None:  # an exhausted space ends the loop before the budget is spent
        _save(history, optimizer, run_directory, saved, identity or {})
    return history


def _save(
    history: History, optimizer: AbstractOptimizer, run_directory: Path, saved: int, identity: Mapping[str, Any]
) -> int:
    """Write unsaved data: queries first, so that the state is never ahead of the history file."""
    if len(history) > saved:
        path = run_directory / HISTORY_FILE
        append_queries(path, history.queries[saved:])
        save_state(run_directory / STATE_FILE, history, optimizer, identity=identity, digest=history_digest(path))
    return len(history)


def _resume(
    history: History,
    optimizer: AbstractOptimizer,
    run_directory: Path,
    objective: AbstractObjective,
    identity: Mapping[str, Any],
) -> None:
    """Continue from a run directory; its unfinished rounds are dropped."""
    state, path = run_directory / STATE_FILE, run_directory / HISTORY_FILE
    if not state.exists():
        keep_queries(path, 0)
        return
    found = load_state(state)
    if found.identity is not None:
        check_identity(state, found.identity, identity, OTHER_RUN)
    queries = keep_queries(path, found.rounds[-1].queries, found.history)
    if tuple(queries[0].values) != history.goal.columns:
        raise RunDirectoryError(
            f"{path} has values of {', '.join(queries[0].values)}, the objective is {', '.join(history.goal.columns)}; "
            "choose another run_dir, or start anew with force=true"
        )
    _check_values(queries, objective, path)
    restore(optimizer, found.optimizer, state)
    history.extend(queries)
    history.rounds.extend(found.rounds)


def restore(optimizer: AbstractOptimizer, state: Mapping[str, Any], path: Path) -> None:
    """Load an optimizer's state from a file.

    Args:
        optimizer: the optimizer that wrote the state, built anew.
        state: the state that the file holds.
        path: the file, for the message.

    Raises:
        RunDirectoryError: if the state does not fit the optimizer.
    """
    try:
        optimizer.load_state_dict(state)
    except Exception as error:  # a state of another optimizer, or a forged one, may raise anything
        raise RunDirectoryError(
            f"{path} holds no state of {type(optimizer).__name__} ({type(error).__name__}); restore it, or start "
            "anew with force=true"
        ) from error


def _check_finite(proposed: Sequence[str], goal: Goal, measured: Float[Tensor, "n columns"]) -> None:
    """Refuse measurements that no optimizer can rank."""
    broken = (~measured.isfinite()).nonzero()
    if len(broken):
        row, column = broken[0].tolist()
        raise TaskError(
            f"{goal.columns[column]} is {float(measured[row, column])} for {proposed[row]}; correct the evaluation, or "
            "leave that architecture out of the space"
        )


def _check_values(queries: Sequence[Query], objective: AbstractObjective, path: Path) -> None:
    """Refuse to continue on a table that has changed since."""
    found = objective.look_up([query.architecture for query in queries])
    if found is None:
        return
    for i, now in zip(found[0], _named(objective.goal, found[1]), strict=True):
        if now != queries[i].values:
            raise RunDirectoryError(
                f"{path}: {queries[i].architecture} was {queries[i].values} and is now {now}: the table has changed; "
                "restore it, choose another run_dir, or start anew with force=true"
            )


def _named(goal: Goal, measured: Float[Tensor, "n columns"]) -> list[dict[str, float]]:
    return [dict(zip(goal.columns, row, strict=True)) for row in measured.tolist()]


def _check_proposals(proposed: Sequence[str], num_requested: int, history: History, space: AbstractSpace) -> None:
    """Check an optimizer's contract: only distinct, new and valid architectures are evaluated."""
    repeated = sorted({a for a in proposed if a in history or proposed.count(a) > 1})
    if repeated:
        raise RuntimeError(f"the optimizer proposed {repeated[0]!r} again; every proposal must be new")
    if len(proposed) > num_requested:
        raise RuntimeError(f"the optimizer proposed {len(proposed)} architectures where {num_requested} were asked for")
    try:
        space.encode(proposed)
    except InvalidArchitecture as error:
        raise RuntimeError(f"the optimizer proposed what is not in the space: {error}") from None
    if len(proposed) < num_requested and space.size is not None and len(history) + len(proposed) < space.size:
        raise RuntimeError(
            f"the optimizer proposed {len(proposed)} architectures where {num_requested} were asked for, although only "
            f"{len(history)} of {space.size} are known"
        )
