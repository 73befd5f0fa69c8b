"""Merge checked units into a table, its details, and a manifest of their sources."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from agnet.errors import RunDirectoryError
from agnet.runtime.digests import of_file
from agnet.runtime.sealed import write_sealed_json
from agnet.spaces.nasbench201 import NASBench201, parse, to_string
from agnet.tables.columns import CORRUPTION, Column
from agnet.tables.conditions import details_table, write_details
from agnet.tables.table import write_table
from evaluation.networks.latency import latency_ms
from evaluation.networks.nasbench201 import NetworkShape, count_macs, count_parameters
from evaluation.production.extension import Row
from evaluation.production.protocol import Protocol
from evaluation.production.store import Found, Store
from evaluation.production.unit import Unit, UnitRecord

MANIFEST = "production.json"
_ROUNDS = 5
"""Rounds in which latencies are measured."""

_CONFIDENCES = ("confidence_right", "confidence_wrong")


def representatives(space: NASBench201) -> list[str]:
    """The lowest-id member of every isomorphism class, in id order: the cells that are evaluated."""
    cells = space.enumerate()
    return [cells[i] for i in space.representatives]


def merge(
    found: Found,
    protocol: Protocol,
    space: NASBench201,
    table: Path,
    details: Path,
    metadata: Mapping[str, str],
    base: Mapping[str, Row] | None = None,
    *,
    retime: bool = False,
    progress: bool = True,
) -> int:
    """Write a table and its details: every architecture whose representative was evaluated.

    With several seeds the table has the means of those that every architecture has; the details have each.

    Args:
        found: checked units of representatives, none missing.
        protocol: protocol that they were evaluated under.
        space: the space of the architectures.
        table: one row per architecture; ``isomorph`` is the id of the representative whose measurements it has;
            ``parameters`` and ``macs`` are counted for the string itself.
        details: one row per evaluated network, split, attack or corruption, and level; see
        :mod:`agnet.tables.conditions`.
        metadata: further entries: command, code revision.
        base: rows of a table that is extended, by representative; its networks are not in the details.
        retime: measure the latency of all cells here, one after another, instead of taking what was measured of each
            in its time and place, beside whatever other work.
        progress: whether a terminal shows a bar of that.

    Returns:
        Number of rows of the table.

    Raises:
        RunDirectoryError: if there is nothing to merge.
    """
    complete = _complete(found)
    if not complete:
        reason = f"; {first_failure(found)}" if found.failures else ""
        raise RunDirectoryError(
            f"no unit is done of {len(found.failures) + len(found.missing)}, so there is nothing to merge{reason}"
        )
    rows: dict[str, Row] = dict(base or {})
    parts: list[pa.Table] = []
    for architecture, units in complete.items():
        records = [found.records[unit] for unit in units]
        rows[architecture] = table_row(protocol, records)
        parts.append(details_table(_detailed(protocol, records)))
    if retime:
        for architecture, latency in _latencies(list(rows), protocol, progress=progress).items():
            rows[architecture] = {**rows[architecture], protocol.latency: latency}
    cells, isomorphs = space.enumerate(), space.isomorphs
    kept = [i for i, representative in enumerate(isomorphs) if cells[representative] in rows]
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    costs = [counted(cells[i], protocol.shape, protocol.image_size) for i in kept]
    columns = {name: pa.array([rows[cells[isomorphs[i]]].get(name) for i in kept], pa.float64()) for name in names}
    content = pa.table(
        {
            "architecture": pa.array([cells[i] for i in kept]),
            "isomorph": pa.array([isomorphs[i] for i in kept], pa.int32()),
            **columns,
            "parameters": pa.array([parameters for parameters, _ in costs], pa.int32()),
            "macs": pa.array([macs for _, macs in costs], pa.int64()),
        }
    )
    seeds = sorted({unit.seed for units in complete.values() for unit in units})
    entries = {
        "space": space.name,
        "dataset": protocol.images.name,
        "protocol": json.dumps(protocol.describe(), sort_keys=True),
        "protocol_digest": protocol.digest,
        "seeds": json.dumps(seeds),
        "torch": str(torch.__version__),
        **metadata,
    }
    write_table(table, content, entries)
    write_details(details, pa.concat_tables(parts), entries)
    return len(kept)


def _latencies(architectures: Sequence[str], protocol: Protocol, *, progress: bool) -> dict[str, float]:
    """The fastest pass of each in several rounds over all: what slows the machine for seconds hits a round of few."""
    fastest = dict.fromkeys(architectures, math.inf)
    disable = None if progress else True
    for _ in range(_ROUNDS):
        for architecture in tqdm(architectures, desc="latency", unit="cell", leave=False, disable=disable):
            found = latency_ms(architecture, protocol.shape, protocol.image_size, repeats=40 // _ROUNDS)
            fastest[architecture] = min(fastest[architecture], found)
    return fastest


def _complete(found: Found) -> dict[str, list[Unit]]:
    """Units of the architectures that have a record for every seed."""
    open_ = {unit.architecture for unit in (*found.failures, *found.missing)}
    complete: dict[str, list[Unit]] = {}
    for unit in found.records:
        if unit.architecture not in open_:
            complete.setdefault(unit.architecture, []).append(unit)
    return complete


def table_row(protocol: Protocol, records: Sequence[UnitRecord]) -> Row:
    """A row of the table without keys and counts: means over seeds, and the fastest latency."""
    row: Row = {name: float(np.mean([record.columns[name] for record in records])) for name in records[0].columns}
    for i, outcome in enumerate(records[0].outcomes):
        if outcome["split"] == "test" and outcome["kind"] != CORRUPTION:
            for quantity in _CONFIDENCES:
                values = [record.outcomes[i][quantity] for record in records]
                present = [value for value in values if value is not None]
                name = _name(protocol, outcome, quantity)
                row[name] = round(float(np.mean(present)), 4) if present else None
    return row | {name: min(record.timed[name] for record in records) for name in records[0].timed}


def _name(protocol: Protocol, outcome: Mapping[str, Any], quantity: str) -> str:
    column = Column(protocol.prefix, outcome["split"], outcome["kind"], outcome["key"], outcome["level"], quantity)
    return column.name


def _detailed(protocol: Protocol, records: Sequence[UnitRecord]) -> list[dict[str, Any]]:
    return [
        {
            "architecture": record.unit.architecture,
            "seed": record.unit.seed,
            "dataset": protocol.prefix,
            **outcome,
            "robust": bytes.fromhex(outcome["robust"]),
        }
        for record in records
        for outcome in record.outcomes
    ]


def first_failure(found: Found) -> str:
    """How many units failed, and why the first of them did."""
    unit, failure = next(iter(found.failures.items()))
    return f"{len(found.failures)} units failed, the first of them {unit}: {failure.error}"


def overfitted(found: Found) -> list[UnitRecord]:
    """Networks whose one-step adversarial training has failed; see :mod:`evaluation.training.robust_validation`."""
    return [record for record in found.records.values() if record.training.get("catastrophic_overfitting")]


def cpu_seconds(found: Found) -> dict[str, float]:
    """What the units have taken, whenever they were made, by part: training, evaluation."""
    costs = [record.cost for record in found.records.values()]
    return {part: sum((cost[f"{part}_cpu_seconds"] for cost in costs), 0.0) for part in ("training", "evaluation")}


def write_manifest(
    store: Store, found: Found, seconds: Mapping[str, float], files: Mapping[str, Path], facts: Mapping[str, Any]
) -> None:
    """Write what was checked: counts, a hash over all units, what failed, the hashes of the files made of them.

    Args:
        store: store of the units.
        found: units that were found.
        seconds: CPU seconds by part; see :func:`cpu_seconds`.
        files: made of the units.
        facts: further entries of the manifest.
    """
    units = hashlib.sha256()
    for unit in sorted(found.records, key=lambda unit: (unit.seed, unit.architecture)):
        units.update(store.path(unit).read_bytes())
    content = {
        "protocol": store.digest,
        **facts,
        "units": {"done": len(found.records), "failed": len(found.failures), "missing": len(found.missing)},
        "units_sha256": units.hexdigest(),
        "cpu_seconds": {part: round(value, 1) for part, value in seconds.items()},
        "failures": {str(unit): failure.error for unit, failure in found.failures.items()},
        "files": {name: {"path": str(path), "sha256": of_file(path)} for name, path in files.items()},
    }
    write_sealed_json(store.folder / MANIFEST, content)


def counted(architecture: str, shape: NetworkShape, image_size: int) -> tuple[int, int]:
    """Parameters and MACs; they depend on which operations occur, not on where."""
    return _counted(to_string(sorted(parse(architecture))), shape, image_size)


@cache
def _counted(architecture: str, shape: NetworkShape, image_size: int) -> tuple[int, int]:
    return count_parameters(architecture, shape), count_macs(architecture, shape, image_size)
