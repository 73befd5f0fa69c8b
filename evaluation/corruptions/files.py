"""Read and write folders of corrupted images in CIFAR-C's layout.

A folder holds ``<corruption>.npy`` (uint8, ``[5 n, height, width, channels]``, severities 1 to 5 one after the other,
the ``n`` images in test order within each) and ``labels.npy`` (``[5 n]``, the same labels five times). CIFAR-10-C
(https://zenodo.org/records/2535967) and CIFAR-100-C (https://zenodo.org/records/3555552) have ``n`` = 10,000.
"""

import hashlib
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from agnet.errors import AGNetError, ConfigurationError, RunDirectoryError, TableError
from agnet.runtime.digests import of_file
from agnet.runtime.files import locked, replacing
from agnet.runtime.reading import damaged
from agnet.runtime.sealed import read_sealed_json, write_sealed_json
from evaluation.corruptions.frost_pictures import FrostPictures, procedural_frost
from evaluation.corruptions.generate import CORRUPTIONS, SEVERITIES, by_name, corrupt

METADATA, LABELS = "corruptions.json", "labels.npy"

_FILES = "files"
_AGAIN = "run the evaluation.corrupt that made the folder again"

_SOURCE = "get the folder from zenodo.org (records 2535967, 3555552) or write one with python -m evaluation.corrupt"


class CorruptedImages:
    """A folder in CIFAR-C's layout, read piece by piece.

    Args:
        path: folder with the files.
        num_classes: labels must be below it; null accepts any.

    Attributes:
        labels: class indices of the images of one severity, int64.
        names: corruptions that the folder has files of, in the paper's order, then others by name (the published
            folders hold four more).

    Raises:
        TableError: if the folder or its labels cannot serve.
    """

    def __init__(self, path: Path, *, num_classes: int | None = None) -> None:
        self.path = path
        if not path.is_dir():
            raise TableError(f"no folder {path}; {_SOURCE}")
        self._hashes, self._found = _recorded(path), dict[str, str]()
        self._check(path / LABELS)
        with _opened(path / LABELS) as file:
            if len(file.shape) != 1 or file.dtype.kind not in "iu" or not len(file) or len(file) % len(SEVERITIES):
                raise TableError(
                    f"{path / LABELS} holds {file.dtype} {list(file.shape)}, not whole numbers for five severities; "
                    f"{_SOURCE}"
                )
            labels = file.rows(0, len(file))
        by_severity = labels.reshape(len(SEVERITIES), -1).astype(np.int64)
        if (by_severity != by_severity[0]).any():
            raise TableError(f"{path / LABELS} has other labels at other severities; {_SOURCE}")
        low, high = int(by_severity.min()), int(by_severity.max())
        if low < 0 or (num_classes is not None and high >= num_classes):
            raise TableError(
                f"{path / LABELS} has labels {low}..{high}, the task has {num_classes} classes; "
                "give the folder of the same data set"
            )
        self.labels: Int[Tensor, " n"] = torch.from_numpy(by_severity[0].copy())
        found = {file.stem for file in path.glob("*.npy")} - {"labels"}
        self.names = (*[name for name in CORRUPTIONS if name in found], *sorted(found - set(CORRUPTIONS)))

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, name: str, severity: int) -> tuple[UInt8[Tensor, "n c h w"], Int[Tensor, " n"]]:
        """Images of a corruption at a severity of 1..5, and their labels.

        Raises:
            TableError: if the file is missing or is not what the layout says.
            ConfigurationError: if there is no such severity.
        """
        if severity not in SEVERITIES:
            raise ConfigurationError(f"severity={severity!r}; give one of {', '.join(map(str, SEVERITIES))}")
        file = self.path / f"{name}.npy"
        if name not in self.names:
            raise TableError(f"no {file}; the folder has {', '.join(self.names) or 'no corruptions'}. {_SOURCE}")
        self._check(file)
        rows = len(SEVERITIES) * len(self)
        with _opened(file) as stored:
            shape = stored.shape
            if stored.dtype != np.uint8 or len(shape) != 4 or shape[0] != rows or shape[3] not in (1, 3):
                raise TableError(
                    f"{file} holds {stored.dtype} {list(shape)}, not uint8 [{rows}, height, width, 1 or 3]; {_SOURCE}"
                )
            part = stored.rows((severity - 1) * len(self), severity * len(self))
        return torch.from_numpy(np.array(part.transpose(0, 3, 1, 2), order="C")), self.labels

    def digests(self, names: Sequence[str]) -> dict[str, str]:
        """SHA-256 of the labels' file and of those of some corruptions; each is read once.

        Raises:
            TableError: if a file is missing.
        """
        files = [LABELS, *(f"{name}.npy" for name in names)]
        for file in files:
            if not (self.path / file).is_file():
                raise TableError(f"no {self.path / file}; {_SOURCE}")
        return {file: self._hash(self.path / file) for file in files}

    def _hash(self, file: Path) -> str:
        if file.name not in self._found:
            self._found[file.name] = of_file(file)
        return self._found[file.name]

    def _check(self, file: Path) -> None:
        """Compare a file with what ``corruptions.json`` says of it; published folders have none."""
        if file.name in self._hashes and file.is_file() and self._hash(file) != self._hashes[file.name]:
            raise damaged(file, f"its content does not match {METADATA}", _AGAIN)


class _ArrayFile:
    """An ``.npy`` file of which a part is read; it is not mapped: a file that is cut meanwhile would end the process.

    Args:
        file: the open file.

    Raises:
        ValueError: if it is no such file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, fortran, self.dtype = read(file)
        self._begin = file.tell()
        if fortran and len(self.shape) > 1:
            raise ValueError("its images lie column by column")
        if self.dtype.hasobject:
            raise ValueError("it holds objects, no numbers")
        size = math.prod(self.shape) * self.dtype.itemsize
        if os.fstat(file.fileno()).st_size != self._begin + size:
            raise ValueError(f"it has not the {size} bytes of its {list(self.shape)} values")

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def rows(self, begin: int, end: int) -> np.ndarray:
        """Some rows."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        self._file.seek(self._begin + begin * size)
        data = self._file.read((end - begin) * size)
        if len(data) < (end - begin) * size:
            raise ValueError("it was cut while it was read")
        return np.frombuffer(data, self.dtype).reshape(end - begin, *self.shape[1:])


@contextmanager
def _opened(path: Path) -> Iterator[_ArrayFile]:
    try:
        with path.open("rb") as file:
            yield _ArrayFile(file)
    except FileNotFoundError:
        raise TableError(f"no {path}; {_SOURCE}") from None
    except AGNetError:
        raise
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, RecursionError) as error:  # of numpy and its parser
        reason = " ".join(str(error).split())[:200]
        raise TableError(f"cannot read {path} ({reason}); {_SOURCE}") from error


def _recorded(folder: Path) -> dict[str, str]:
    """Hashes of the files that :func:`write_corrupted` has written into a folder; empty for folders of others."""
    if not (folder / METADATA).is_file():
        return {}
    found = read_sealed_json(folder / METADATA, required=False).get(_FILES, {})
    return {str(name): str(digest) for name, digest in found.items()} if isinstance(found, dict) else {}


def write_corrupted(
    out: Path,
    images: UInt8[Tensor, "n c h w"],
    labels: Int[Tensor, " n"],
    *,
    seed: int,
    names: Sequence[str] = CORRUPTIONS,
    frost: FrostPictures | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Corrupt images at all severities and write a folder in CIFAR-C's layout.

    A file appears when it is whole, and files that are there as they were written are kept: the same call continues.
    ``corruptions.json`` says how the folder came about, ``frost_source`` included, and has the hash of every file.

    Args:
        out: folder to write.
        images: 8-bit images in test order, on the device that does the work.
        labels: class indices in 0..255.
        seed: seed of all draws; see :func:`~evaluation.corruptions.generate.corrupt`.
        names: corruptions to write; files of others are left alone.
        frost: null is procedural frost.
        facts: more entries for ``corruptions.json``; they may differ when a call continues.

    Raises:
        ConfigurationError: for names that are no corruptions, come twice, or are none.
        RunDirectoryError: if the folder was made from other images, another seed or other frost, or is in use.
        UnreadableFile: if ``corruptions.json`` is damaged.
        StorageError: if the operating system refuses.
    """
    for name in names:
        by_name(name)
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"corruptions={list(names)}; give distinct names, one at least")
    frost = frost or procedural_frost(max(images.shape[2:]))
    protocol = {
        "seed": seed,
        "images": list(images.shape),
        "images_sha256": _digest(images, labels),
        "frost_source": frost.source,
        "frost_sha256": _digest(*frost.pictures),
    }
    n, channels, height, width = images.shape
    rows = len(SEVERITIES) * n

    def made(name: str) -> Iterator[np.ndarray]:
        for severity in SEVERITIES:
            stored = corrupt(images, name, severity, seed=seed, frost=frost)
            yield stored.permute(0, 2, 3, 1).cpu().numpy()

    with locked(out):
        hashes = _claim(out, protocol)

        def keep(file: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
            """Write a file, unless it is there as it was written."""
            if not file.is_file() or of_file(file) != hashes.get(file.name):
                hashes[file.name] = _write(file, shape, parts)
            write_sealed_json(out / METADATA, {"protocol": protocol, _FILES: hashes, **(facts or {})}, indent=2)

        keep(out / LABELS, (rows,), [np.tile(labels.cpu().numpy().astype(np.uint8), len(SEVERITIES))])
        for name in names:
            keep(out / f"{name}.npy", (rows, height, width, channels), made(name))


def _write(file: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> str:
    """Write bytes as an ``.npy`` file, part by part, and give its SHA-256.

    A file that is mapped into memory would end the process on a full disk.
    """
    np.lib.format.write_array_header_1_0(
        header := io.BytesIO(),
        {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape},
    )
    state = hashlib.sha256()
    with replacing(file) as temporary, temporary.open("wb") as stored:
        for data in chain([header.getvalue()], (part.tobytes() for part in parts)):
            stored.write(data)
            state.update(data)
    return state.hexdigest()


def _claim(out: Path, protocol: Mapping[str, object]) -> dict[str, str]:
    """Refuse a folder whose ``corruptions.json`` says something else; gives the hashes of the files it knows.

    Raises:
        UnreadableFile: if it is damaged.
        RunDirectoryError: if it says something else.
    """
    file = out / METADATA
    if not file.is_file():
        if any(out.glob("*.npy")):
            raise RunDirectoryError(f"{out} has .npy files but no {METADATA}; give another folder")
        return {}
    before = read_sealed_json(file, required=False).get("protocol")
    if not isinstance(before, dict):
        raise damaged(file, "it has no protocol", "give another folder")
    differing = sorted(key for key in protocol if before.get(key) != protocol[key])
    if differing:
        raise RunDirectoryError(f"{out} was written with other {', '.join(differing)}; give another folder")
    return _recorded(out)


def _digest(*tensors: Tensor) -> str:
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(str(list(tensor.shape)).encode())
        state.update(tensor.cpu().contiguous().numpy().tobytes())
    return state.hexdigest()
