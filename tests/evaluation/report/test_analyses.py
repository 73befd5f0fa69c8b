"""The analyses on tables whose answers are known by construction."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from agnet.spaces.nasbench201 import isomorphism_key, live_edges, parse, to_string
from evaluation.report.best import best, best_row
from evaluation.report.confidence import confidence
from evaluation.report.correlation import correlation
from evaluation.report.kendall import tau, tau_matrix, tied
from evaluation.report.measurements import IDS, SPACE, Measurements
from evaluation.report.measures import measures
from evaluation.report.neighbours import neighbours, neighbours_of
from evaluation.report.spread import spread
from evaluation.report.two_convolutions import live_operations, two_convolution_classes, two_convolutions

Measure = Callable[..., Measurements]

RISING = [10.0, 20.0, 30.0, 40.0, 50.0]
FALLING = RISING[::-1]


def test_quantiles(measure: Measure) -> None:
    data = measure({"a_clean": RISING, "a_pgd_eps2": [1, 1, 2, 3, 9], "a_pgd_eps0.5": FALLING, "a_fog_s1": RISING})
    section = spread(data)
    table = section.tables["accuracy"]
    assert table["accuracy"] == ["clean", "pgd eps 0.5", "pgd eps 2", "fog s1"]
    assert table["median"] == [30, 30, 2, 30]
    assert table["quartile_1"] == [20, 20, 1, 20]
    assert [table["min"][2], table["max"][2]] == [1, 9]
    assert section.facts["medians"] == {"clean": 30, "pgd eps 0.5": 30, "pgd eps 2": 2, "fog mean": 30}
    assert [p.name for p in section.pictures] == ["accuracy_attacks", "accuracy_corruptions"]


def tau_by_pairs(x: np.ndarray, y: np.ndarray) -> float:
    pairs = list(itertools.combinations(range(len(x)), 2))
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in pairs]
    untied = [sum(s[k] != 0 for s in signs) for k in (0, 1)]
    return float(sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1]))


def test_tau_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (2, 30)).astype(np.float64)
    assert tau(x, y) == pytest.approx(tau_by_pairs(x, y), abs=1e-12)
    assert tau(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])) == pytest.approx(4 / 6)
    assert np.isnan(tau(np.ones(4), x[:4]))
    assert np.isnan(tau(np.array([1.0, np.nan]), np.array([1.0, 2.0])))
    assert tied(np.array([1.0, 1, 1, 2])) == 0.5


def test_tau_matrix_is_symmetric() -> None:
    columns = {n: np.array(v, dtype=np.float64) for n, v in {"up": RISING, "down": FALLING, "flat": [1] * 5}.items()}
    matrix = tau_matrix(columns)
    assert np.array_equal(matrix, matrix.T, equal_nan=True)
    assert matrix[:2, :2] == pytest.approx(np.array([[1, -1], [-1, 1]]))
    assert np.isnan(matrix[2]).all()


def test_correlations(measure: Measure) -> None:
    columns = {"a_test": RISING, "a_test_fgsm_eps1": RISING, "a_test_fgsm_eps2": FALLING}
    columns |= {f"a_test_{name}_s{s}": [v if s < 5 else 0 for v in FALLING] for name in ("fog", "snow") for s in (3, 5)}
    section = correlation(measure(columns))
    assert section.tables["kendall_attacks"]["fgsm eps 2"] == pytest.approx([-1, -1, 1])
    assert list(section.tables["kendall_corruptions"])[1:] == ["clean", "fog", "snow"]
    assert section.tables["kendall_corruptions"]["fog"] == pytest.approx([-1, 1, 1])
    against = dict(
        zip(section.tables["kendall_clean"]["accuracy"], section.tables["kendall_clean"]["tau"], strict=True)
    )
    assert against["fgsm eps 1"] == pytest.approx(1)
    assert against["fog s3"] == pytest.approx(-1)
    assert np.isnan(against["snow s5"])
    assert section.tables["kendall_clean"]["tied_pairs"] == [0, 0, 0, 1, 0, 1]


def test_nothing_to_correlate(measure: Measure) -> None:
    section = correlation(measure({"a_test": RISING}))
    assert section.text
    assert not section.pictures
    assert not section.facts


def test_confidences(measure: Measure) -> None:
    nan = float("nan")
    data = measure(
        {
            "a_test": RISING,
            "a_test_confidence_right": [0.9] * 5,
            "a_test_pgd_eps1": FALLING,
            "a_test_pgd_eps1_confidence_right": [0.5, 0.6, 0.7, nan, nan],
            "a_test_pgd_eps1_confidence_wrong": [0.2, 0.4, nan, nan, nan],
        }
    )
    table = confidence(data).tables["confidence"]
    assert table["eps"] == [0, 1, 1]
    assert table["prediction"] == ["right", "right", "wrong"]
    assert table["mean"] == pytest.approx([0.9, 0.6, 0.3])
    assert table["classes"] == [5, 3, 2]


def test_no_confidences_are_said(measure: Measure) -> None:
    section = confidence(measure({"a_test": RISING, "a_test_pgd_eps1": RISING}))
    assert section.text == "The table has no confidences of a under attacks."
    assert not section.pictures


def test_best_cells(measure: Measure) -> None:
    data = measure({"a_test": RISING, "a_test_pgd_eps1": [9, 8, 9, 1, 1], "a_test_pgd_eps2": [0, 5, 0, 0, 0]})
    assert best_row(data, data.criteria["clean"]) == 4
    assert best_row(data, data.criteria["pgd eps 1"]) == 2  # of two equals the one with the higher clean accuracy
    section = best(data)
    table = section.tables["best_cells"]
    found = {name: i for i, name in enumerate(table["criterion"])}
    assert list(found) == ["clean", "pgd eps 1", "pgd eps 2", "pgd mean", "adversarial mean"]
    assert [table["ties"][found[n]] for n in ("clean", "pgd eps 1", "pgd mean")] == [0, 1, 0]
    assert table["id"][found["adversarial mean"]] == data.ids[1]
    assert table["accuracy"][found["pgd mean"]] == 6.5
    assert table["its clean"][found["pgd mean"]] == 20
    assert section.facts["clean"] == {"cell": data.ids[4], "architecture": data.architectures[4], "accuracy": 50}


def test_a_network_that_ignores_its_images_is_no_best_cell(measure: Measure) -> None:
    """No attack takes it below chance."""
    dead = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"
    worse, better = SPACE.enumerate()[-1], "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    ids = [SPACE.isomorphs[IDS[cell]] for cell in (dead, worse, better)]
    data = measure({"a_test": [10.0, 90.0, 80.0], "a_test_pgd_eps8": [10.0, 1.0, 2.0]}, ids)
    assert data.connected.tolist() == [False, True, True]
    assert best_row(data, data.criteria["pgd eps 8"]) == 2
    assert best(data).tables["best_cells"]["ties"] == [0] * 4
    alone = measure({"a_test": [10.0]}, ids[:1])
    assert best_row(alone, alone.clean) == 0, "where there is nothing else"


def test_neighbours_of_the_best_cell(measure: Measure) -> None:
    operations = ["nor_conv_3x3"] * 6
    cell, near, far = (
        IDS[to_string([*["none"] * changed, *operations[changed:]])] for changed in (0, 1, 2)
    )  # the second differs on one edge, the third on two
    assert all(SPACE.isomorphs[i] == i for i in (cell,))
    rows = sorted(
        (SPACE.isomorphs[i], clean, robust) for i, clean, robust in ((cell, 90, 40), (near, 82.5, 41), (far, 1, 0))
    )
    data = measure({"a_test": [r[1] for r in rows], "a_test_pgd_eps1": [r[2] for r in rows]}, [r[0] for r in rows])
    table = neighbours(data).tables["neighbours_clean"]
    assert len(table["edge"]) == 24
    known = [i for i, change in enumerate(table["change of clean"]) if not np.isnan(change)]
    assert [(table["edge"][i], table["from"][i], table["to"][i]) for i in known] == [(1, "nor_conv_3x3", "none")]
    assert table["change of clean"][known[0]] == -7.5
    assert table["change of pgd mean"][known[0]] == 1
    assert table["evaluated_id"][known[0]] == SPACE.isomorphs[near]


def test_a_neighbour_of_the_same_class_changes_nothing(measure: Measure) -> None:
    cell = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    data = measure({"a_test": [50.0]}, [SPACE.isomorphs[IDS[cell]]])
    around = neighbours_of(data, cell)
    assert [n.architecture for n in around] == SPACE.neighbors(cell)
    same = [n for n in around if isomorphism_key(n.architecture) == isomorphism_key(cell)]
    assert {n.edge for n in same} >= {2, 4}  # edges out of a dead node
    assert all(n.change(data.clean, 0) == 0 for n in same)


def test_408_classes_have_two_3x3_and_no_1x1() -> None:
    classes = two_convolution_classes()
    assert len(classes) == 408
    for number in classes:
        cell = SPACE.enumerate()[number]
        live = [op for op, alive in zip(parse(cell), live_edges(cell), strict=True) if alive]
        assert (live.count("nor_conv_3x3"), live.count("nor_conv_1x1")) == (2, 0)
        assert SPACE.isomorphs[number] == number
    strings = [parse(SPACE.enumerate()[n]) for n in sorted(set(SPACE.isomorphs))]
    assert sum(s.count("nor_conv_3x3") == 2 and "nor_conv_1x1" not in s for s in strings) == 405  # dead edges included


def test_operations_of_the_best_of_the_408(measure: Measure) -> None:
    ids = sorted(set(SPACE.isomorphs))
    classes = two_convolution_classes()
    wanted = [n for n in classes if live_operations(n)[0] == live_operations(n)[5] == "nor_conv_3x3"]
    assert 20 <= len(wanted) < len(classes)
    robust = [60.0 if i in wanted else 99.0 if i not in classes else 20.0 for i in ids]
    section = two_convolutions(measure({"a_test": robust, "a_test_pgd_eps1": robust}, ids))
    assert section.facts["evaluated"] == 408
    assert section.facts["lowest mean adversarial accuracy"] == 20
    assert section.facts["highest mean adversarial accuracy"] == 60
    assert section.facts["on edges 1 to 6 of the best 20"]["3x3"] == [20, 0, 0, 0, 0, 20]
    edges = section.tables["two_convolutions_edges"]
    assert sum(edges["all: nor_conv_3x3"]) == 2 * 408
    assert edges["all: nor_conv_1x1"] == [0] * 6
    assert section.tables["two_convolutions"]["id"][:20] == wanted[:20]


def test_a_table_without_any_of_the_408(measure: Measure) -> None:
    classes = two_convolution_classes()
    other = next(i for i in sorted(set(SPACE.isomorphs)) if i not in classes)
    section = two_convolutions(measure({"a_test": [1.0], "a_test_pgd_eps1": [1.0]}, [other]))
    assert "0 of them were evaluated" in section.text
    assert not section.pictures


def test_measures_and_costs(measure: Measure) -> None:
    columns = {
        "a_test": RISING,
        "a_test_pgd_eps1": FALLING,
        "a_test_fog_s1": RISING,
        "a_jacobian_frobenius_initialised": FALLING,
        "a_hessian_input_top1_trained": [1, 2, float("nan"), 4, 5],
    }
    table = measures(measure(columns, costs={"parameters": RISING})).tables["measures"]
    assert table["accuracy"] == ["clean", "pgd eps 1", "pgd mean", "adversarial mean", "fog mean", "corruption mean"]
    assert table["jacobian frobenius, initialised"] == pytest.approx([-1, 1, 1, 1, -1, -1])
    assert table["hessian input top1, trained"] == pytest.approx([1, -1, -1, -1, 1, 1])
    assert table["parameters"] == pytest.approx([1, -1, -1, -1, 1, 1])


@pytest.mark.parametrize(("y", "expected"), [([1.0, 2.0], 1.0), ([2.0, 1.0], -1.0), ([1.0, 1.0], np.nan)])
def test_tau_of_two_classes(y: list[float], expected: float) -> None:
    assert tau(np.array([50.0, 60.0]), np.array(y)) == pytest.approx(expected, nan_ok=True)
