"""The files of a finished production: table, details, manifests, and the line that says where they lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from agnet.errors import AGNetError
from agnet.generator.checkpoints import record
from agnet.runtime.files import locked
from agnet.spaces.nasbench201 import NASBench201
from evaluation.places import check_place
from evaluation.production.extension import Base, check_new
from evaluation.production.merge import cpu_seconds, first_failure, merge, write_manifest
from evaluation.production.protocol import Protocol
from evaluation.production.store import Found, Store


class Outputs:
    """Where a table and its details will lie.

    Args:
        folder: the run's folder.
        table: path of the table; None for a file in the folder.
        protocol: protocol of the table.
        space: the space of its cells.
    """

    def __init__(self, folder: Path, table: str | None, protocol: Protocol, space: NASBench201) -> None:
        name = f"{space.name}_{protocol.prefix}"
        self.folder, self.protocol, self.space, self.given = folder, protocol, space, table
        self.table, self.details = Path(table or folder / f"{name}.parquet"), folder / f"{name}_details.parquet"

    def __repr__(self) -> str:
        return f"Outputs({self.table}, {self.details})"

    def check(self) -> None:
        """Refuse places that cannot be written, and a table of another protocol there, before any work is done.

        Raises:
            StorageError: if a place cannot be written.
            RunDirectoryError: if another table would be lost.
        """
        check_place(self.details)
        check_place(self.table)
        if self.given is not None:
            check_new(self.table, self.protocol)

    def write(
        self,
        found: Found,
        store: Store,
        facts: Mapping[str, str],
        *,
        device: str,
        base: Base | None = None,
        retime: bool = False,
        progress: bool = True,
    ) -> None:
        """Merge, write and say so.

        Args:
            found: checked units, none missing.
            store: store of the units.
            facts: entries of the metadata: command, code revision.
            device: device that they were evaluated on.
            base: a table that is extended.
            retime: measure the latency of all cells again, see :func:`~evaluation.production.merge.merge`.
            progress: whether a terminal shows a bar.

        Raises:
            AGNetError: if the table lacks architectures whose units failed; it is written nevertheless.
        """
        seconds = cpu_seconds(found)
        spent = round(sum(seconds.values()) + (base.cpu_seconds if base else 0.0))
        metadata = {**facts, "cpu_seconds": str(spent)}
        rows = base.rows if base else None
        places = {"table": self.table, "details": self.details}
        with locked(self.folder):
            if self.given is not None:
                check_new(self.table, self.protocol)
            last = {"retime": retime, "progress": progress}
            count = merge(found, self.protocol, self.space, self.table, self.details, metadata, rows, **last)
            write_manifest(store, found, seconds, places, facts)
        seeds = list(dict.fromkeys(unit.seed for unit in (*found.records, *found.failures)))
        entry: dict[str, Any] = {"kind": "table", "space": self.space.name, **facts, "seeds": seeds}
        metrics = {"architectures": count, "units": len(found.records), "protocol_digest": self.protocol.digest}
        about = {"torch": str(torch.__version__), "device": device, "cpu_seconds": spent, "metrics": metrics}
        record(self.table, {**entry, **about})
        print(f"{self.table}: {count} architectures of {len(found.records)} units; details: {self.details}")
        if found.failures:
            raise AGNetError(f"the table lacks architectures: {first_failure(found)}; retry=true tries them again")
