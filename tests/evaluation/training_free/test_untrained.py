"""Measures of architectures: the objective, the command."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError, RunDirectoryError
from agnet.runtime.paths import CONF_DIR
from agnet.tables.table import read_metadata, read_table, write_table
from evaluation.measure import run
from evaluation.networks.darts.network import staged_network
from evaluation.training_free.objective import training_free_objective
from evaluation.training_free.untrained import Untrained
from search.run import execute

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


def measured(path: Path, *overrides: str) -> None:
    run(composed("measure", f"table={path}", "repeats=1", "measure@measures=[jacov,parameters]", *overrides))


def test_a_killed_measurement_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    measured(whole, "num_architectures=4")
    calls = []
    measure = Untrained.__call__

    def counted(self: Untrained, architectures: Sequence[str]) -> list[Mapping[str, float]]:
        calls.extend(architectures)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(self, architectures)

    monkeypatch.setattr(Untrained, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        measured(killed, "num_architectures=4")
    assert not killed.exists()
    log = tmp_path / "killed.parquet.rows.jsonl"
    log.write_bytes(log.read_bytes()[:-5])  # the last line is torn
    with pytest.raises(RunDirectoryError, match="1 rows of other settings"):
        measured(killed, "num_architectures=4", "measures.jacov.num_images=8")
    measured(killed, "num_architectures=4")
    assert pq.read_table(killed).equals(pq.read_table(whole))
    assert len(calls) == 3 + 3, "one row had been kept"
    assert not log.exists()


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet.rows.jsonl").write_text("{}\n[1, 2]\n", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="is damaged"):
        measured(tmp_path / "x.parquet", "num_architectures=1")


def test_pairs_of_cells_of_darts(tmp_path: Path) -> None:
    """Every measure on the network of two cells; a pair of convolutions has more parameters than one of skips."""
    names = sorted(path.stem for path in (CONF_DIR / "measure").glob("*.yaml"))
    cfg = composed("measure", "table=none", f"measure@measures=[{','.join(names)}]")
    measures = {str(name): instantiate(measure, _convert_="all") for name, measure in cfg.measures.items()}
    untrained = Untrained(measures, instantiate(cfg.dataset), staged_network, seed=0, repeats=1)
    cell = {name: "+".join([f"|{name}~0|{name}~1|"] * 4) for name in ("sep_conv_3x3", "skip_connect", "max_pool_3x3")}
    rows = untrained(
        [f"{cell['sep_conv_3x3']}/{cell['max_pool_3x3']}", f"{cell['skip_connect']}/{cell['skip_connect']}"]
    )
    assert rows[0].keys() == set(names)
    for name in ("parameters", "flops", "synflow", "naswot"):
        assert rows[0][name] > rows[1][name], name


@pytest.mark.parametrize("setting", ["num_architectures=0", "num_architectures=20000", "seed=-1", "repeats=0"])
def test_settings_out_of_range_are_named(setting: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        run(composed("measure", f"table={tmp_path / 'x.parquet'}", "num_architectures=1", setting))


def test_a_search_needs_no_table(tmp_path: Path) -> None:
    plain = ["budget=6", "initial=4", "batch=2", "progress=false", "plot=false"]
    cfg = composed("search", "objective=training_free", "objective.repeats=1", "optimizer=random_search", *plain)
    result = execute(cfg, optimizer_name="random_search", run_directory=tmp_path / "run")
    assert result["queries"] == 6
    assert set(result["best"]["objective"]) == {"linear_regions", "ntk"}
