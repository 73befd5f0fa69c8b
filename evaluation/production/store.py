"""The folder of a production: one file per unit, their protocol, and damaged files that were moved aside.

A file appears when it is whole: it is written under a temporary name and renamed. So a kill loses at most what is in
flight, any number of processes can write at once, and who wrote what in which order leaves no trace in the numbers.
"""

import gzip
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agnet.errors import RunDirectoryError, UnreadableFile
from agnet.runtime.digests import differences
from agnet.runtime.files import sweep, write_bytes
from agnet.runtime.reading import damaged, read_json
from agnet.runtime.sealed import read_sealed_json, write_sealed_json
from evaluation.production.protocol import Protocol
from evaluation.production.unit import Failure, Unit, UnitRecord
from evaluation.production.weights import WEIGHTS, unit_code

PROTOCOL = "protocol.json"
UNITS, FAILURES, DAMAGED = "units", "failures", "damaged"
_INPUTS = "inputs"
_OPTIONAL = ("training", "weights")  # parts of a record that many have not
_DELETE = "delete that file, for every unit names its protocol itself"


class Records(Mapping[Unit, UnitRecord]):
    """Records of finished units, read from disk on access: those of a large production do not fit into memory.

    Args:
        store: store that holds the records.
        units: units whose records are read.
    """

    def __init__(self, store: "Store", units: Iterable[Unit]) -> None:
        self._store, self._units = store, dict.fromkeys(units)

    def __getitem__(self, unit: Unit) -> UnitRecord:
        if unit not in self._units:
            raise KeyError(unit)
        return self._store.read(unit)

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)


@dataclass(frozen=True)
class Found:
    """State of some units in a store: finished, failed, missing or damaged.

    Attributes:
        records: records of the units that are done and whose files were checked.
        failures: failures of the units that raised an error.
        missing: those of which there is nothing.
        damaged: files that could not be read and were moved aside; their units are missing.
        stale: units whose record was not wanted as it is; they are missing too, or have failed since.
    """

    records: Mapping[Unit, UnitRecord] = field(default_factory=dict)
    failures: dict[Unit, Failure] = field(default_factory=dict)
    missing: list[Unit] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    stale: list[Unit] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = f"{len(self.records)} done, {len(self.failures)} failed, {len(self.missing)} missing"
        return f"Found({counts}, {len(self.damaged)} damaged)"


class Store:
    """The files of a production.

    Args:
        folder: folder of the store; it need not exist.
        protocol: protocol that everything in it was made under.
    """

    def __init__(self, folder: Path, protocol: Protocol) -> None:
        self.folder, self.digest, self._protocol = folder, protocol.digest, protocol
        self._description = {"digest": self.digest, **json.loads(json.dumps(protocol.describe()))}

    def claim(self) -> None:
        """Write the protocol into a new folder, or refuse a folder of another protocol.

        Raises:
            RunDirectoryError: naming what differs; nothing is changed.
            UnreadableFile: if the file of the protocol is damaged.
        """
        path, mine = self.folder / PROTOCOL, {**self._description, _INPUTS: self._protocol.inputs}
        if path.exists() and any((self.folder / UNITS).glob("*.json.gz")):  # else nothing yet is bound by it
            try:
                theirs = read_sealed_json(path, required=False)
            except UnreadableFile as error:
                raise damaged(path, "its content does not match its hash", _DELETE) from error
            if theirs.get("digest") != mine["digest"]:
                keys = {*self._description, *theirs} - {"digest", _INPUTS}
                changed = sorted(key for key in keys if mine.get(key) != theirs.get(key))
                raise RunDirectoryError(
                    f"{self.folder} holds units of another protocol (differs in {', '.join(changed) or 'the images'}); "
                    "choose another out=... or delete the folder"
                )
            if _INPUTS in theirs:
                if different := differences(theirs[_INPUTS], mine[_INPUTS]):
                    raise RunDirectoryError(
                        f"{self.folder} holds units of other files ({different}); restore them, choose another "
                        "out=... or delete the folder"
                    )
                return
        write_sealed_json(path, mine)

    def tidy(self) -> None:
        """Remove temporary files that a kill has left; those of processes at work stay."""
        for folder in (self.folder, self.folder / UNITS, self.folder / FAILURES, *(self.folder / WEIGHTS).glob("*")):
            sweep(folder)

    def path(self, unit: Unit) -> Path:
        """File of a unit's record."""
        return self.folder / UNITS / f"{_code(unit)}.json.gz"

    def failure_path(self, unit: Unit) -> Path:
        """File of a unit's failure."""
        return self.folder / FAILURES / f"{_code(unit)}.json.gz"

    def units(self, architectures: Iterable[str]) -> list[Unit]:
        """Units of some architectures that have a record, without reading it, by architecture and seed."""
        seeds: dict[str, list[int]] = {}
        for path in (self.folder / UNITS).glob("*_*.json.gz"):
            code, _, seed = path.name.removesuffix(".json.gz").rpartition("_")
            if seed.isdecimal():
                seeds.setdefault(code, []).append(int(seed))
        units = [Unit(a, s) for a in architectures for s in sorted(seeds.get(unit_code(a, 0)[:-2], []))]
        return [unit for unit in units if self.path(unit).exists()]

    def present(self, units: Iterable[Unit]) -> set[Unit]:
        """Units that have a record or a failure, without reading them."""
        names = {path.name for folder in (UNITS, FAILURES) for path in (self.folder / folder).glob("*.json.gz")}
        return {unit for unit in units if f"{_code(unit)}.json.gz" in names}

    def write(self, result: UnitRecord | Failure) -> None:
        """Keep a record, in place of a failure if there was one; or a failure."""
        unit = asdict(result.unit)
        if isinstance(result, Failure):
            content = {"protocol": self.digest, **unit, "error": result.error, "trace": result.trace}
            _write(self.failure_path(result.unit), content)
            return
        content = {
            "protocol": self.digest,
            **unit,
            "columns": result.columns,
            "timed": result.timed,
            "outcomes": result.outcomes,
        }
        content |= {name: held for name in _OPTIONAL if (held := getattr(result, name))}
        _write(self.path(result.unit), {**content, "sha256": _hash(content), "cost": result.cost})
        self.failure_path(result.unit).unlink(missing_ok=True)

    def forget_failures(self, units: Iterable[Unit]) -> None:
        """Make failed units missing."""
        for unit in units:
            self.failure_path(unit).unlink(missing_ok=True)

    def find(self, units: Iterable[Unit], *, wanted: Callable[[UnitRecord], bool] | None = None) -> Found:
        """Read and check what there is of some units; damaged files are moved aside, none is lost.

        Args:
            units: the units to look for.
            wanted: whether a record is wanted as it is; None for all.

        Raises:
            RunDirectoryError: if a file was made under another protocol.
        """
        found, done = Found(), list[Unit]()
        for unit in units:
            path, failed = self.path(unit), self.failure_path(unit)
            try:
                if path.exists():
                    record = self._record(path, unit)
                    if wanted is None or wanted(record):
                        done.append(unit)
                        continue
                    found.stale.append(unit)
                if failed.exists():
                    found.failures[unit] = self._failure(failed, unit)
                else:
                    found.missing.append(unit)
            except _Damaged:
                broken = failed if unit in found.stale or not path.exists() else path
                aside = self.folder / DAMAGED / f"{time.time_ns()}_{path.name}"
                aside.parent.mkdir(exist_ok=True)
                broken.replace(aside)
                found.damaged.append(aside)
                found.missing.append(unit)
        return replace(found, records=Records(self, done))

    def read(self, unit: Unit) -> UnitRecord:
        """The record of a unit that was found.

        Raises:
            RunDirectoryError: if it is no longer what it was.
        """
        path = self.path(unit)
        try:
            return self._record(path, unit)
        except _Damaged:
            raise RunDirectoryError(f"{path} was changed or removed by another process; run again") from None

    def _record(self, path: Path, unit: Unit) -> UnitRecord:
        content = self._read(path, unit)
        try:
            hashed = {key: content[key] for key in ("protocol", "architecture", "seed", "columns", "timed", "outcomes")}
            optional = {name: content[name] for name in _OPTIONAL if name in content}
            hashed |= optional
            measured = (content["columns"], content["timed"], content["outcomes"])
            record = UnitRecord(unit, *measured, content["cost"], **optional)
        except KeyError as error:
            raise _Damaged from error
        costs = record.cost.values() if isinstance(record.cost, dict) else [None]
        if content.get("sha256") != _hash(hashed) or not all(isinstance(cost, int | float) for cost in costs):
            raise _Damaged
        return record

    def _failure(self, path: Path, unit: Unit) -> Failure:
        content = self._read(path, unit)
        try:
            return Failure(unit, str(content["error"]), str(content["trace"]))
        except KeyError as error:
            raise _Damaged from error

    def _read(self, path: Path, unit: Unit) -> dict[str, Any]:
        try:
            content = read_json(path)
        except UnreadableFile as error:
            raise _Damaged from error
        if not isinstance(content, dict) or (content.get("architecture"), content.get("seed")) != (
            unit.architecture,
            unit.seed,
        ):
            raise _Damaged
        if content.get("protocol") != self.digest:
            raise RunDirectoryError(f"{path} was made under another protocol; move it away and run again")
        return content


class _Damaged(Exception):
    pass


def _code(unit: Unit) -> str:
    return unit_code(unit.architecture, unit.seed)


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_bytes(path, gzip.compress(json.dumps(content, allow_nan=False).encode(), mtime=0))
