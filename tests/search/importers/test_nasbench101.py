"""A small file in the format of ``nasbench_only108.tfrecord``."""

import base64
import json
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from agnet.errors import ConfigurationError, TableError
from agnet.spaces.nasbench101.notation import module_hash, parse
from agnet.spaces.nasbench101.space import NASBench101
from search.importers.nasbench101 import NASBench101Records, records

CELLS = ("output(0)", "conv3x3(0)|output(1)", "conv1x1(0)|maxpool3x3(0,1)|output(1,2)")
PARTIAL = NASBench101Records(partial=True)


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, value: float | int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + varint(value)


def evaluation(epoch: float, seconds: float, train: float, valid: float, test: float) -> bytes:
    values = (epoch, seconds, train, valid, test)
    return b"".join(field(i, value) for i, value in enumerate(values, start=1)) + field(6, b"/path/model.ckpt-0")


def metrics(valid: float, test: float, parameters: int = 8_555_530, epochs: int = 108) -> bytes:
    stages = [
        evaluation(0.0, 0.0, 0.1, 0.1, 0.1),
        evaluation(epochs / 2, 500.0, 0.8, 0.7, 0.6),
        evaluation(float(epochs), 1000.0, 1.0, valid, test),
    ]
    return b"".join(field(1, stage) for stage in stages) + field(2, parameters) + field(3, 1234.5)


def record(architecture: str, message: bytes, epochs: int = 108, name: str | None = None) -> bytes:
    matrix, operations = parse(architecture)
    flat = "".join(str(present) for row in matrix for present in row)
    name = module_hash(architecture) if name is None else name
    return json.dumps([name, epochs, flat, ",".join(operations), base64.b64encode(message).decode()]).encode()


def framed(contents: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack("<Q", len(c)) + b"crc1" + c + b"crc2" for c in contents)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    contents = [
        record(cell, metrics(0.9 + 0.01 * repeat, 0.8 + 0.01 * row, parameters=1000 * row + 7))
        for row, cell in enumerate(CELLS)
        for repeat in range(3)
    ]
    path = tmp_path / "nasbench_only108.tfrecord"
    path.write_bytes(framed([*contents, record(CELLS[0], metrics(0.5, 0.4, epochs=12), epochs=12)]))
    return path


def test_means_over_repeats_in_percent(path: Path) -> None:
    table = PARTIAL.read(path, progress=False)
    assert table["architecture"].to_pylist() == [text for text in NASBench101().enumerate() if text in CELLS]
    row = {cell: i for i, cell in enumerate(table["architecture"].to_pylist())}
    for number, cell in enumerate(CELLS):
        found = {name: table[name][row[cell]].as_py() for name in table.column_names[1:]}
        assert found == pytest.approx(
            {
                **{"cifar10_valid": 91, "cifar10_test": 80 + number, "cifar10_train": 100},
                **{"train_time_s": 1000, "n_seeds": 3, "parameters": 1000 * number + 7},
            }
        )


def test_other_epochs_are_other_columns(path: Path) -> None:
    table = NASBench101Records(epochs=12, partial=True).read(path, progress=False)
    assert table["architecture"].to_pylist() == [CELLS[0]]
    assert table["cifar10_test_12epochs"].to_pylist() == pytest.approx([40])
    assert table["n_seeds_12epochs"].to_pylist() == [1]
    with pytest.raises(TableError, match="no training of 36 epochs"):
        NASBench101Records(epochs=36, partial=True).read(path, progress=False)
    with pytest.raises(ConfigurationError, match="epochs=200"):
        NASBench101Records(epochs=200)


def test_isomorphic_cells_are_renumbered(tmp_path: Path) -> None:
    """The benchmark's own numbering is another one."""
    matrix = "0110" + "0001" + "0001" + "0000"
    text = "conv1x1(0)|conv3x3(0)|output(1,2)"
    words = "input,conv3x3-bn-relu,conv1x1-bn-relu,output"
    content = json.dumps([module_hash(text), 108, matrix, words, base64.b64encode(metrics(0.9, 0.8)).decode()])
    (tmp_path / "a.tfrecord").write_bytes(framed([content.encode()]))
    assert PARTIAL.read(tmp_path / "a.tfrecord", progress=False)["architecture"].to_pylist() == [text]


def test_a_part_is_refused_unless_asked_for(path: Path) -> None:
    with pytest.raises(TableError, match=r"lacks 423621 of 423624 cells.*importer.partial=true"):
        NASBench101Records().read(path, progress=False)


GOOD = metrics(0.9, 0.8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (framed([record(CELLS[0], GOOD)])[:-9], "ends within record 1"),
        (framed([record(CELLS[0], GOOD)]) + b"xyz", "record 2 is no TFRecord"),
        (b"\xff" * 40, "record 1 is no TFRecord"),
        (framed([b"not json"]), "record 1 is not a NAS-Bench-101 training"),
        (framed([b"[1, 2]"]), "record 1 is not a NAS-Bench-101 training"),
        (framed([record(CELLS[1], GOOD).replace(b"conv3x3-bn-relu,", b"")]), "a matrix of 9 numbers for 2 operations"),
        (framed([record(CELLS[1], GOOD).replace(b"conv3x3", b"conv5x5")]), "none of NAS-Bench-101"),
        (framed([record(CELLS[0], GOOD[:-12])]), "metrics are damaged"),
        (framed([record(CELLS[0], GOOD[:40])]), "metrics are damaged"),
        (framed([record(CELLS[0], b"")]), "metrics are damaged"),
        (framed([record(CELLS[0], metrics(1.5, 0.8))]), "metrics are damaged"),
        (framed([record(CELLS[0], GOOD, name="0" * 32)]), "has another hash"),
        (framed([record(CELLS[0], GOOD), record(CELLS[0], GOOD, name="0" * 32)]), "or one twice"),
        (b"", "no training of 108 epochs"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.tfrecord"
    path.write_bytes(content)
    with pytest.raises(TableError, match=message) as caught:
        PARTIAL.read(path, progress=False)
    assert "bad.tfrecord" in str(caught.value)


def test_records_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "two"
    path.write_bytes(framed([b"one", b"two"]) + b"\xff" * 20)
    with path.open("rb") as file:
        found = records(file, "two")
        assert [next(found), next(found)] == [b"one", b"two"]
        with pytest.raises(TableError, match="record 3"):
            next(found)


def test_arrays_with_test_accuracy_alone(tmp_path: Path) -> None:
    """``conv3x3(0)|output(1)`` and ``output(0)``; bit k is the k-th pair of vertices, row by row."""
    path = tmp_path / "nasbench101.npz"
    arrays = {
        "n_vertices": np.array([3, 2], np.uint8),
        "upper_bits": np.array([0b101, 0b1], np.uint32),
        "ops": np.array([[0, -1, -1, -1, -1], [-1] * 5], np.int8),
        "params": np.array([20, 10], np.int32),
        "test108_x29952": np.array([29_952, 14_976], np.uint16),
    }
    np.savez(path, **arrays)
    table = PARTIAL.read(path, progress=False)
    assert table.to_pydict() == {
        "architecture": ["output(0)", "conv3x3(0)|output(1)"],
        "cifar10_test": [50.0, 100.0],
        "parameters": [10, 20],
    }
    np.savez(path, **{key: value for key, value in arrays.items() if key != "ops"})
    with pytest.raises(TableError, match=r"is not nasbench101\.npz"):
        PARTIAL.read(path, progress=False)
