"""Evaluate the missing units of a production in any number of processes, and report progress."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path

import torch
from tqdm import tqdm

from agnet.errors import ConfigurationError, TaskError
from agnet.runtime.executors import WORKER, AbstractExecutor, Ended, shared_out
from agnet.runtime.files import locked, write_text
from agnet.runtime.progress import Progress
from agnet.spaces.nasbench201 import parse, to_string
from evaluation.networks.nasbench201 import NetworkShape, count_macs, edges_to_output
from evaluation.production.configured import FromConfig
from evaluation.production.protocol import Protocol
from evaluation.production.settings import write_settings
from evaluation.production.store import Found, Store
from evaluation.production.unit import Failure, Unit, UnitEvaluator, UnitRecord
from evaluation.production.weights import Weights

STATUS = "status.json"
SHARES = "shares"
_STATUS_SECONDS = 5.0

Source = Callable[[], Protocol]
"""Where a worker process gets its protocol from: it is pickled, so it should be small."""


@dataclass(frozen=True, eq=False)
class Given:
    """A protocol as its own source, for few and small images; equal to another one of the same digest."""

    protocol: Protocol

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and other.protocol.digest == self.protocol.digest

    def __hash__(self) -> int:
        return hash(self.protocol.digest)

    def __call__(self) -> Protocol:
        """The protocol."""
        return self.protocol


@dataclass(frozen=True)
class Group:
    """A task: its members are trained together, and the chosen ones among them are evaluated.

    Attributes:
        members: architectures of the group.
        chosen: members to evaluate.
        seed: seed of every member.
    """

    members: tuple[str, ...]
    chosen: tuple[str, ...]
    seed: int

    @property
    def units(self) -> list[Unit]:
        """What is recorded."""
        return [Unit(architecture, self.seed) for architecture in self.chosen]

    def __str__(self) -> str:
        first, *others = self.chosen
        return f"{first}{f' and {len(others)} more' if others else ''}, seed {self.seed}"


def grouped(units: Sequence[Unit], catalogue: Sequence[str] | None, size: int) -> list[Group]:
    """Units as tasks: alone, or with those who are always trained together.

    Args:
        units: units to be recorded.
        catalogue: all architectures; every ``size`` of them that follow each other are a group, whichever of them are
            to be evaluated, so that no number depends on what else is evaluated. None where ``size`` is 1.
        size: members of a group.

    Raises:
        ConfigurationError: if groups are asked for, and there is no catalogue, it is smaller, or a unit is not in it.
    """
    if size == 1:
        return [Group((unit.architecture,), (unit.architecture,), unit.seed) for unit in units]
    catalogue = catalogue or []
    if size > len(catalogue) > 0:
        raise ConfigurationError(f"group_size={size}; there are {len(catalogue)} architectures: give at most that")
    place = {architecture: i // size for i, architecture in enumerate(catalogue)}
    unknown = [unit.architecture for unit in units if unit.architecture not in place]
    if unknown:
        raise ConfigurationError(
            f"group_size={size}: {unknown[:1]} is not among the {len(place)} architectures that are trained in groups; "
            "give group_size=1"
        )
    chosen: dict[tuple[int, int], list[str]] = {}
    for unit in units:
        chosen.setdefault((place[unit.architecture], unit.seed), []).append(unit.architecture)
    return [Group(tuple(catalogue[i * size : (i + 1) * size]), tuple(some), seed) for (i, seed), some in chosen.items()]


def produce(
    protocol: Protocol,
    architectures: Sequence[str],
    folder: Path,
    *,
    executor: AbstractExecutor,
    seeds: Sequence[int] = (0,),
    catalogue: Sequence[str] | None = None,
    source: Source | None = None,
    device: str = "cpu",
    share: tuple[int, int] | None = None,
    retry: bool = False,
    keep_weights: bool = False,
    networks: Weights | None = None,
    progress: bool = True,
) -> Found:
    """Evaluate architectures, resuming what lies in ``folder``.

    Args:
        protocol: protocol of the evaluation.
        architectures: distinct architectures, as strings.
        folder: folder of the store.
        executor: executor that runs the tasks.
        seeds: every architecture is evaluated with each.
        catalogue: all architectures; see :func:`grouped`.
        source: source from which processes get the protocol; None hands it over as it is.
        device: ``cpu``, or ``cuda``: then the local executor's workers take turns in taking a GPU.
        share: ``(k, n)``: only the ``k``-th of ``n`` shares of the work, counted from 1. Shares are the same whatever
            is done already, and may be worked off at the same time by whatever means.
        retry: try failed units again.
        keep_weights: keep the weights of every network in the folder; units that have none are trained again.
        networks: read the networks from these weights instead of training them, as the protocol says.
        progress: show a progress bar on a terminal.

    Returns:
        All of these units, as they now lie in the store.

    Raises:
        RunDirectoryError: if the folder holds units of another protocol, or another process works in it.
        ConfigurationError: if there is nothing to evaluate, or settings turn out not to work.
        TaskError: if a worker or a job died; the same call continues.
    """
    if not architectures or not seeds or len(set(architectures)) < len(architectures) or len(set(seeds)) < len(seeds):
        raise ConfigurationError(
            f"{len(architectures)} architectures, seeds={list(seeds)}: give distinct ones, one at least"
        )
    units = [Unit(architecture, seed) for seed in seeds for architecture in architectures]
    store = Store(folder, protocol)
    with _owned(folder, share):
        store.claim()
        store.tidy()
        size = protocol.group_size if networks is None else 1
        groups = _by_cost(grouped(units, catalogue, size), protocol)
        if share is not None:
            groups = shared_out(groups, share[1])[share[0] - 1]
            units = [unit for group in groups for unit in group.units]
        keep = Weights(folder, protocol.digest) if keep_weights else None
        if keep is not None and isinstance(source, FromConfig):
            write_settings(folder, protocol.digest, source)
        wanted, stale = None, ""
        if keep is not None:
            wanted, stale = partial(_has_weights, keep), "have no weights; they are trained"
        elif networks is not None:
            wanted, stale = partial(_is_of, networks), "had other weights then; they are attacked"
        found = store.find(units, wanted=wanted)
        if found.stale:
            sys.stderr.write(f"note: {len(found.stale)} units are done but {stale} again\n")
        if retry:
            store.forget_failures(found.failures)
            found.missing.extend(found.failures)
            found.failures.clear()
        todo = _missing(groups, set(found.missing))
        if todo:
            work = partial(_work, source or Given(protocol), protocol.digest, folder, device, keep, networks)
            _work_off(executor, work, todo, units, store, protocol, progress=progress)
            again = store.find(units, wanted=wanted)
            found = replace(again, damaged=[*found.damaged, *again.damaged])
    return found


def _has_weights(keep: Weights, record: UnitRecord) -> bool:
    return record.weights is not None and keep.path(record.unit.architecture, record.unit.seed).exists()


def _is_of(networks: Weights, record: UnitRecord) -> bool:
    return record.weights == networks.digest(record.unit.architecture, record.unit.seed)


@contextmanager
def _owned(folder: Path, share: tuple[int, int] | None) -> Iterator[None]:
    """Nobody else works in the folder, or nobody else on this share of it."""
    if share is None:
        with locked(folder):
            yield
    else:
        with locked(folder, shared=True), locked(folder / SHARES / f"{share[0]}_of_{share[1]}"):
            yield


def _by_cost(groups: Sequence[Group], protocol: Protocol) -> list[Group]:
    """The most expensive tasks first, so that workers end together."""
    return sorted(groups, key=lambda group: (-_cost(group, protocol), group.seed, group.chosen))


def _missing(groups: Sequence[Group], missing: set[Unit]) -> list[Group]:
    reduced = [
        Group(group.members, tuple(u.architecture for u in group.units if u in missing), group.seed) for group in groups
    ]
    return [group for group in reduced if group.chosen]


def _cost(group: Group, protocol: Protocol) -> int:
    """Multiply-accumulates of one image through all networks of a group."""
    return sum(live_macs(architecture, protocol.shape, protocol.image_size) for architecture in group.chosen)


def live_macs(architecture: str, shape: NetworkShape, image_size: int) -> int:
    """Multiply-accumulates of one image, without edges that do not reach the cell's output."""
    operations = parse(architecture)
    live = sorted(operations[edge] for edge, _, _ in edges_to_output(operations))
    padded = (*live, *["none"] * (len(operations) - len(live)))
    return _macs(to_string(padded), shape, image_size)


@cache
def _macs(architecture: str, shape: NetworkShape, image_size: int) -> int:
    return count_macs(architecture, shape, image_size)


def _work_off(
    executor: AbstractExecutor,
    work: Callable[[Group], int],
    todo: Sequence[Group],
    units: Sequence[Unit],
    store: Store,
    protocol: Protocol,
    *,
    progress: bool,
) -> None:
    """Run the tasks and count; an error of a task is raised when all others have ended, unless none can succeed."""
    lost: list[Ended[Group, int]] = []
    with _Bar(store, units, todo, protocol, progress=progress) as bar:
        for ended in executor.run(work, todo, out=store.folder, waiting=bar.look):
            error = ended.error
            if isinstance(error, TaskError):
                lost.append(ended)
            elif error is not None:
                raise error
            bar.update(ended.task)
    if lost:
        raise TaskError(
            f"{len(lost)} tasks were lost, the first of them {lost[0].task}: {lost[0].error}; what they had finished "
            "is kept, and the same command continues"
        )


class _Bar:
    """Progress on the terminal and in a file: units done, units a minute, time left by cost."""

    def __init__(
        self, store: Store, units: Sequence[Unit], todo: Sequence[Group], protocol: Protocol, *, progress: bool
    ) -> None:
        self.store, self.units = store, units
        self.costs = {
            unit: _cost(Group((), (unit.architecture,), 0), protocol) for group in todo for unit in group.units
        }
        self.begin = self.written = time.monotonic()
        self.open = set(self.costs)
        what = "attack" if protocol.networks else "train and attack"
        self.bar = Progress(tqdm, what, len(units), "cell", initial=len(units) - len(self.costs), shown=progress)

    def __enter__(self) -> "_Bar":
        self._write()
        self.bar.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.__exit__(*exception)
        self._write()

    def update(self, group: Group) -> None:
        """Count a task that has ended."""
        self._count(set(group.units))

    def look(self) -> None:
        """Count what the store has of tasks that have not ended."""
        self._count(self.store.present(self.open))

    def _count(self, done: set[Unit]) -> None:
        self.bar.update(len(self.open & done))
        self.open -= done
        if time.monotonic() - self.written > _STATUS_SECONDS:
            self._write()

    def _write(self) -> None:
        self.written = time.monotonic()
        seconds, total = self.written - self.begin, sum(self.costs.values())
        left = sum(self.costs[unit] for unit in self.open)
        done = len(self.costs) - len(self.open)
        remaining = seconds * left / (total - left) if total > left else None
        status = {
            "units": len(self.units),
            "open": len(self.open),
            "seconds": round(seconds, 1),
            "units_per_minute": round(60 * done / seconds, 2) if seconds else None,
            "seconds_left": None if remaining is None else round(remaining),
        }
        if remaining is not None:
            self.bar.note(f"{remaining / 60:.0f} minutes left by cost")
        write_text(self.store.folder / STATUS, json.dumps(status) + "\n")


def _work(
    source: Source,
    digest: str,
    folder: Path,
    device: str,
    keep: Weights | None,
    networks: Weights | None,
    group: Group,
) -> int:
    """Do one task in whatever process, on one thread; every finished unit is kept at once."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        evaluator = _evaluator(source, digest, device_of_worker(device), keep, networks)
        store = Store(folder, evaluator.protocol)
        failures = 0
        for result in evaluator(group.members, group.chosen, group.seed):
            store.write(result)
            failures += isinstance(result, Failure)
        return failures
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _evaluator(
    source: Source, digest: str, device: str, keep: Weights | None, networks: Weights | None
) -> UnitEvaluator:
    """One per process; images are read once."""
    protocol = source()
    if protocol.digest != digest:
        raise ConfigurationError(
            f"a worker reads protocol {protocol.digest} where {digest} is asked for; are the data set's files the same "
            "there?"
        )
    return UnitEvaluator(protocol, device, keep=keep, networks=networks)


def device_of_worker(device: str) -> str:
    """The GPU of this process: workers of the local executor take turns, a job of a cluster sees its own only."""
    if device != "cuda":
        return device
    return f"cuda:{int(os.environ.get(WORKER, '0')) % max(torch.cuda.device_count(), 1)}"
