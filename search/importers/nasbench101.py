"""NAS-Bench-101: ``nasbench_only108.tfrecord`` or ``nasbench_full.tfrecord``, read record by record.

Source: the benchmark's API, https://github.com/google-research/nasbench (Apache-2.0). A record has TensorFlow's frame:
eight bytes of length, four of a checksum, the content, four of a checksum. The content is a JSON list: hash of the
cell, epochs of the training, matrix row by row as zeros and ones, operations separated by commas, and a base64-encoded
protocol buffer ``ModelMetrics``. Its fields are the evaluations (field 1; the last one is that after training) and the
number of parameters (field 2). An evaluation has training time (field 2) and accuracy on training, validation and test
images (fields 3, 4, 5), as fractions. There is one record for every repeat of a training.

``nasbench101.npz``, which has the same cells with the mean test accuracy alone, can be read too.
"""

import base64
import binascii
import itertools
import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from agnet.errors import ConfigurationError, TableError
from agnet.spaces.nasbench101.notation import BENCHMARK_OPERATIONS, Spec, module_hash, to_strings
from agnet.spaces.nasbench101.space import NUM_CELLS, NASBench101
from agnet.tables.table import KEY
from search.importers.base import Importer

EPOCHS = (108, 36, 12, 4)
COLUMNS = ("cifar10_valid", "cifar10_test", "cifar10_train", "train_time_s")
CHECKED = 1_000
"""One cell in this many has its hash recomputed."""

_REMEDY = "give nasbench_only108.tfrecord or nasbench_full.tfrecord, or download it again"
_LONGEST = 1 << 20
_TEST_SCALE = 29_952  # three times the 9,984 images that a TPU evaluates: nasbench101.npz holds sums of hits


@dataclass(frozen=True, kw_only=True)
class NASBench101Records(Importer):
    """Reads trainings of one length; accuracies are means over repeats.

    Attributes:
        epochs: 108 for the trainings that papers report; 36, 12 and 4 are in ``nasbench_full.tfrecord`` only.
        partial: import a file that lacks cells instead of refusing it.
    """

    epochs: int = 108
    partial: bool = False

    space: ClassVar[str] = NASBench101.name

    def __post_init__(self) -> None:
        if self.epochs not in EPOCHS:
            raise ConfigurationError(f"importer.epochs={self.epochs}; the benchmark has {', '.join(map(str, EPOCHS))}")

    def metadata(self) -> dict[str, str]:
        """The table's metadata: epochs, and the rule that turns repeats into one number."""
        return {
            "source": "NAS-Bench-101",
            "epochs": str(self.epochs),
            "seeds": "mean over all repeats; n_seeds says how many",
        }

    def read(self, path: Path, *, progress: bool) -> pa.Table:
        """Read either file; see :class:`~search.importers.base.Importer`."""
        if path.suffix == ".npz":
            return self._arrays(path)
        specs, sums, counts, parameters = self._sums(path, progress=progress)
        suffix = "" if self.epochs == EPOCHS[0] else f"_{self.epochs}epochs"
        means = sums / counts[:, None]
        columns = {f"{name}{suffix}": means[:, i] for i, name in enumerate(COLUMNS)}
        return self._table(
            path,
            _named(specs, path),
            {
                **columns,
                f"n_seeds{suffix}": counts.astype(np.int8),
                "parameters": parameters.astype(np.int32),
            },
        )

    def _sums(self, path: Path, *, progress: bool) -> tuple[dict[str, Spec], np.ndarray, np.ndarray, np.ndarray]:
        """Cells by hash; sums of values over repeats, numbers of repeats, and parameters, in the same order."""
        specs: dict[str, Spec] = {}
        rows: dict[str, int] = {}
        sums: list[list[float]] = []
        counts: list[int] = []
        parameters: list[int] = []
        with (
            path.open("rb") as file,
            tqdm(total=path.stat().st_size, unit="B", unit_scale=True, disable=None if progress else True) as bar,
        ):
            for number, content in enumerate(records(file, str(path)), start=1):
                bar.update(len(content) + 16)
                where = f"{path}: record {number}"
                name, epochs, spec, metrics = _content(content, where)
                if epochs != self.epochs:
                    continue
                values, count = _metrics(metrics, where)
                if name not in rows:
                    rows[name] = len(rows)
                    specs[name] = spec
                    sums.append([0.0] * len(COLUMNS))
                    counts.append(0)
                    parameters.append(count)
                row = rows[name]
                if parameters[row] != count:
                    raise TableError(
                        f"{where}: the cell named {name} has {count} parameters here and {parameters[row]} in an "
                        f"earlier record; {_REMEDY}"
                    )
                sums[row] = [a + b for a, b in zip(sums[row], values, strict=True)]
                counts[row] += 1
        if not specs:
            raise TableError(f"{path} has no training of {self.epochs} epochs; set importer.epochs, or {_REMEDY}")
        return specs, np.array(sums), np.array(counts), np.array(parameters)

    def _arrays(self, path: Path) -> pa.Table:
        """The same cells from ``nasbench101.npz``."""
        if self.epochs != EPOCHS[0]:
            raise ConfigurationError(f"importer.epochs={self.epochs}: {path} has trainings of {EPOCHS[0]} epochs only")
        try:
            with np.load(path, allow_pickle=False) as content:
                vertices, bits, ops, parameters, hits = (
                    content[key] for key in ("n_vertices", "upper_bits", "ops", "params", "test108_x29952")
                )
        except (OSError, ValueError, KeyError) as error:
            raise TableError(f"{path} is not nasbench101.npz ({error}); {_REMEDY}") from error
        specs = []
        for size, mask, codes in zip(vertices.tolist(), bits.tolist(), ops.tolist(), strict=True):
            edges = [pair for k, pair in enumerate(itertools.combinations(range(size), 2)) if mask >> k & 1]
            specs.append((size, edges, [BENCHMARK_OPERATIONS[code] for code in codes[: size - 2]]))
        values = {"cifar10_test": hits / _TEST_SCALE * 100, "parameters": parameters.astype(np.int32)}
        return self._table(path, to_strings(specs), values)

    def _table(self, path: Path, names: Sequence[str | None], columns: dict[str, np.ndarray]) -> pa.Table:
        """Rows in the order of the space's cells.

        Raises:
            TableError: if a cell is invalid or occurs twice, or if cells are missing without ``partial``.
        """
        place = {name: row for row, name in enumerate(names)}
        if None in place or len(place) < len(names):
            raise TableError(f"{path} has cells that are none of NAS-Bench-101, or one twice; {_REMEDY}")
        ordered = [name for name in NASBench101().enumerate() if name in place]
        missing = NUM_CELLS - len(ordered)
        if missing and not self.partial:
            raise TableError(
                f"{path} lacks {missing} of {NUM_CELLS} cells; download it again, or set importer.partial=true to "
                "import the others"
            )
        rows = np.array([place[name] for name in ordered])
        return pa.table({KEY: ordered, **{name: pa.array(values[rows]) for name, values in columns.items()}})


def records(file: BinaryIO, where: str) -> Iterator[bytes]:
    """Contents of a TFRecord file.

    Checksums are not computed: a damaged record is not JSON or not a protocol buffer, or has another cell's hash.

    Raises:
        TableError: if a record ends early or has an implausible length.
    """
    number = 0
    while head := file.read(12):
        number += 1
        length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else _LONGEST + 1
        if length > _LONGEST:
            raise TableError(f"{where}: record {number} is no TFRecord, or cut off; {_REMEDY}")
        content = file.read(length + 4)
        if len(content) < length + 4:
            raise TableError(f"{where} ends within record {number}; {_REMEDY}")
        yield content[:length]


def _content(record: bytes, where: str) -> tuple[str, int, Spec, bytes]:
    """Hash, epochs, cell and metrics of a record."""
    try:
        name, epochs, matrix, operations, metrics = json.loads(record)
        words = operations.split(",")
        size = len(words)
        if len(matrix) != size * size or not set(matrix) <= {"0", "1"}:
            raise ValueError(f"a matrix of {len(matrix)} numbers for {size} operations")
        edges = [divmod(k, size) for k, present in enumerate(matrix) if present == "1"]
        if (words[0], words[-1]) != ("input", "output"):
            raise ValueError(f"operations {operations}")
        return name, epochs, (size, edges, words[1:-1]), base64.b64decode(metrics, validate=True)
    except (ValueError, TypeError, AttributeError, IndexError, RecursionError, binascii.Error) as error:
        raise TableError(f"{where} is not a NAS-Bench-101 training ({error}); {_REMEDY}") from error


def _metrics(message: bytes, where: str) -> tuple[list[float], int]:
    """Values of :data:`COLUMNS` after training, accuracies in percent; and the number of parameters."""
    try:
        fields = [*_fields(message)]
        evaluations = [value for field, value in fields if field == 1]
        parameters = [value for field, value in fields if field == 2]
        last = dict(_fields(evaluations[-1]))
        values = [100 * last[4], 100 * last[5], 100 * last[3], last[2]]
        if not all(0 <= value <= 100 for value in values[:3]) or not math.isfinite(values[3]):
            raise ValueError(f"values {values}")
        return values, int(parameters[0])
    except (ValueError, TypeError, IndexError, KeyError, struct.error) as error:
        raise TableError(f"{where}: its metrics are damaged ({type(error).__name__}: {error}); {_REMEDY}") from error


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of every field of a protocol buffer: integers, doubles, bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
        elif wire == 1:
            (value,), at = struct.unpack_from("<d", message, at), at + 8
        elif wire == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field beyond the end")
            value, at = message[at : at + length], at + length
        else:
            raise ValueError(f"wire type {wire}")
        yield field, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
        shift += 7


def _named(specs: dict[str, Spec], path: Path) -> list[str | None]:
    """Strings of cells, some of which are checked against their hashes."""
    names = to_strings(list(specs.values()))
    for expected, name in itertools.islice(zip(specs, names, strict=True), 0, None, CHECKED):
        if name is not None and module_hash(name) != expected:
            raise TableError(f"{path}: the cell named {expected} is {name}, which has another hash; {_REMEDY}")
    return names
