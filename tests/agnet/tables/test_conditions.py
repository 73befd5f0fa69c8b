"""Details: what is written is read, and what was changed is named."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agnet.errors import TableError
from agnet.tables.conditions import SCHEMA, details_table, read_details, write_details
from agnet.tables.table import read_metadata


def row(**changes: Any) -> dict[str, Any]:
    values = {
        **{"architecture": "a", "seed": 0, "dataset": "digits", "split": "test", "kind": "attack", "key": "pgd"},
        **{"level": 0.5, "images": 3, "accuracy": 100 * 2 / 3, "confidence": 0.9, "confidence_right": 0.95},
        **{"confidence_wrong": None, "confidence_true": 0.9, "forwards": 8.0, "gradients": 7.0},
        **{"confusion": [2, 0, 1, 0], "robust": b"\xc0"},
    }
    return values | changes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "details.parquet"
    rows = [row(), row(seed=1, confusion=[3, 0, 0, 0], robust=b"\xe0")]
    write_details(file, details_table(rows), {"space": "nasbench201"})
    return file


def test_what_is_written_is_read(path: Path) -> None:
    table = read_details(path)
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == [row(), row(seed=1, confusion=[3, 0, 0, 0], robust=b"\xe0")]
    assert read_metadata(path)["space"] == "nasbench201"


def test_no_rows(tmp_path: Path) -> None:
    write_details(tmp_path / "none.parquet", details_table([]), {})
    assert read_details(tmp_path / "none.parquet").num_rows == 0


@pytest.mark.parametrize(
    "change", [{"accuracy": 1.0}, {"confusion": [0, 2, 1, 0]}, {"robust": b"\x00"}, {"key": "fgsm"}]
)
def test_a_changed_value_is_found(path: Path, change: dict[str, Any]) -> None:
    table = pq.read_table(path)
    changed = pa.Table.from_pylist([row(**change), table.to_pylist()[1]], SCHEMA)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(TableError, match=r"details\.parquet is not what was written"):
        read_details(path)


def test_parts_are_concatenated(tmp_path: Path) -> None:
    parts = [details_table([row(seed=seed), row(seed=seed, key="fgsm")]) for seed in range(3)]
    write_details(tmp_path / "parts.parquet", pa.concat_tables(parts), {})
    assert read_details(tmp_path / "parts.parquet")["seed"].to_pylist() == [0, 0, 1, 1, 2, 2]


def test_a_truncated_file_is_named(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TableError, match=r"details\.parquet is not a readable"):
        read_details(path)


def test_another_file_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no details at"):
        read_details(tmp_path / "nowhere.parquet")
    pq.write_table(pa.table({"architecture": ["a"]}), path)
    with pytest.raises(TableError, match="no column seed of type int32; is it a table"):
        read_details(path)


@pytest.mark.parametrize(("change", "said"), [({"seed": "x"}, "another type"), ({"images": 2**40}, "another type")])
def test_values_of_another_type(change: dict[str, Any], said: str) -> None:
    with pytest.raises(TableError, match=said):
        details_table([row(**change)])


def test_a_missing_column() -> None:
    short = row()
    del short["robust"]
    with pytest.raises(TableError, match="a row has no robust"):
        details_table([short])
