"""A search without a table: what is evaluated, kept, reported and refused."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from agnet.errors import ConfigurationError, TaskError
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.objective import MeasuredObjective, MeasuredReport
from evaluation.networks.nasbench201 import CellNetwork
from evaluation.production.configured import build_protocol
from evaluation.production.store import Store
from evaluation.production.unit import Unit, UnitEvaluator, UnitRecord
from search.run import execute

SMALL = [
    "objective=live",
    "executor@objective.executor=inline",
    "objective.protocol.dataset.num_valid=40",
    "objective.protocol.dataset.num_test=30",
    "objective.protocol.network.channels=2",
    "objective.protocol.recipe.epochs=1",
    "objective.protocol.recipe.batch_size=256",
    "objective.protocol.attack.fgsm.eps_255=[16]",
    "objective.protocol.attack.pgd.steps=1",
]


def composed(*overrides: str) -> Any:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        return compose("search", overrides=[*SMALL, *overrides])


def built(*overrides: str) -> tuple[MeasuredObjective, MeasuredReport]:
    return instantiate(composed(*overrides).objective, _convert_="all")


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Unit]:
    """Networks in the order in which they are evaluated."""
    units: list[Unit] = []
    real = UnitEvaluator._examine

    def spy(self: UnitEvaluator, unit: Unit, network: CellNetwork) -> UnitRecord:
        units.append(unit)
        return real(self, unit, network)

    monkeypatch.setattr(UnitEvaluator, "_examine", spy)
    return units


def isomorphs() -> tuple[str, str]:
    """Two strings of one class, the second its representative."""
    space = NASBench201()
    cell = next(a for a in space.enumerate() if space.canonical(a) != a)
    return cell, space.canonical(cell)


def test_values_are_those_of_the_evaluator(tmp_path: Path, evaluated: list[Unit]) -> None:
    """One network a class, whichever member is asked for; what is known is not evaluated again."""
    objective, report = built(f"objective.store={tmp_path}", "objective.maximize=[live_valid,live_valid_fgsm_eps16]")
    cell, representative = isomorphs()
    other = NASBench201().enumerate()[11]
    values = objective([cell, other, representative])
    unit = Unit(representative, 0)
    assert sorted(map(str, evaluated)) == sorted(map(str, (unit, Unit(NASBench201().canonical(other), 0))))
    record = Store(tmp_path, build_protocol(composed().objective.protocol)).find([unit]).records[unit]
    assert values[0].tolist() == [record.columns["live_valid"], record.columns["live_valid_fgsm_eps16"]]
    assert values[0].tolist() == values[2].tolist()
    found = report(cell)
    assert found["live_test"] == record.columns["live_test"]
    assert found["parameters"] > 0
    assert len(evaluated) == 2


def test_the_goal_s_columns_are_all_that_a_search_sees(tmp_path: Path) -> None:
    objective, _ = built(
        f"objective.store={tmp_path}",
        "objective.maximize=[live_valid]",
        "objective.minimize=[macs]",
        "objective.constraints={live_cpu_latency_ms: {max: 5}}",
        "objective.report=[]",
    )
    assert objective.goal.columns == ("live_valid", "macs", "live_cpu_latency_ms")
    assert objective([NASBench201().enumerate()[11]]).shape == (1, 3)


def test_seeds_are_averaged(tmp_path: Path) -> None:
    cell = NASBench201().enumerate()[11]
    columns = "objective.maximize=[live_valid]"

    def value(seeds: str) -> float:
        objective, _ = built(f"objective.store={tmp_path}", columns, f"objective.seeds={seeds}", "objective.report=[]")
        return objective([cell]).item()

    assert value("[0,1]") == pytest.approx((value("[0]") + value("[1]")) / 2)


def test_a_search_resumes_and_reports(tmp_path: Path, evaluated: list[Unit]) -> None:
    cfg = composed(
        f"objective.store={tmp_path / 'store'}",
        "optimizer=random_search",
        "objective.maximize=[live_valid]",
        "objective.report=[live_test]",
        "budget=4",
        "initial=2",
        "batch=2",
        "plot=false",
    )
    result = execute(cfg, optimizer_name="random_search", run_directory=tmp_path / "run")
    assert result["queries"] == 4
    assert set(result["best"]["report"]) == {"live_test"}
    assert len(evaluated) == len(set(evaluated))
    count = len(evaluated)
    again = execute(cfg, optimizer_name="random_search", run_directory=tmp_path / "other run")
    assert again["best"] == result["best"]
    assert len(evaluated) == count, "another search finds the networks in the store"


def test_a_network_that_cannot_be_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: UnitEvaluator, unit: Unit, network: CellNetwork) -> UnitRecord:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(UnitEvaluator, "_examine", failing)
    objective, _ = built(f"objective.store={tmp_path}")
    with pytest.raises(TaskError, match=r"1 networks could not be evaluated, .*out of memory; .*delete .*failures"):
        objective([NASBench201().enumerate()[11]])


def test_a_measurement_that_does_not_exist(tmp_path: Path) -> None:
    objective, report = built(f"objective.store={tmp_path}")
    wider = dataclasses.replace(report, columns=("live_test_confidence_wrong_of_nothing",))
    with pytest.raises(TaskError, match="has no value"):
        wider(NASBench201().enumerate()[11])
    assert objective.goal.limits == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"maximize": ["live_vlaid"]}, "no column 'live_vlaid' under this protocol; there are live_valid, "),
        ({"maximize": ["live_valid"], "report": ["live_valid"]}, "both searched and only reported"),
        ({"maximize": []}, "nothing to optimise"),
        ({"report": ["digits_test"]}, "no column 'digits_test'"),
        ({"protocol": {"group_size": 16}}, "group_size=16; a search asks for single networks"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_bad_input(changes: Mapping[str, Any], said: str, tmp_path: Path) -> None:
    cfg = OmegaConf.merge(composed(f"objective.store={tmp_path}").objective, dict(changes))
    with pytest.raises(InstantiationException, match=said) as caught:
        instantiate(cfg, _convert_="all")
    assert isinstance(caught.value.__cause__, ConfigurationError)
