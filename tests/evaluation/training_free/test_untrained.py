"""Measures of architectures: the objective, the command."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError
from agnet.paths import CONF_DIR
from agnet.tables import read_metadata, read_table, write_table
from evaluation.measure import run
from evaluation.training_free.objective import training_free_objective

CELLS = [
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
]


def composed(root: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        return compose(root, overrides=list(overrides))


def built(**changes: Any) -> Any:
    cfg = OmegaConf.to_container(composed("search", "objective=training_free").objective, resolve=True)
    assert isinstance(cfg, dict)
    arguments = {str(key): value for key, value in cfg.items() if not str(key).startswith("_")}
    return training_free_objective(**{**arguments, "repeats": 1, **changes})


def test_a_larger_cell_has_more_regions_and_the_same_question_one_answer() -> None:
    objective, report = built()
    values = objective(CELLS)
    assert values.shape == (2, 2)
    assert float(values[0, 0]) > float(values[1, 0])  # linear regions
    assert built()[0](CELLS[::-1]).equal(values.flip(0))
    assert not built(seed=1)[0](CELLS).equal(values)
    assert report(CELLS[0]) == {}


def test_accuracies_are_reported_and_never_searched(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"architecture": CELLS, "accuracy": [90.0, 50.0]}), {})
    tables = [str(tmp_path / "a.parquet")]
    objective, report = built(tables=tables, report=["accuracy"])
    assert objective.goal.columns == ("linear_regions", "ntk")
    assert report(CELLS[1]) == {"accuracy": 50.0}
    with pytest.raises(ConfigurationError, match="no column 'accuracy'"):
        built(tables=tables, maximize=["accuracy"])


def test_the_command_writes_a_table(tmp_path: Path) -> None:
    path = tmp_path / "new" / "measures.parquet"
    run(
        composed(
            "measure", f"table={path}", "num_architectures=3", "repeats=1", "measure@measures=[synflow,parameters]"
        )
    )
    table = read_table([path], ["synflow", "parameters"])
    assert table.values.shape == (3, 2)
    assert read_metadata(path)["dataset"] == "digits"


@pytest.mark.parametrize("setting", ["num_architectures=0", "num_architectures=20000", "seed=-1", "repeats=0"])
def test_settings_out_of_range_are_named(setting: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        run(composed("measure", f"table={tmp_path / 'x.parquet'}", "num_architectures=1", setting))
