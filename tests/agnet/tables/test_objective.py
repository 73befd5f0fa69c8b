"""Objectives, limits and reports from tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from agnet.errors import ConfigurationError, TableError
from agnet.tables.goal import Goal, Limit
from agnet.tables.objective import read_objective


@pytest.fixture
def path(tmp_path: Path) -> Path:
    columns = {
        "architecture": ["a", "b", "c", "d"],
        "valid": [90.0, 80.0, 70.0, 60.0],
        "latency_ms": [5.0, 3.0, 1.0, None],
        "energy_mj": [9.0, 8.0, 7.0, 6.0],
        "test": [89.0, 79.0, None, 59.0],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_a_goal_turns_measurements_into_outcomes() -> None:
    limits = (Limit("ms", 4.0, upper=True), Limit("acc", 85.0, upper=False), Limit("mj", 0.0, upper=True))
    goal = Goal(("acc",), ("ms",), limits)
    assert goal.names == ("acc", "ms")
    assert goal.columns == ("acc", "ms", "mj")
    outcomes = goal.outcomes(torch.tensor([[90.0, 5.0, 2.0], [85.0, 4.0, 0.0]]).double())
    assert outcomes.values.tolist() == [[90.0, -5.0], [85.0, -4.0]]
    assert outcomes.slacks.tolist() == [[-0.25, pytest.approx(5 / 85), -2.0], [0.0, 0.0, 0.0]]  # of 1 for a bound of 0
    assert outcomes.feasible.tolist() == [False, True]
    assert goal.natural(outcomes.values).tolist() == [[90.0, 5.0], [85.0, 4.0]]
    assert [str(limit) for limit in limits] == ["ms <= 4", "acc >= 85", "mj <= 0"]


def test_a_limited_column_is_seen_and_no_other(path: Path) -> None:
    objective, report = read_objective(
        [path], ["valid"], report=["test"], constraints={"latency_ms": {"max": 3, "min": 0.5}}, missing="drop"
    )
    assert objective.table.columns == ("valid", "latency_ms")
    assert list(objective.table.rows) == objective.candidates() == ["a", "b", "c"]
    assert objective.outcomes.feasible.tolist() == [False, True, True]
    assert report("b") == {"test": 79.0}
    assert report("c") == {}  # has no value


def test_a_gap_in_what_is_only_reported_keeps_nothing_from_the_search(path: Path) -> None:
    objective, report = read_objective([path], ["valid"], report="all")
    assert len(objective.candidates()) == 4
    assert report("c").keys() == report("b").keys() - {"test"}


def test_limits_that_are_looked_up_restrict_the_candidates(path: Path) -> None:
    constraints = {"latency_ms": {"max": 3.0}}
    objective, _ = read_objective([path], ["valid"], constraints=constraints, missing="drop", protocol="looked_up")
    assert objective.candidates() == ["b", "c"]
    hopeless, _ = read_objective([path], ["valid"], constraints={"energy_mj": {"max": 3.0}}, protocol="looked_up")
    with pytest.raises(
        ConfigurationError, match=r"none of the 4.*energy_mj <= 3.*closest is d with energy_mj 6.*loosen"
    ):
        hopeless.candidates()


def test_all_that_is_not_searched_can_be_reported(path: Path) -> None:
    _, report = read_objective([path], ["valid"], constraints={"energy_mj": {"max": 9}}, report="all", missing="drop")
    assert report("a") == {"latency_ms": 5.0, "test": 89.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "nothing to optimise"),
        ({"maximize": ["valid"], "minimize": ["valid"]}, "valid appears more than once"),
        ({"maximize": ["valid"], "report": ["energy_mj"], "constraints": {"energy_mj": {"max": 1}}}, "one role"),
        ({"maximize": ["valid"], "report": "some"}, "objective.report=some"),
        (
            {"maximize": ["valid"], "protocol": "guessed"},
            "objective.protocol=guessed; choose one of learned, looked_up",
        ),
        ({"maximize": "valid"}, r"objective\.maximize=valid: write a list of columns, \[valid\]"),
        ({"minimize": "valid"}, r"objective\.minimize=valid: write a list"),
        ({"maximize": ["valid"], "missing": "zero"}, "objective.missing=zero; choose one of error, drop"),
        ({"maximize": ["valid"], "constraints": {"energy_mj": 4}}, r"energy_mj: 4: write \{energy_mj: \{min"),
        ({"maximize": ["valid"], "constraints": {"energy_mj": {}}}, "one of them or both"),
        ({"maximize": ["valid"], "constraints": {"energy_mj": {"most": 4}}}, "one of them or both"),
        ({"maximize": ["valid"], "constraints": {"energy_mj": {"max": "4"}}}, "'4' is not a finite number"),
        ({"maximize": ["valid"], "constraints": {"energy_mj": {"max": float("inf")}}}, "inf is not a finite number"),
        ({"maximize": ["valid"], "constraints": {"energy_mj": {"min": 5, "max": 4}}}, "min exceeds max"),
    ],
)
def test_goals_that_are_none(path: Path, settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_objective([path], **settings)


def test_an_unknown_limited_column_names_those_there_are(path: Path) -> None:
    with pytest.raises(TableError, match=r"no column 'watts'.*energy_mj"):
        read_objective([path], ["valid"], constraints={"watts": {"max": 1}})


def test_identities_are_of_the_values_read(tmp_path: Path) -> None:
    def read(**columns: list[object]) -> tuple[dict[str, str], dict[str, str]]:
        pq.write_table(
            pa.table({"architecture": ["a", "b"], "x": [1.0, 2.0], "y": [3.0, 4.0]} | columns), tmp_path / "i.parquet"
        )
        objective, report = read_objective([tmp_path / "i.parquet"], ["x"], report=["y"])
        return objective.identity(), report.identity()

    first = read()
    assert read(z=[0.0, 0.0]) == first
    assert read(x=[1.0, 2.5])[0] != first[0]
    assert read(x=[1.0, 2.5])[1] == first[1]
    assert read(architecture=["a", "c"])[0] != first[0]
    assert read_objective([tmp_path / "i.parquet"], ["x"])[1].identity() == {}
