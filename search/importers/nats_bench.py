"""NATS-Bench, topology space: the archive ``NATS-tss-v1_0-3ffb9-simple``.

Source: Dong et al., 2021, https://arxiv.org/abs/2009.00437. The archive holds one file per architecture,
``000000.pickle.pbz2`` to ``015624.pickle.pbz2``, each a bz2-compressed pickle of a dictionary with the runs of
``"12"`` and ``"200"`` epochs (see :mod:`search.importers.runs`), and ``meta.pickle.pbz2``, which repeats the
architectures' strings and is not needed.
"""

import bz2
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
from tqdm import tqdm

from agnet.errors import TableError
from search.importers.base import entry, unpickle
from search.importers.runs import RunImporter, Runs

_NAME = re.compile(r"(\d{1,6})\.pickle\.pbz2")
_MOST_BYTES = 2**28  # of one architecture, unpacked: the benchmark's have some ten million
_REMEDY = "give NATS-tss-v1_0-3ffb9-simple (topology space, without weights), or extract it again"


@dataclass(frozen=True, kw_only=True)
class NATSBench(RunImporter):
    """Reads the extracted folder, the downloaded ``.tar``, or a ``.zip``, one file at a time."""

    def metadata(self) -> dict[str, str]:
        """The table's metadata; see :class:`RunImporter`."""
        return {"source": "NATS-Bench tss", **super().metadata()}

    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read the files in constant memory; see :class:`~search.importers.base.Importer`."""
        runs = Runs(self.epochs)
        files = tqdm(_files(path), total=len(runs), unit="file", disable=None if progress else True)
        for index, name, data in files:
            where = f"{path}: {name}"
            try:
                unpacked = bz2.BZ2Decompressor()
                plain = unpacked.decompress(data, _MOST_BYTES)
            except (OSError, ValueError) as error:
                raise TableError(f"{where} is damaged ({error}); {_REMEDY}") from error
            if not unpacked.eof:
                raise TableError(f"{where} is damaged (cut off, or more than {_MOST_BYTES} bytes); {_REMEDY}")
            content = unpickle(io.BytesIO(plain), where, _REMEDY)
            runs.add(index, entry(content, str(self.epochs), where, _REMEDY), where, _REMEDY)
        return runs.table(str(path), partial=self.partial)


def _files(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Id, name and content of the architectures' files, in the order in which they are stored."""
    found = 0
    try:
        for name, data in _members(path):
            found += 1
            yield int(name.split(".")[0]), name, data
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise TableError(f"{path} cannot be read ({type(error).__name__}: {error}); {_REMEDY}") from error
    if not found:
        raise TableError(f"{path} has no file such as 000000.pickle.pbz2; {_REMEDY}")


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if _NAME.fullmatch(file.name):
                yield file.name, file.read_bytes()
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if member.isfile() and _NAME.fullmatch(name):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield name, file.read()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                name = PurePosixPath(item.filename).name
                if _NAME.fullmatch(name):
                    yield name, archive.read(item)
    else:
        raise TableError(f"{path} is neither a folder nor a .tar or .zip file; {_REMEDY}")
