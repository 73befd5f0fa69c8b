"""NAS-Bench-201's own file, ``NAS-Bench-201-v1_1-096897.pth`` or ``NAS-Bench-201-v1_0-e61699.pth``.

Source: Dong & Yang, 2020, https://github.com/D-X-Y/NAS-Bench-201. PyTorch wrote one pickle of a dictionary:
``arch2infos`` holds every id's runs of 200 epochs under ``full`` and of 12 under ``less`` (see
:mod:`search.importers.runs`). Such a pickle can only be rebuilt as a whole; it contains no tensors.
"""

import gc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any

import pyarrow as pa

from agnet.errors import TableError
from search.importers.base import entry, unpickle
from search.importers.runs import RunImporter, Runs

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of files that PyTorch wrote before 1.6
_TRAINING = {200: "full", 12: "less"}
_REMEDY = (
    "give NAS-Bench-201-v1_1-096897.pth (v1_0 has 12 epochs for cifar10-valid only), download it again, "
    "or import NATS-Bench with importer=nats_bench"
)


@dataclass(frozen=True, kw_only=True)
class NASBench201File(RunImporter):
    """Reads the file in PyTorch's old format, as published, or in its zip format."""

    def metadata(self) -> dict[str, str]:
        """The table's metadata; see :class:`RunImporter`."""
        return {"source": "NAS-Bench-201", **super().metadata()}

    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read the file, which is rebuilt in memory as a whole; see :class:`~search.importers.base.Importer`."""
        del progress  # unpickling reports no progress
        if not path.is_file():
            raise TableError(f"{path} is no file; {_REMEDY}")
        runs = Runs(self.epochs)
        with _no_collection():
            infos = entry(_content(path), "arch2infos", str(path), _REMEDY)
            if not isinstance(infos, dict) or not all(isinstance(index, int) for index in infos):
                raise TableError(f"{path}: arch2infos is no dictionary of ids; {_REMEDY}")
            for index in sorted(infos):
                where = f"{path}: architecture {index}"
                runs.add(index, entry(infos[index], _TRAINING[self.epochs], where, _REMEDY), where, _REMEDY)
        return runs.table(str(path), partial=self.partial)


def _content(path: Path) -> Any:
    with path.open("rb") as file:
        if file.peek(4).startswith(b"PK\x03\x04"):
            return _zipped(path, file)
        if unpickle(file, str(path), _REMEDY) != _MAGIC:
            raise TableError(f"{path} was not written by torch.save; {_REMEDY}")
        _version, _system, content = (unpickle(file, str(path), _REMEDY) for _ in range(3))
        return content


def _zipped(path: Path, file: BufferedReader) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1:
                raise TableError(f"{path} was not written by torch.save: it holds no data.pkl; {_REMEDY}")
            with archive.open(names[0]) as member:
                assert isinstance(member, BufferedIOBase)
                return unpickle(member, str(path), _REMEDY)
    except zipfile.BadZipFile as error:
        raise TableError(f"{path} is damaged ({error}); {_REMEDY}") from error


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause garbage collection: searching millions of live dictionaries for cycles would take most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
