"""What uninterrupted commands leave, which all cases of a campaign are compared with."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reliability.contents import contents
from benchmarks.reliability.jobs import Job
from benchmarks.reliability.processes import Place


@dataclass(frozen=True)
class Reference:
    """What commands leave, and how long they take.

    Attributes:
        contents: see :func:`benchmarks.reliability.contents.contents`.
        seconds: of all of them, one after another.
    """

    contents: dict[str, Any]
    seconds: float


def reference(jobs: Sequence[Job], shared: Path) -> Reference:
    """Run commands one after another into one folder.

    Raises:
        RuntimeError: if one fails.
    """
    with tempfile.TemporaryDirectory(prefix="case-") as folder:
        place, begin = Place(Path(folder), shared), time.monotonic()
        for job in jobs:
            running = place.run(job)
            if running.status != 0:
                raise RuntimeError(f"{job.name}: {running.stderr.read_text()}")
        if found := place.leftovers():
            raise RuntimeError(f"{', '.join(job.name for job in jobs)}: {found}")
        return Reference(contents(place.out), time.monotonic() - begin)
