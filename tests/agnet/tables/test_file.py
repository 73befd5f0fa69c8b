"""What a table's hashes find, and that an opened file stays of one version."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agnet.errors import TableError
from agnet.tables.conditions import SCHEMA, read_details, write_details
from agnet.tables.file import TableFile, read_parquet
from agnet.tables.hashes import COLUMNS, METADATA, PREFIX, column_hash, content_hash
from agnet.tables.objective import read_objective
from agnet.tables.table import column_names, read_metadata, read_table, write_table

METADATA_OF_IT = {"space": "any", "protocol": '{"attack": "ö"}'}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    gaps = pa.array([None if i % 7 == 0 else float(x) for i, x in enumerate(rng.normal(size=60))])
    columns = {
        "architecture": [f"a{i}" for i in range(60)],
        "x": gaps,
        "k": pa.array(rng.integers(0, 9, 60), pa.int16()),
    }
    write_table(tmp_path / "t.parquet", pa.table(columns), METADATA_OF_IT)
    return tmp_path / "t.parquet"


def earlier(path: Path) -> None:
    """The same file as an earlier revision wrote it: with one hash of everything."""
    table = pq.read_table(path)
    kept = {
        k: v
        for k, v in table.schema.metadata.items()
        if k not in (PREFIX + COLUMNS.encode(), PREFIX + METADATA.encode())
    }
    pq.write_table(table.replace_schema_metadata(kept), path, compression="zstd")


@pytest.mark.parametrize("revision", ["this", "earlier"])
def test_a_flipped_bit_changes_nothing_or_is_named_in_one_line(path: Path, revision: str) -> None:
    if revision == "earlier":
        earlier(path)
    data, draw = path.read_bytes(), random.Random(0)
    right, metadata = read_parquet(path).replace_schema_metadata(), read_metadata(path)
    said: list[str] = []
    for _ in range(400):
        flipped = bytearray(data)
        flipped[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            assert read_parquet(path).replace_schema_metadata().equals(right)
            assert column_names([path]) == ["x", "k"]
            assert revision == "earlier" or read_metadata(path) == metadata
        except TableError as error:
            said.append(str(error))
    assert len(said) > 100
    assert [text for text in said if str(path) not in text or "\n" in text] == []


def test_details_are_checked_column_by_column(tmp_path: Path) -> None:
    path = tmp_path / "details.parquet"
    plain = {"architecture": "a", "seed": 0, "dataset": "d", "split": "test", "kind": "clean", "key": "clean"}
    numbers = {"level": 0.0, "images": 9, "accuracy": 50.0, "confidence": 0.5, "confidence_right": None}
    others = {"confidence_wrong": 0.1, "confidence_true": 0.2, "forwards": 1.0, "gradients": 0.0}
    rows = [{**plain, **numbers, **others, "confusion": [0, 1], "robust": bytes([i])} for i in range(9)]
    write_details(path, pa.Table.from_pylist(rows, SCHEMA), {"split": "test"})
    data, right, draw, said = path.read_bytes(), read_details(path), random.Random(0), list[str]()
    for _ in range(200):
        flipped = bytearray(data)
        flipped[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            assert read_details(path).equals(right)
        except TableError as error:
            said.append(str(error))
    assert said
    assert not any("\n" in text for text in said)


def test_only_what_is_read_is_compared(path: Path) -> None:
    table = pq.read_table(path)
    other = table.set_column(1, "x", pa.array(np.zeros(60)))
    pq.write_table(other, path)  # with the metadata of the old values
    assert read_table([path], ["k"]).columns == ("k",)
    with pytest.raises(TableError, match=r"column 'x' is damaged .* does not match its hash.*replace_schema_metadata"):
        read_table([path], ["x"])


def test_a_table_of_some_rows_by_another_hand_is_read(path: Path) -> None:
    """As with pyarrow, which keeps the metadata."""
    table = pq.read_table(path)
    pq.write_table(table.slice(10, 20).append_column("z", pa.array(np.arange(20.0))), path)
    assert read_table([path], ["k", "z"]).rows == {f"a{10 + i}": i for i in range(20)}
    with pytest.raises(TableError, match="is not what was written"):
        read_parquet(path)


def test_changed_metadata_are_found(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"agnet.space": b"other"}), path)
    with pytest.raises(TableError, match="its metadata is damaged"):
        read_metadata(path)


def test_a_table_by_another_hand_has_no_hashes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"architecture": ["a"], "x": [1.0]}), tmp_path / "t.parquet")
    assert read_table([tmp_path / "t.parquet"], ["x"]).values.tolist() == [[1.0]]
    assert read_metadata(tmp_path / "t.parquet") == {}


def test_stored_hashes_stay_out_of_sight(path: Path) -> None:
    table = pq.read_table(path)
    assert read_metadata(path) == METADATA_OF_IT | {"content_sha256": content_hash(table)}


def test_an_opened_file_is_of_one_version(path: Path, tmp_path: Path) -> None:
    opened, right = TableFile(path), read_parquet(path)
    other = pa.table({"architecture": ["b"], "x": [7.0], "k": pa.array([1], pa.int16())})
    write_table(path, other, {"space": "other"})
    assert opened.read(["x"]).equals(right.select(["x"]))
    assert opened.metadata["space"] == "any"


def test_objective_and_report_are_of_one_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever replaces the file after it has been opened."""
    for value in (1.0, 2.0):
        content = pa.table({"architecture": ["a"], "x": [value], "y": [value]})
        write_table(path.parent / f"{value}.parquet", content, {})
    path.write_bytes((path.parent / "1.0.parquet").read_bytes())
    read = TableFile.read

    def replaced(self: TableFile, columns: list[str]) -> pa.Table:
        table = read(self, columns)
        (path.parent / "2.0.parquet").rename(path) if (path.parent / "2.0.parquet").exists() else None
        return table

    monkeypatch.setattr(TableFile, "read", replaced)
    objective, report = read_objective([path], ["x"], report=["y"])
    assert objective(["a"]).item() == report("a")["y"] == 1.0


def test_a_column_hash_depends_on_name_type_values_and_gaps() -> None:
    columns = [
        ("x", pa.array([1.0, 2.0])),
        ("y", pa.array([1.0, 2.0])),
        ("x", pa.array([1, 2])),
        ("x", pa.array([2.0, 1.0])),
        ("x", pa.array([1.0, None])),
        ("x", pa.array([None, 1.0])),
        ("x", pa.array([1.0, 0.0])),
        ("x", pa.array(["ab", "c"])),
        ("x", pa.array(["a", "bc"])),
        ("x", pa.array([b"a", b"bc"])),
        ("x", pa.array([[1], [2, 3]])),
        ("x", pa.array([[1, 2], [3]])),
    ]
    found = [column_hash(name, pa.chunked_array([column])) for name, column in columns]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "values", [[1.0, None, 3.0, 4.0], ["a", None, "bcd", ""], [b"a", b"", None, b"xy"], [[1], [], [2, 3], [4]]]
)
def test_a_column_hash_is_of_the_values_not_of_their_place(values: list[object]) -> None:
    whole = pa.chunked_array([pa.array(values)])
    shifted = pa.chunked_array([pa.array([values[0], *values]).slice(1, 2), pa.array(values).slice(2)])
    assert column_hash("x", whole) == column_hash("x", shifted)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"\0" * 100, b"PAR1\xff\xff\xff\xffPAR1"])
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    for read in (read_metadata, read_parquet):
        with pytest.raises(TableError, match="is not a readable Parquet file") as caught:
            read(tmp_path / "t.parquet")
        assert "\n" not in str(caught.value)
    with pytest.raises(TableError, match="no table at"):
        read_metadata(tmp_path / ("x" * 300))
