"""What every measure of ``conf/measure`` must do."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from agnet.runtime.paths import CONF_DIR
from evaluation.data.bundled import digits
from evaluation.networks.nasbench201 import CellNetwork
from evaluation.training_free.measure import Measure
from evaluation.training_free.objective import training_free_objective
from evaluation.training_free.untrained import Untrained

FILES = sorted((CONF_DIR / "measure").glob("*.yaml"))
LARGE = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def entry(request: pytest.FixtureRequest) -> tuple[str, Measure]:
    ((name, measure),) = OmegaConf.load(request.param).items()
    assert name == request.param.stem
    return name, instantiate(measure, _convert_="all")


def test_a_cell_that_nothing_passes_is_worse_and_finite(entry: tuple[str, Measure]) -> None:
    name, measure = entry
    large, dead = (row[name] for row in Untrained({name: measure}, digits(), CellNetwork, repeats=1)([LARGE, DEAD]))
    assert math.isfinite(large)
    assert math.isfinite(dead)
    assert large > dead if measure.direction == "maximize" else large < dead


def test_seeds_decide_and_nothing_else(entry: tuple[str, Measure]) -> None:
    name, measure = entry

    def value(seed: int) -> float:
        return Untrained({name: measure}, digits(), CellNetwork, seed=seed, repeats=1)([LARGE])[0][name]

    state = torch.random.get_rng_state()
    first = value(0)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    assert value(0) == first
    assert (value(1) == first) != measure.random


def test_a_search_can_follow_it(entry: tuple[str, Measure]) -> None:
    name, measure = entry
    measures: Any = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "measure" / f"{name}.yaml"))
    network = {"_target_": "evaluation.CellNetwork", "_partial_": True}
    goal: Any = {measure.direction: [name]}
    objective, _ = training_free_objective(measures, {"_target_": "evaluation.digits"}, network, repeats=1, **goal)
    dead, large = objective([DEAD, LARGE]).flatten().tolist()
    assert large > dead if measure.direction == "maximize" else large < dead


def test_it_says_what_it_is(entry: tuple[str, Measure]) -> None:
    path = CONF_DIR / "measure" / f"{entry[0]}.yaml"
    assert Path(path).read_text().startswith("# ")
