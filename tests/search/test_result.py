"""The result file: its keys are a contract with its readers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from agnet.tables.goal import Goal, Limit
from agnet.tables.objective import Objective
from agnet.tables.table import Table
from search.ground_truth import GroundTruth
from search.history import History, Query, Round
from search.result import make_result, read_result, summary, write_result
from search.selections import select


@pytest.fixture
def history() -> History:
    """Accuracy up, latency down: cells 1 and 3 are equal and best, cell 2 is the fastest, cell 0 is dominated."""
    history = History(Goal(("a_valid",), ("b_latency_ms",)))
    values = [(70.0, 3.0), (90.0, 2.0), (50.0, 1.0), (90.0, 2.0)]
    history.extend(
        Query(i, f"cell {i}", {"a_valid": a, "b_latency_ms": b}, i // 2, 0.5) for i, (a, b) in enumerate(values)
    )
    history.rounds += [Round(2, 1.5, None, {}, 0.5), Round(4, 2.5, 0.25, {"pool_size": 7.0}, 0.75)]
    return history


def result(history: History, **more: Any) -> dict[str, Any]:
    return make_result(
        history,
        space="some_space",
        optimizer="some_optimizer",
        seed=4,
        budget=4,
        report=lambda architecture: {"a_test": float(architecture[-1])},
        pretrained={"name": "generator"},
        **more,
    )


def test_content(history: History, tmp_path: Path) -> None:
    def entry(cell: int, accuracy: float, latency: float) -> dict[str, object]:
        objective = {"a_valid": accuracy, "b_latency_ms": latency}
        return {"architecture": f"cell {cell}", "objective": objective, "report": {"a_test": float(cell)}}

    expected = {
        "space": "some_space",
        "optimizer": "some_optimizer",
        "seed": 4,
        "budget": 4,
        "queries": 4,
        "wall_seconds": 2.5,
        "optimizer_seconds": 1.25,
        "best": entry(1, 90.0, 2.0),  # the earlier of two equals
        "pareto": [entry(1, 90.0, 2.0), entry(3, 90.0, 2.0), entry(2, 50.0, 1.0)],
        "surrogate_spearman": [None, 0.25],
        "pretrained": {"name": "generator"},
        "selections": {
            "knee": entry(1, 90.0, 2.0),
            "best a_valid": entry(1, 90.0, 2.0),
            "best b_latency_ms": entry(2, 50.0, 1.0),
        },
    }
    write_result(tmp_path / "result.json", result(history))
    assert read_result(tmp_path / "result.json") == expected
    assert list(json.loads((tmp_path / "result.json").read_text())) == list(expected)


def test_no_number_that_json_lacks(history: History, tmp_path: Path) -> None:
    broken = result(history) | {"wall_seconds": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path / "result.json", broken)
    assert list(tmp_path.iterdir()) == []


def test_the_summary_has_units(history: History) -> None:
    assert summary(result(history)).splitlines() == [
        "best of 4 queries (some_optimizer, 2.5 s): cell 1",
        "  objective    a_valid 90 %, b_latency_ms 2 ms",
        "  report       a_test 1 %",
        "  Pareto front of 3 architectures",
        "  knee: a_valid 90 %, b_latency_ms 2 ms",
        "  best a_valid: a_valid 90 %, b_latency_ms 2 ms",
        "  best b_latency_ms: a_valid 50 %, b_latency_ms 1 ms",
    ]


def limited(bound: float) -> tuple[History, GroundTruth]:
    """Accuracy up under a latency limit; the table holds one cell more than was queried."""
    goal = Goal(("a_valid",), limits=(Limit("b_latency_ms", bound, upper=True),))
    rows = [(70.0, 3.0), (90.0, 2.0), (50.0, 1.0), (95.0, 2.5)]
    table = Table(goal.columns, torch.tensor(rows).double(), {f"cell {i}": i for i in range(4)})
    history = History(goal)
    history.extend(Query(i, f"cell {i}", dict(zip(goal.columns, rows[i], strict=True)), 0, 0.5) for i in range(3))
    return history, GroundTruth(Objective(goal, table))


def test_the_best_under_a_limit() -> None:
    history, exact = limited(2.5)
    found = result(history, exact=exact)
    assert found["best"]["objective"] == {"a_valid": 90.0}
    assert found["best"]["constraints"] == {"b_latency_ms": 2.0}
    assert found["constraints"] == {
        "limits": ["b_latency_ms <= 2.5"],
        "protocol": "learned",
        "feasible": 2,
        "attainable": True,
    }
    assert found["exact"] == {"optimum": {"a_valid": 95.0}}
    assert "closest" not in found
    assert "2 of them with b_latency_ms <= 2.5 [learned]" in summary(found)


@pytest.mark.parametrize(("bound", "attainable"), [(0.9, False)])
def test_nothing_feasible_is_said_with_the_closest(bound: float, attainable: bool) -> None:
    history, exact = limited(bound)
    found = result(history, exact=exact, protocol="looked_up")
    assert (found["best"], found["pareto"]) == (None, [])
    assert found["closest"]["architecture"] == "cell 2"
    assert found["constraints"]["attainable"] is attainable
    said = summary(found)
    assert said.startswith("nothing feasible of 3 queries")
    assert "cell 2" in said
    assert "no architecture of the table keeps these limits" in said
    assert "looked_up" in said
    write = json.loads(json.dumps(found, allow_nan=False))
    assert write["best"] is None


def test_nothing_feasible_yet_is_not_nothing_at_all() -> None:
    history, exact = limited(2.5)
    late = History(history.goal)
    late.extend(history.queries[:1])
    found = result(late, exact=exact)
    assert found["best"] is None
    assert found["constraints"]["attainable"]
    assert "no architecture of the table" not in summary(found)


def test_the_best_under_several_bounds(history: History) -> None:
    found = result(history, under={"b_latency_ms": [0.5, 1.0, 2.0]})["under"]
    cells = [row["best"] and row["best"]["architecture"] for row in found]
    assert cells == [None, "cell 2", "cell 1"]
    assert [row["max"] for row in found] == [0.5, 1.0, 2.0]


def test_hypervolume_per_query_against_the_printed_reference(history: History) -> None:
    """The box goes from (50, 3) to (90, 1): cells in units of it are (0.5, 0), (1, 0.5), (0, 1), (1, 0.5)."""
    rows = [list(query.values.values()) for query in history.queries]
    table = Table(history.goal.columns, torch.tensor(rows).double(), {q.architecture: q.index for q in history.queries})
    found = result(history, exact=GroundTruth(Objective(history.goal, table)))
    assert found["hypervolume"] == {
        "reference": {"a_valid": 50.0, "b_latency_ms": 3.0},
        "ideal": {"a_valid": 90.0, "b_latency_ms": 1.0},
        "exact": 0.5,
        "found": [0.0, 0.5, 0.5, 0.5],
        "share": [0.0, 1.0, 1.0, 1.0],
    }
    assert found["exact"] == {"optimum": {"a_valid": 90.0, "b_latency_ms": 1.0}, "front": 2, "hypervolume": 0.5}
    assert "100.0% of the exact hypervolume (reference a_valid 50 %, b_latency_ms 3 ms)" in summary(found)


def test_the_knee_bulges_most() -> None:
    history = History(Goal(("a", "b")))
    points = [(0.0, 10.0), (3.0, 9.0), (8.0, 7.0), (10.0, 0.0), (5.0, 5.0)]
    history.extend(Query(i, f"cell {i}", {"a": a, "b": b}, 0, 0.0) for i, (a, b) in enumerate(points))
    chosen = select(history)
    assert {name: query.index for name, query in chosen.items()} == {"knee": 2, "best a": 3, "best b": 0}
