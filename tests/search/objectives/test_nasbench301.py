"""A model of the surrogate's form, made here: sums of codes, so that expected values can be added by hand."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agnet.errors import ConfigurationError, InvalidArchitecture
from agnet.runtime.paths import ROOT
from agnet.spaces.darts.genotype import PREFIX, to_configuration
from agnet.spaces.darts.notation import OPERATIONS
from agnet.spaces.darts.space import DARTS
from search.objectives import nasbench301
from search.objectives.nasbench301 import NASBench301Surrogate, nasbench301_objective

STORED = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"
DATA = ROOT.parent / "shared" / "data"


class Session:
    """Accuracy: the sum of all codes; seconds: the epoch."""

    asked = 0

    def __init__(self, path: str, options: Any) -> None:
        assert options.intra_op_num_threads == 1
        if not Path(path).read_bytes():
            raise RuntimeError("no model")

    def run(self, names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        Session.asked += 1
        codes, epoch = inputs["x_cat"], inputs["x_cont"]
        assert (codes.shape, codes.dtype) == ((1, 34), np.int32)
        assert (epoch.shape, epoch.dtype) == ((1, 1), np.float32)
        return [np.array([[codes.sum(), epoch[0, 0]]], np.float32)]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every category's code is the place of its column plus that of its value."""
    runtime = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=Session)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    codes = {}
    for column, key in enumerate(nasbench301._KEYS):
        values = ["#na#", *(OPERATIONS if key.startswith("edge") else (f"{u}_{v}" for v in range(5) for u in range(v)))]
        codes[f"NetworkSelectorDatasetInfo_COLON_darts_COLON_{key}"] = {
            v: 100 * column + i for i, v in enumerate(values)
        }
    (tmp_path / "codes.json").write_text(json.dumps(codes))
    (tmp_path / "model.onnx").write_bytes(b"x")
    return {"model": str(tmp_path / "model.onnx"), "encoding": str(tmp_path / "codes.json")}


def pairs(n: int) -> list[str]:
    return DARTS().sample(n, rng=torch.Generator().manual_seed(0))


def test_codes_of_all_columns_in_the_surrogates_order(files: dict[str, str]) -> None:
    [architecture] = pairs(1)
    active = {key.removeprefix(PREFIX): value for key, value in to_configuration(architecture).items()}
    codes = json.loads(Path(files["encoding"]).read_text())
    expected = sum(codes[STORED + k][v] for k, v in active.items())
    idle = sum(100 * column for column, key in enumerate(nasbench301._KEYS) if key not in active)
    [row] = NASBench301Surrogate(**files, epoch=50)([architecture])
    assert row == {"cifar10_valid": expected + idle, "train_time_s": 50}


def test_the_same_cells_are_asked_once(files: dict[str, str]) -> None:
    surrogate, before = NASBench301Surrogate(**files), Session.asked
    rows = surrogate([*pairs(3), *pairs(3)])
    assert rows[:3] == rows[3:]
    assert Session.asked == before + 3


def test_it_is_an_objective_whose_truth_is_free(files: dict[str, str]) -> None:
    objective, report = nasbench301_objective(**files, maximize=["cifar10_valid"], report=["train_time_s"])
    values = objective(pairs(4))
    assert values.shape == (4, 1)
    assert report(pairs(1)[0]) == {"train_time_s": 98}
    found = objective.look_up(pairs(4))
    assert found is not None
    positions, measured = found
    assert positions == [0, 1, 2, 3]
    assert torch.equal(measured, values)


def without(files: dict[str, str], key: str) -> dict[str, str]:
    return {**files, key: files[key] + ".gone"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: without(files, "model"), "no file objective.model="),
        (lambda files: without(files, "encoding"), "no file objective.encoding="),
        (lambda files: {**files, "encoding": str(ROOT / "checkpoints" / "MANIFEST.json")}, "give the surrogate's own"),
        (lambda files: {**files, "epoch": 0}, "objective.epoch=0"),
        (lambda files: {**files, "epoch": 99}, "objective.epoch=99"),
    ],
)
def test_bad_settings_are_named(files: dict[str, str], change: Callable[[dict[str, str]], Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        NASBench301Surrogate(**change(files))
    assert words in str(caught.value)


def test_another_model_is_named(files: dict[str, str]) -> None:
    Path(files["model"]).write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"model.onnx cannot be read: no model"):
        NASBench301Surrogate(**files)(pairs(1))


def test_a_missing_package_is_named(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigurationError, match="nasbench301"):
        NASBench301Surrogate(**files)(pairs(1))


def test_other_texts_are_refused(files: dict[str, str]) -> None:
    with pytest.raises(InvalidArchitecture):
        NASBench301Surrogate(**files)(["none"])


@pytest.mark.data
def test_the_surrogate_at_hand_ranks_as_the_official_one() -> None:
    """Kendall's tau .735 with the official XGB v1.0 on 1,218 pairs of cells, as the file's provenance states."""
    import ast
    import csv
    import gzip

    from scipy.stats import kendalltau

    from agnet.spaces.darts.genotype import from_pairs
    from agnet.spaces.darts.notation import CELLS, OPERATIONS, to_string

    pytest.importorskip("onnxruntime")
    model = DATA / "nasbench301_surrogate.onnx"
    if not model.is_file():
        pytest.skip(f"no {model}")
    surrogate = NASBench301Surrogate(model, DATA / "nasbench301_surrogate_encoding.json")
    with gzip.open(DATA / "nasbench301_xgb_predictions.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    compact = [ast.literal_eval(row["arch_compact"]) for row in rows]  # of either cell: pairs of source and operation
    named = [[from_pairs([(OPERATIONS[op], source) for source, op in cell]) for cell in pair] for pair in compact]
    cells = [to_string(dict(zip(CELLS, pair, strict=True))) for pair in named]
    ours = [row["cifar10_valid"] for row in surrogate(cells)]
    theirs = [float(row["val_accuracy_xgb_v1.0"]) for row in rows]
    assert kendalltau(ours, theirs).statistic == pytest.approx(0.735, abs=0.01)  # pyright: ignore
