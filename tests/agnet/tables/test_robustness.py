"""Questions to a robustness table."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agnet.errors import TableError
from agnet.runtime.paths import ROOT
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.robustness import RobustnessTable
from agnet.tables.table import read_table, write_table

PUBLISHED = ROOT / ".." / "shared" / "data" / "nasbench201_robustness_cifar10.parquet"
CELLS = NASBench201().enumerate()[:4]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    columns = {
        "architecture": list(CELLS),
        "isomorph": [0, 1, 0, 3],
        "digits_valid": [90.0, 91.0, 92.0, 93.0],
        "digits_test": [80.0, 81.0, 82.0, 83.0],
        "digits_test_pgd_eps0.5": [50.0, 51.0, 52.0, 53.0],
        "digits_test_pgd_eps8": [10.0, 11.0, 12.0, 13.0],
        "digits_test_fog_s3": [40.0, 41.0, 42.0, 43.0],
        "digits_test_pgd_eps8_confidence_wrong": [0.5, None, 0.7, 0.8],
        "digits_jacobian_frobenius_trained": [3.0, 4.0, 5.0, 6.0],
        "parameters": [1, 2, 3, 4],
    }
    file = tmp_path / "table.parquet"
    write_table(file, pa.table(columns), {"space": "nasbench201"})
    return file


def test_values_are_where_their_names_say(path: Path) -> None:
    answer = RobustnessTable.read(path).query(key="pgd", architectures=[CELLS[2], 1])
    assert len(answer) == 4
    columns = {name: values.tolist() for name, values in answer.columns.items()}
    assert columns == {
        "architecture": [CELLS[2], CELLS[1]] * 2,
        "isomorph": [0, 1, 0, 1],
        "dataset": ["digits"] * 4,
        "split": ["test"] * 4,
        "key": ["pgd"] * 4,
        "level": [0.5, 0.5, 8.0, 8.0],
        "quantity": ["accuracy"] * 4,
        "value": [52.0, 51.0, 12.0, 11.0],
    }
    assert pa.table(dict(answer.columns)).num_rows == 4


def test_every_part_narrows(path: Path) -> None:
    table = RobustnessTable.read(path)
    assert len(table.query()) == 5 * 4, "all accuracies"
    assert table.query(split="valid").columns["value"].tolist() == [90.0, 91.0, 92.0, 93.0]
    assert set(table.query(key=["clean", "fog"], split="test").columns["key"]) == {"clean", "fog"}
    assert table.query(level=8).columns["value"].tolist() == [10.0, 11.0, 12.0, 13.0]
    wrong = table.query(quantity="confidence_wrong").columns["value"]
    assert np.isnan(wrong).tolist() == [False, True, False, False]
    measure = table.query(key="jacobian_frobenius", quantity="trained", architectures=CELLS[3])
    assert measure.columns["value"].tolist() == [6.0]


def test_architectures_by_string_or_id(path: Path) -> None:
    table = RobustnessTable.read(path)
    answer = table.query(split="valid", architectures=[CELLS[3], 2, "1"])
    assert answer.columns["value"].tolist() == [93.0, 92.0, 91.0]
    evaluated = table.query(split="valid", architectures=answer.columns["isomorph"])
    assert evaluated.columns["value"].tolist() == [93.0, 90.0, 91.0]
    assert len(table.query(split="valid", architectures=np.int16(2))) == 1


def test_the_network_that_was_evaluated(path: Path) -> None:
    table = RobustnessTable.read(path)
    assert table.representative(CELLS[2]) == table.representative(0) == CELLS[0]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"dataset": "cifar10"}, "no dataset 'cifar10' among the columns asked for; there is 'digits'"),
        ({"key": "apgd"}, "no key 'apgd' .*'clean', 'pgd', 'fog'"),
        ({"key": "pgd", "level": [8, 9]}, "no level 9 .*there is 0.5, 8"),
        ({"split": "valid", "key": "pgd"}, "no key 'pgd' .*there is 'clean'"),
        ({"quantity": "loss"}, "no quantity 'loss'"),
        ({"key": []}, "no key given; leave it out for all there are"),
        ({"architectures": ["15625"]}, r"no architecture has the id 15625; ids are 0\.\.15624"),
        ({"architectures": [99999]}, "no architecture has the id 99999"),
        ({"architectures": [17]}, "no row for '|"),
        ({"architectures": ["|x~0|"]}, r"no row for '\|x~0\|' among 4"),
    ],
)
def test_what_is_not_there_is_named(path: Path, question: dict, said: str) -> None:
    with pytest.raises(TableError, match=said):
        RobustnessTable.read(path).query(**question)


def test_damage_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no table at"):
        RobustnessTable.read(tmp_path / "nowhere.parquet")
    table = pq.read_table(path)
    changed = table.set_column(3, "digits_test", pa.array([80.0, 81.0, 82.0, 83.1]))
    other = tmp_path / "changed.parquet"
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), other)
    with pytest.raises(TableError, match=r"changed\.parquet is not what was written"):
        RobustnessTable.read(other)
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[:200], b""):
        path.write_bytes(damaged)
        with pytest.raises(TableError, match=r"table\.parquet is not a readable"):
            RobustnessTable.read(path)


def test_a_table_of_something_else(tmp_path: Path) -> None:
    write_table(tmp_path / "other.parquet", pa.table({"architecture": list(CELLS), "score": [1.0] * 4}), {})
    with pytest.raises(TableError, match="has no column such as"):
        RobustnessTable.read(tmp_path / "other.parquet")


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published table is not here")
def test_the_published_table() -> None:
    table = RobustnessTable.read(PUBLISHED)
    answer = table.query(key="pgd", level=1.0, architectures=[13433])
    assert answer.columns["value"].tolist() == pytest.approx([33.6], abs=0.1)
    assert len(set(table.isomorphs.tolist())) == 6_466
    [expected] = read_table([PUBLISHED], ["cifar10_pgd_eps1"]).lookup([NASBench201().enumerate()[13433]]).tolist()
    assert answer.columns["value"].tolist() == expected
