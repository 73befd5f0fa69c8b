"""The result file: its keys are a contract with its readers."""

import json
from pathlib import Path

import pytest

from search.history import History, Query, Round
from search.result import make_result, read_result, summary, write_result


@pytest.fixture
def history() -> History:
    """Accuracy up, latency down: cells 1 and 3 are equal and best, cell 2 is the fastest, cell 0 is dominated."""
    history = History(["a_valid", "b_latency_ms"], [True, False])
    values = [(70.0, 3.0), (90.0, 2.0), (50.0, 1.0), (90.0, 2.0)]
    history.extend(
        Query(i, f"cell {i}", {"a_valid": a, "b_latency_ms": b}, i // 2, 0.5) for i, (a, b) in enumerate(values)
    )
    history.rounds += [Round(2, 1.5, None, {}), Round(4, 2.5, 0.25, {"pool_size": 7.0})]
    return history


def result(history: History) -> dict[str, object]:
    return make_result(
        history,
        space="some_space",
        optimizer="some_optimizer",
        seed=4,
        budget=4,
        report=lambda architecture: {"a_test": float(architecture[-1])},
        pretrained={"name": "generator"},
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
        "best": entry(1, 90.0, 2.0),  # the earlier of two equals
        "pareto": [entry(1, 90.0, 2.0), entry(3, 90.0, 2.0), entry(2, 50.0, 1.0)],
        "surrogate_spearman": [None, 0.25],
        "pretrained": {"name": "generator"},
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
        "  objective  a_valid 90 %, b_latency_ms 2 ms",
        "  report     a_test 1 %",
        "  Pareto front of 3 architectures",
    ]
