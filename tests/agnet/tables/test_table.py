import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from agnet.errors import TableError
from agnet.tables.table import content_hash, read_metadata, read_table, write_table

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a Parquet file by another hand than :func:`write_table`, so that it may break the contract."""

    def write(name: str, **columns: Sequence[object] | pa.Array) -> Path:
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write


# --------------------------------------------------------------------------------------------------------- reading


def test_columns_are_read_in_the_order_asked(save: Save) -> None:
    path = save("t", architecture=["a", "b"], accuracy=[90.0, 91.5], latency_ms=[3, 4], unused=[0.0, 0.0])
    table = read_table([path], ["latency_ms", "accuracy"])
    assert table.columns == ("latency_ms", "accuracy")
    assert table.values.dtype == torch.float64
    assert table.lookup(["b", "a", "b"]).tolist() == [[4.0, 91.5], [3.0, 90.0], [4.0, 91.5]]
    assert table.lookup([]).shape == (0, 2)


def test_float64_survives(save: Save) -> None:
    exact = 0.1 + 0.2
    assert read_table([save("t", architecture=["a"], x=[exact])], ["x"]).values.item() == exact


def test_tables_are_joined_on_the_architecture(save: Save) -> None:
    """Rows in another order, rows that only one table has, and tables that contribute nothing."""
    first = save("first", architecture=["a", "b", "c"], x=[1.0, 2.0, 3.0])
    second = save("second", architecture=["d", "c", "a"], y=[40.0, 30.0, 10.0])
    third = save("third", architecture=["a"], z=[7.0])
    table = read_table([first, second, third], ["y", "x"])
    assert sorted(table.rows) == ["a", "c"]
    assert table.lookup(["a", "c"]).tolist() == [[10.0, 1.0], [30.0, 3.0]]
    assert sorted(read_table([first, second, third], ["z", "y", "x"]).rows) == ["a"]
    assert sorted(read_table([first, second, third], ["x"]).rows) == ["a", "b", "c"]


def test_a_column_may_be_asked_twice(save: Save) -> None:
    table = read_table([save("t", architecture=["a"], x=[5.0])], ["x", "x"])
    assert table.lookup(["a"]).tolist() == [[5.0, 5.0]]


@pytest.mark.parametrize(
    "key",
    [
        pa.array(["a", "b"], pa.large_string()),
        pa.array(["a", "b"], pa.string_view()),
        pa.array(["a", "b"]).dictionary_encode(),
    ],
    ids=["large_string", "string_view", "dictionary"],
)
def test_other_writers_strings_join_with_ours(save: Save, key: pa.Array) -> None:
    """polars and pandas store strings in other types."""
    theirs = save("theirs", architecture=key, x=[1.0, 2.0])
    ours = save("ours", architecture=["b", "a"], y=[20.0, 10.0])
    assert read_table([theirs, ours], ["x", "y"]).lookup(["a", "b"]).tolist() == [[1.0, 10.0], [2.0, 20.0]]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint16(), pa.float32(), pa.float64()], ids=str)
def test_every_number_is_numeric(save: Save, kind: pa.DataType) -> None:
    assert read_table([save("t", architecture=["a"], x=pa.array([3], kind))], ["x"]).values.item() == 3.0


def test_paths_may_be_text(save: Save) -> None:
    assert read_table([str(save("t", architecture=["a"], x=[1.0]))], ["x"]).rows == {"a": 0}


# ---------------------------------------------------------------------------------------------------------- errors


def test_no_table() -> None:
    with pytest.raises(TableError, match=r"objective\.tables="):
        read_table([], ["x"])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"nowhere\.parquet"):
        read_table([tmp_path / "nowhere.parquet"], ["x"])


def test_missing_column_lists_what_there_is(save: Save) -> None:
    paths = [save("p", architecture=["a"], x=[1.0]), save("q", architecture=["a"], y=[1.0])]
    with pytest.raises(TableError, match=r"'cifar10_valid'.*p\.parquet.*q\.parquet.*available: x, y$"):
        read_table(paths, ["x", "cifar10_valid"])


def test_ambiguous_column_names_both_files(save: Save) -> None:
    paths = [save(name, architecture=["a"], x=[1.0]) for name in ("p", "q")]
    with pytest.raises(TableError, match=r"'x' is in .*p\.parquet and .*q\.parquet.*drop one table or rename"):
        read_table(paths, ["x"])


def test_column_twice_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table([pa.array(["a"]), pa.array([1.0]), pa.array([2.0])], names=["architecture", "x", "x"]), path
    )
    with pytest.raises(TableError, match="'x' is in"):
        read_table([path], ["x"])


@pytest.mark.parametrize("columns", [[], ["architecture"], ["x", "architecture"]])
def test_only_values_can_be_asked(save: Save, columns: list[str]) -> None:
    with pytest.raises(TableError, match="at least one"):
        read_table([save("t", architecture=["a"], x=[1.0])], columns)


def test_no_key_column(save: Save) -> None:
    with pytest.raises(TableError, match=r"no column 'architecture' .*rename one of its columns: cell, x"):
        read_table([save("t", cell=["a"], x=[1.0])], ["x"])


def test_keys_must_be_text(save: Save) -> None:
    with pytest.raises(TableError, match="'architecture' has type int64"):
        read_table([save("t", architecture=[1, 2], x=[1.0, 2.0])], ["x"])


def test_keys_must_be_there(save: Save) -> None:
    with pytest.raises(TableError, match="'architecture' is empty in 1 row"):
        read_table([save("t", architecture=["a", None], x=[1.0, 2.0])], ["x"])


def test_duplicate_rows_name_the_architecture(save: Save) -> None:
    path = save("t", architecture=["a", "b", "c", "b"], x=[1.0, 2.0, 3.0, 2.0])
    with pytest.raises(TableError, match=r"t\.parquet: architecture 'b' has several rows"):
        read_table([path], ["x"])


@pytest.mark.parametrize("gap", [float("nan"), None])
def test_missing_values_name_the_row_or_leave_it_out(save: Save, gap: float | None) -> None:
    path = save(
        "t", architecture=["a", "b", "c"], good=[1.0, 2.0, 3.0], x=[1.0, gap, 5.0], y=pa.array([gap] * 3, pa.float64())
    )
    with pytest.raises(TableError, match=r"t\.parquet: column 'x' has no value for 'b'; .*missing=drop"):
        read_table([path], ["good", "x"])
    kept = read_table([path], ["good", "x"], missing="drop")
    assert list(kept.rows) == ["a", "c"]
    assert kept.lookup(["c"]).tolist() == [[3.0, 5.0]]
    assert len(read_table([path], ["good"]).rows) == 3
    with pytest.raises(TableError, match="no row has a value in all of x, y"):
        read_table([path], ["x", "y"], missing="drop")
    kept = read_table([path], ["x"], missing="keep")
    assert kept.lookup(["a", "b", "c"]).isnan().flatten().tolist() == [False, True, False]


@pytest.mark.parametrize("bad", [float("inf"), -float("inf")])
def test_infinite_values_name_the_row(save: Save, bad: float) -> None:
    path = save("t", architecture=["a", "b", "c"], good=[1.0, 2.0, 3.0], x=[1.0, bad, bad])
    with pytest.raises(TableError, match=r"t\.parquet: column 'x' is -?inf for 'b' and 1 more; drop"):
        read_table([path], ["x"])
    assert read_table([path], ["good"]).values.shape == (3, 1), "only the columns asked for must be complete"


@pytest.mark.parametrize("values", [["90", "91"], [True, False]], ids=["text", "flags"])
def test_not_numeric(save: Save, values: list[object]) -> None:
    with pytest.raises(TableError, match=r"column 'x' has type \w+; columns must be numeric: convert"):
        read_table([save("t", architecture=["a", "b"], x=values)], ["x"])


def test_damaged_values(save: Save) -> None:
    path = save("t", architecture=[str(i) for i in range(1000)], x=[float(i * i) for i in range(1000)])
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)  # the schema at the end stays whole
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"t\.parquet is not a readable Parquet file"):
        read_table([path], ["x"])


@pytest.mark.parametrize("content", [b"", b"architecture,x\na,1\n", b"PAR1 and then nothing PAR1"])
def test_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"t\.parquet is not a readable Parquet file"):
        read_table([path], ["x"])


def test_nothing_in_common(save: Save) -> None:
    paths = [save("p", architecture=["a"], x=[1.0]), save("q", architecture=["b"], y=[1.0])]
    with pytest.raises(TableError, match="share no architecture"):
        read_table(paths, ["x", "y"])


def test_unknown_architecture_is_named(save: Save) -> None:
    table = read_table([save("t", architecture=["a"], x=[1.0])], ["x"])
    with pytest.raises(TableError, match=r"'b' is not in the table \(1 rows with x\)"):
        table.lookup(["a", "b", "c"])


# --------------------------------------------------------------------------------------------------------- writing


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "t.parquet"
    content = pa.table({"architecture": ["a", "b"], "x": [1.5, 2.5], "n": pa.array([1, 2], pa.int32())})
    write_table(path, content, {"space": "nasbench201", "seeds": "[0]"})
    assert read_table([path], ["n", "x"]).lookup(["b"]).tolist() == [[2.0, 2.5]]
    assert pq.read_table(path).cast(content.schema).equals(content)
    metadata = read_metadata(path)
    assert metadata == {"space": "nasbench201", "seeds": "[0]", "content_sha256": content_hash(content)}
    assert metadata["content_sha256"] == content_hash(pq.read_table(path))


def test_a_foreign_table_has_no_metadata(save: Save) -> None:
    assert read_metadata(save("t", architecture=["a"], x=[1.0])) == {}


def test_content_hash_is_the_documented_one() -> None:
    content = pa.table({"architecture": ["a", "b"], "x": [1.0, 2.0]})
    stream = b"architecturestring" + b"a\nb" + b"xdouble" + np.array([1.0, 2.0]).tobytes()
    assert content_hash(content) == hashlib.sha256(stream).hexdigest()


def test_content_hash_sees_every_change_and_only_changes() -> None:
    content = pa.table({"architecture": ["a", "b"], "x": [1.0, 2.0]})
    others = [
        pa.table({"architecture": ["a", "c"], "x": [1.0, 2.0]}),
        pa.table({"architecture": ["a", "b"], "x": [1.0, np.nextafter(2.0, 3.0)]}),
        pa.table({"architecture": ["a", "b"], "y": [1.0, 2.0]}),
        pa.table({"architecture": ["b", "a"], "x": [2.0, 1.0]}),
    ]
    assert len({content_hash(table) for table in (content, *others)}) == 5
    chunked = pa.concat_tables([content.slice(0, 1), content.slice(1)])
    assert content_hash(chunked) == content_hash(content)
    assert content_hash(content.replace_schema_metadata({"k": "v"})) == content_hash(content)


def test_content_hash_of_large_strings_is_of_the_text() -> None:
    """They arrive in numpy as pointers, which differ from one reading to the next."""
    content = pa.table({"architecture": pa.array(["a", "b"], pa.large_string())})
    assert content_hash(content) == hashlib.sha256(b"architecturelarge_stringa\nb").hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        {"architecture": ["a", "a"], "x": [1.0, 2.0]},
        {"architecture": ["a", "b"], "x": [1.0, float("inf")]},
        {"architecture": ["a", "b"], "x": ["1", "2"]},
        {"x": [1.0]},
    ],
    ids=["duplicate", "infinite", "text", "no key"],
)
def test_a_table_that_breaks_the_contract_is_not_written(tmp_path: Path, content: dict[str, list[object]]) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(TableError, match=r"t\.parquet"):
        write_table(path, pa.table(content), {})
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, pa.table({"architecture": ["a"], "x": [1.0]}), {})
    old = path.read_bytes()

    def fail(table: pa.Table, where: io.BytesIO, **_: object) -> None:
        where.write(b"half a tab")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_table(path, pa.table({"architecture": ["a"], "x": [2.0]}), {})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
