"""The bridge to the official package, with a package of the same calls in its place."""

import os
import sys
from pathlib import Path

import pytest
import torch

from agnet.errors import ConfigurationError, TaskError
from agnet.spaces.darts.notation import parse
from agnet.spaces.darts.space import DARTS
from search.objectives.nasbench301_official import Ensembles, nasbench301_official_objective

PACKAGE = """
import pathlib, numpy

print("==> chatter that is no answer")

class Model:
    def __init__(self, folder):
        self.weight = float((pathlib.Path(folder) / "weight").read_text())

    def predict(self, config, representation, with_noise=True):
        assert representation == "genotype"
        assert config.normal_concat == config.reduce_concat == [2, 3, 4, 5]
        if ("avg_pool_3x3", 0) in config.normal:
            raise SystemExit(3)
        sources = sum(source for _, source in config.normal) + 100 * sum(source for _, source in config.reduce)
        noise = numpy.random.normal() if with_noise else 0.0
        return numpy.array([self.weight * sources + noise])

load_ensemble = Model
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "nasbench301.py").write_text(PACKAGE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "package"), os.environ.get("PYTHONPATH", "")]))
    for name, weight in (("xgb", 1), ("runtime", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weight").write_text(str(weight))
    return {"python": sys.executable, "performance": str(tmp_path / "xgb"), "runtime": str(tmp_path / "runtime")}


def pairs(n: int) -> list[str]:
    drawn = DARTS().sample(20 * n, rng=torch.Generator().manual_seed(0))
    return [a for a in drawn if "|avg_pool_3x3~0|" not in a.split("/")[0]][:n]


def expected(architecture: str) -> float:
    normal, reduce = (sum(source for node in cell for _, source in node) for cell in parse(architecture).values())
    return normal + 100 * reduce


def test_predictions_by_column(files: dict[str, str]) -> None:
    objective, report = nasbench301_official_objective(**files, maximize=["cifar10_valid"], report=["train_time_s"])
    asked = pairs(3)
    assert objective(asked)[:, 0].tolist() == [expected(a) for a in asked]
    assert report(asked[0]) == {"train_time_s": 2 * expected(asked[0])}


def test_noise_belongs_to_the_seed_and_the_cells(files: dict[str, str]) -> None:
    asked = pairs(3)

    def noise(seed: int, order: list[str]) -> dict[str, float]:
        ensembles = Ensembles(sys.executable, {"a": files["performance"]}, noise=True, seed=seed)
        return {a: row["a"] - expected(a) for a, row in zip(order, ensembles(order), strict=True)}

    first = noise(0, asked)
    assert noise(0, asked[::-1]) == first
    assert noise(1, asked) != first
    assert len(set(first.values())) == 3


def test_the_end_of_the_other_process_is_told(files: dict[str, str]) -> None:
    objective, _ = nasbench301_official_objective(**files, maximize=["cifar10_valid"])
    node = "|sep_conv_3x3~0|sep_conv_3x3~1|"
    cell = "+".join(["|avg_pool_3x3~0|sep_conv_3x3~1|", node, node, node])
    with pytest.raises(TaskError, match="ended with status 3"):
        objective([f"{cell}/{cell}"])


def test_without_the_package(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    objective, _ = nasbench301_official_objective(**files, maximize=["cifar10_valid"])
    with pytest.raises(TaskError, match="ended with status 1"):
        objective(pairs(1))


def test_bad_settings(files: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"objective\.python=None"):
        nasbench301_official_objective(None, None)
    for key in files:
        with pytest.raises(ConfigurationError, match="nowhere does not exist"):
            nasbench301_official_objective(**{**files, key: "nowhere"}, maximize=["cifar10_valid"])
    with pytest.raises(ConfigurationError, match="train_time_s"):
        nasbench301_official_objective(files["python"], files["performance"], maximize=["train_time_s"])
