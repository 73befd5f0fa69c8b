"""Two tables of the same cells, by construction and, where they are at hand, as the field published them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import kendalltau

from agnet.errors import AGNetError
from evaluation.networks.nasbench201 import NetworkShape, count_macs, count_parameters
from evaluation.report.agreement import agreement
from evaluation.report.comparison import BAR, Comparison, compare, main_column
from evaluation.report.costs import count_costs
from evaluation.report.measurements import SPACE, Measurements
from evaluation.report.pair import Pair, read_pair
from evaluation.report.reading import read_measurements
from evaluation.report.section import Section

Save = Callable[..., Path]

SIZES = Counter(SPACE.isomorphs)
SINGLES = [n for n, k in SIZES.items() if k == 1][:6]
PAIR = next([i for i, c in enumerate(SPACE.isomorphs) if c == n] for n, k in SIZES.items() if k == 2)
"""The two members of a class, ascending."""

FIRST = [50.0, 60.0, 70.0, 80.0, 90.0]


def read(table: Path, other: Path, *extra: Path, **settings: list[str]) -> tuple[Measurements, Pair]:
    (data,) = read_measurements(table, extra)
    return data, read_pair([data], [table, *extra], other, **settings)


def compared(table: Path, other: Path, *extra: Path, top: int = 2, **settings: list[str]) -> Comparison:
    return compare(*read(table, other, *extra, **settings), top)


def test_taus_of_every_pair_of_columns_and_of_the_bar(save: Save) -> None:
    rng = np.random.default_rng(0)
    ids = SPACE.representatives[:40]
    mine = {f"a_{n}": rng.integers(0, 30, 40).astype(np.float64).tolist() for n in ("clean", "pgd_eps1", "fgsm_eps2")}
    theirs = {f"b_{n}": rng.integers(0, 30, 40).astype(np.float64).tolist() for n in ("clean", "pgd_eps8")}
    found = compared(save("mine", ids, **mine), save("theirs", ids[::-1], **theirs))
    parameters = [count_parameters(SPACE.enumerate()[i], NetworkShape()) for i in ids]
    expected = [[kendalltau(x, y[::-1]).statistic for y in theirs.values()] for x in (*mine.values(), parameters)]
    assert found.taus == pytest.approx(np.array(expected), abs=1e-12)
    assert found.taus_by_string == pytest.approx(np.array(expected), abs=1e-12)
    table = found.matrix()
    assert table[""] == ["a_clean", "a_pgd_eps1", "a_fgsm_eps2", BAR]
    assert table["b_pgd_eps8"] == pytest.approx([row[1] for row in expected])
    assert found.main_taus() == pytest.approx({name: row[1] for name, row in zip(table[""], expected, strict=True)})


def test_only_common_classes_count_whichever_member_a_table_has(save: Save) -> None:
    mine = save("mine", [PAIR[0], *SINGLES[:4]], a_clean=FIRST)
    theirs = save("theirs", [*SINGLES[1:3], SINGLES[5], PAIR[1]], b_clean=[1.0, 2.0, 3.0, 4.0])
    _, pair = read(mine, theirs)
    assert pair.classes == sorted([PAIR[0], *SINGLES[1:3]])
    assert pair.strings == [SPACE.enumerate()[i] for i in sorted(SINGLES[1:3])]
    values = dict(zip(pair.classes, pair.by_class(pair.other)["b_clean"].tolist(), strict=True))
    assert values == {PAIR[0]: 4.0, SINGLES[1]: 1.0, SINGLES[2]: 2.0}
    found = compared(mine, theirs)
    assert (len(found.ids), found.num_strings) == (3, 2)


def test_tables_may_share_classes_and_no_string(save: Save) -> None:
    section = agreement(*read(save("m", [PAIR[0]], a_clean=[1.0]), save("t", [PAIR[1]], a_clean=[2.0])), 3)
    assert (section.facts["common classes"], section.facts["common strings"]) == (1, 0)
    assert np.isnan(section.tables["against_kendall"]["a_clean"]).all()
    assert "is undefined" in section.text


def test_best_cells_are_looked_up_in_the_other_table(save: Save) -> None:
    mine = save("mine", [*SINGLES[:5], *PAIR], a_clean=[*FIRST, 99.0, 99.0])
    theirs = save("theirs", [*SINGLES[:5], *PAIR], b_pgd_eps8=[5.0, 3.0, 4.0, 2.0, 3.5, 9.0, 9.0])
    rows = compared(mine, theirs, top=3).best_cells()
    chosen = [i for i, by in enumerate(rows["by"]) if by == "a_clean"]
    assert [rows["id"][i] for i in chosen] == [PAIR[0], SINGLES[4], SINGLES[3]]
    assert [rows["value"][i] for i in chosen] == [99, 90, 80]
    assert [rows["value_there"][i] for i in chosen] == [9, 3.5, 2]
    assert [rows["rank_of_classes"][i] for i in chosen] == [1, 4, 6]
    assert [rows["rank_of_strings"][i] for i in chosen] == [1, 5, 7]
    assert {(rows["classes"][i], rows["strings"][i], rows["highest_there"][i]) for i in chosen} == {(6, 7, 9.0)}


def test_cells_at_chance_are_never_the_best(save: Save) -> None:
    dead = next(i for i, cell in enumerate(SPACE.enumerate()) if cell.count("none") == 6)
    mine = save("mine", [dead, *SINGLES[:2]], a_clean=[10.0, 80.0, 90.0], a_apgd_ce_eps8=[10.0, 1.0, 0.0])
    found = compared(mine, save("theirs", [dead, *SINGLES[:2]], b_clean=[1.0, 2.0, 3.0]))
    assert found.ids[found.best["a_apgd_ce_eps8"]].tolist() == [SINGLES[0], SINGLES[1]]


def test_missing_values_are_left_out_pair_by_pair(save: Save) -> None:
    mine = save("mine", SINGLES[:5], a_clean=FIRST, my_score=[1.0, 2.0, 3.0, None, None])
    nothing = [float("nan")] * 5
    theirs = save("theirs", SINGLES[:5], b_clean=[1.0, 2.0, 3.0, None, 0.0], b_pgd_eps1=nothing)
    section = agreement(*read(mine, theirs, columns=["a_clean", "my_score"]), 5)
    assert section.tables["against_kendall"]["b_clean"][:2] == pytest.approx([0, 1])
    assert np.isnan(section.tables["against_kendall"]["b_pgd_eps1"]).all()
    best = section.tables["against_best"]
    rows = list(zip(best["by"], best["column"], best["value_there"], best["rank_of_classes"], strict=True))
    assert [r[3] for r in rows if r[:2] == ("a_clean", "b_clean")] == [4, None, 1, 2, 3]
    assert [r[3] for r in rows if r[:2] == ("my_score", "b_clean")] == [1, 2, 3]
    assert {r[3] for r in rows if r[1] == "b_pgd_eps1"} == {None}


def test_columns_are_accuracies_of_the_reported_split_unless_named(save: Save) -> None:
    columns = {f"a_{split}{of}": FIRST for split in ("valid", "test") for of in ("", "_pgd_eps1", "_fog_s1")}
    mine = save("mine", SINGLES[:5], **columns, parameters=[1, 2, 3, 4, 5])
    theirs = save("theirs", SINGLES[:5], **{f"b{name[1:]}": v for name, v in columns.items()}, b_at_valid=FIRST)
    _, pair = read(mine, theirs)
    assert pair.table.columns == ("a_test", "a_test_pgd_eps1")
    assert pair.other.columns == ("b_test", "b_test_pgd_eps1", "b_at_valid")
    extra = save("extra", SINGLES[:5], a_cpu_latency_ms=FIRST)
    _, pair = read(mine, theirs, extra, columns=["a_cpu_latency_ms", "a_test_fog_s1"], against_columns=["b_valid"])
    assert (pair.table.columns, pair.other.columns) == (("a_cpu_latency_ms", "a_test_fog_s1"), ("b_valid",))


def test_every_data_set_has_its_own_columns(save: Save) -> None:
    mine = save("mine", SINGLES[:3], a_clean=[1.0, 2.0, 3.0], b_clean=[1.0, 2.0, 3.0], my_score=[3.0, 2.0, 1.0])
    found = read_measurements(mine)
    theirs = save("theirs", SINGLES[:3], a_clean=[1.0, 2.0, 3.0])
    pair = read_pair(found, [mine], theirs)
    assert [pair.columns_of(data.dataset) for data in found] == [["a_clean"], ["b_clean"]]
    pair = read_pair(found, [mine], theirs, columns=["b_clean"])
    assert agreement(found[0], pair, 1) == Section(
        "against", "Against theirs.parquet", "None of the chosen columns is of a."
    )
    pair = read_pair(found, [mine], theirs, columns=["my_score"])
    assert [pair.columns_of(data.dataset) for data in found] == [["my_score"]] * 2


@pytest.mark.parametrize(
    ("names", "main"),
    [
        (["b_valid", "b_at_pgd_eps3", "b_at_pgd_eps8", "b_at_autoattack_eps8"], "b_at_pgd_eps8"),
        (["b_clean", "b_fgsm_eps1", "b_square_eps2"], "b_square_eps2"),
        (["b_clean", "c_clean"], "b_clean"),
        (["score"], "score"),
    ],
)
def test_the_main_column(names: list[str], main: str) -> None:
    assert main_column({name: np.arange(5.0) for name in names}) == main


def test_multiply_accumulates_would_order_as_parameters_do() -> None:
    costs = count_costs(SPACE.enumerate())
    order = [np.unique(values, return_inverse=True)[1] for values in costs.values()]
    assert np.array_equal(*order)
    cell = SPACE.enumerate()[6111]
    assert costs["macs"][6111] == count_macs(cell, NetworkShape(), 32)


@pytest.mark.parametrize(
    ("other", "settings", "message"),
    [
        ("mine", {}, r"against=.*mine.parquet is the file of table; name another table"),
        ("nowhere", {}, r"no table at .*nowhere.parquet; check against"),
        ("far", {}, r"against=.*far.parquet has no cell of .*mine.parquet; name a table that shares some"),
        ("resnets", {}, r"resnets.parquet: not a NAS-Bench-201 cell: 'resnet'"),
        (
            "scores",
            {},
            r"against=.*scores.parquet has no clean accuracy and none under an attack; name columns.*: score",
        ),
        ("theirs", {"columns": ["a_x"]}, r"columns=\[a_x\] is not in .*mine.parquet; it has a_clean"),
        ("theirs", {"against_columns": ["a_x"]}, r"against_columns=\[a_x\] is not in .*theirs.parquet; it has b_clean"),
        ("theirs", {"columns": ["architecture"]}, r"columns=\[architecture\] is not in"),
    ],
)
def test_what_cannot_be_compared(save: Save, tmp_path: Path, other: str, settings: dict, message: str) -> None:
    mine = save("mine", SINGLES[:2], a_clean=[1.0, 2.0])
    save("theirs", SINGLES[:2], b_clean=[1.0, 2.0])
    save("far", SINGLES[3:5], b_clean=[1.0, 2.0])
    save("scores", SINGLES[:2], score=[1.0, 2.0])
    pq.write_table(pa.table({"architecture": ["resnet"], "b_clean": [1.0]}), tmp_path / "resnets.parquet")
    with pytest.raises(AGNetError, match=message) as refused:
        read(mine, tmp_path / f"{other}.parquet", **settings)
    assert "\n" not in str(refused.value)


def test_a_table_of_scores_is_compared_by_the_columns_named(save: Save) -> None:
    mine = save("mine", SINGLES[:5], a_clean=FIRST)
    found = compared(mine, save("scores", SINGLES[:5], score=FIRST[::-1]), against_columns=["score"])
    assert found.taus[0] == pytest.approx([-1])
    assert found.main == "score"


@pytest.mark.data
def test_standard_training_against_adversarial_training(published: Path) -> None:
    """What the field's two tables say of each other, over all strings."""
    other = published.with_name("nasbench201_robbench_cifar10.parquet")
    if not other.is_file():
        pytest.skip(f"no {other}")
    standard = {
        "cifar10_clean": 0.86, "cifar10_fgsm_eps8": 0.77, "cifar10_fgsm_eps1": 0.63, "cifar10_square_eps1": 0.53,
        "cifar10_pgd_eps1": 0.17,
    }  # fmt: skip
    columns = [*standard, "cifar10_apgd_ce_eps1"]
    data, pair = read(published, other, columns=columns, against_columns=["cifar10_at_pgd_eps8"])
    facts = agreement(data, pair, 1).facts
    assert (facts["common classes"], facts["common strings"]) == (6466, 15625)
    found = facts["tau with cifar10_at_pgd_eps8 over strings"]
    assert {name: round(found[name], 2) for name in standard} == standard
    assert abs(found["cifar10_apgd_ce_eps1"]) < 0.1
    assert round(facts["tau with cifar10_at_pgd_eps8"][BAR], 2) == 0.65
    assert facts["its rank among the strings"]["cifar10_pgd_eps1"] == 11977
    assert round(facts["cifar10_at_pgd_eps8 of the best cell by"]["cifar10_pgd_eps1"], 1) == 34.4
    assert round(facts["highest cifar10_at_pgd_eps8"], 1) == 48.1
