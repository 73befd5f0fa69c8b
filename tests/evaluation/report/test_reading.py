from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agnet.errors import AGNetError, ConfigurationError, TableError
from evaluation.networks.nasbench201 import NetworkShape, count_macs, count_parameters
from evaluation.report.costs import count_costs
from evaluation.report.measurements import SPACE
from evaluation.report.reading import read_measurements

Save = Callable[..., Path]

PAIR = next([i for i, c in enumerate(SPACE.isomorphs) if c == n] for n, k in Counter(SPACE.isomorphs).items() if k == 2)
"""The two members of a class, ascending."""

SINGLES = [n for n, k in Counter(SPACE.isomorphs).items() if k == 1][:3]


def test_one_row_per_class_is_the_representatives(save: Save) -> None:
    path = save("t", [PAIR[1], *SINGLES, PAIR[0]], cifar10_clean=[1.0, 2.0, 3.0, 4.0, 5.0])
    (data,) = read_measurements(path)
    assert data.ids.tolist() == sorted([PAIR[0], *SINGLES])
    assert data.clean[data.ids.tolist().index(PAIR[0])] == 5.0
    assert data.architectures[0] == SPACE.enumerate()[data.ids[0]]
    assert {data.row_of_class[SPACE.isomorphs[i]] for i in PAIR} == {data.ids.tolist().index(PAIR[0])}


def test_the_column_isomorph_names_the_representative(save: Save) -> None:
    path = save("t", PAIR, isomorph=[PAIR[1]] * 2, cifar10_clean=[1.0, 2.0])
    (data,) = read_measurements(path)
    assert data.ids.tolist() == [PAIR[1]]
    assert data.clean.tolist() == [2.0]


def test_a_lone_member_speaks_for_its_class(save: Save) -> None:
    (data,) = read_measurements(save("t", [PAIR[1]], cifar10_clean=[7.0]))
    assert (data.ids.tolist(), data.clean.tolist()) == ([PAIR[0]], [7.0])


@pytest.mark.parametrize("given", [[SINGLES[0], SINGLES[0]], [PAIR[0], PAIR[1]], [-1, -1], [15_625, 15_625]])
def test_a_wrong_representative_is_refused(save: Save, given: list[int]) -> None:
    with pytest.raises(TableError, match=r"column 'isomorph' is .*not the one id"):
        read_measurements(save("t", PAIR, isomorph=given, cifar10_clean=[1.0, 2.0]))


def test_splits_and_datasets(save: Save) -> None:
    columns = {"a_valid": [1.0], "a_test": [2.0], "a_test_pgd_eps1": [3.0], "b_clean": [4.0]}
    path = save("t", SINGLES[:1], **columns)
    a, b = read_measurements(path)
    assert (a.dataset, a.split, a.clean.tolist(), list(a.attacks)) == ("a", "test", [2.0], ["pgd"])
    assert (b.dataset, b.split, b.clean.tolist()) == ("b", "", [4.0])
    (valid,) = read_measurements(path, datasets=["a"], split="valid")
    assert (valid.clean.tolist(), valid.attacks) == ([1.0], {})


def test_joined_tables_add_columns_of_the_split_measures_and_costs(save: Save) -> None:
    path = save("t", SINGLES, a_test=[1.0, 2.0, 3.0])
    columns = {"a_valid": [0.0] * 2, "a_test_fog_s1": [5.0] * 2, "parameters": [7, 8], "b_test": [9.0] * 2}
    with pytest.raises(TableError, match="column 'a_test_fog_s1' has no value for"):
        read_measurements(path, [save("short", SINGLES[:2], **columns)])
    del columns["a_test_fog_s1"]
    columns["a_jacobian_frobenius_trained"] = [1.5, 2.5]
    (data,) = read_measurements(path, [save("measures", SINGLES[:2], **columns)])
    assert np.array_equal(data.costs["parameters"], [7.0, 8.0, np.nan], equal_nan=True)
    assert np.array_equal(data.measures["jacobian frobenius, trained"], [1.5, 2.5, np.nan], equal_nan=True)
    assert list(data.criteria) == ["clean"]
    with pytest.raises(TableError, match="column 'a_test' is in"):
        read_measurements(path, [save("twice", SINGLES, a_test=[1.0, 2.0, 3.0])])


def test_confidences_may_be_missing_accuracies_may_not(save: Save) -> None:
    columns = {"a_clean": [1.0, 2.0, 3.0], "a_clean_confidence_wrong": [0.5, None, 0.7]}
    (data,) = read_measurements(save("t", SINGLES, **columns))
    assert np.isnan(data.values[data.confidences("confidence_wrong")["clean"][0]]).tolist() == [False, True, False]
    with pytest.raises(TableError, match="column 'a_clean' has no value for"):
        read_measurements(save("u", SINGLES, a_clean=[1.0, None, 3.0]))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"datasets": ["b"]}, ConfigurationError, r"datasets=\[b\] is not in .*; it has a"),
        ({"split": "valid"}, ConfigurationError, "split=valid is not in .*; choose one of test"),
        ({"extra": [Path("nowhere.parquet")]}, TableError, r"no table at nowhere\.parquet; check tables"),
    ],
)
def test_what_is_not_there(save: Save, settings: dict, error: type[AGNetError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_measurements(save("t", SINGLES[:1], a_test=[1.0]), **settings)


def test_a_table_without_splits_names_none(save: Save) -> None:
    with pytest.raises(ConfigurationError, match="one set of images of a; leave split out"):
        read_measurements(save("t", SINGLES[:1], a_clean=[1.0]), split="test")


def test_other_tables(save: Save, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no column is an accuracy.* has score"):
        read_measurements(save("t", SINGLES[:1], score=[1.0]))
    with pytest.raises(TableError, match=r"data set '\.\./x' of a column's name"):
        read_measurements(save("s", SINGLES[:1], **{"../x_test": [1.0]}))
    with pytest.raises(TableError, match="no clean accuracy of a; add a column a_test,"):
        read_measurements(save("u", SINGLES[:1], a_test_pgd_eps1=[1.0]))
    with pytest.raises(TableError, match="no clean accuracy of a; add a column a_clean,"):
        read_measurements(save("v", SINGLES[:1], a_pgd_eps1=[1.0]))
    pq.write_table(pa.table({"architecture": ["resnet"], "a_test": [1.0]}), tmp_path / "w.parquet")
    with pytest.raises(TableError, match=r"not a NAS-Bench-201 cell: 'resnet'.*made for NAS-Bench-201"):
        read_measurements(tmp_path / "w.parquet")


def test_costs_are_counted_where_a_table_has_none(save: Save) -> None:
    cells = [SPACE.enumerate()[i] for i in (50, 6111, 13_433)]
    counted = count_costs(cells)
    assert counted["parameters"].tolist() == [count_parameters(c, NetworkShape()) for c in cells]
    assert counted["macs"].tolist() == [count_macs(c, NetworkShape(), 32) for c in cells]
    (data,) = read_measurements(save("t", SINGLES[:1], a_test=[1.0], a_cpu_latency_ms=[2.0]))
    assert list(data.costs) == ["parameters", "macs", "a_cpu_latency_ms"]
