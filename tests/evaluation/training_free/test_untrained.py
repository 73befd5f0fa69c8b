"""Measures of architectures: the objective, the command."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from agnet.errors import ConfigurationError, RunDirectoryError, UnreadableFile
from agnet.runtime.files import locked
from agnet.runtime.paths import CONF_DIR
from agnet.tables.table import read_metadata, read_table, write_table
from evaluation.measure import run
from evaluation.networks.darts.network import staged_network
from evaluation.training_free.objective import training_free_objective
from evaluation.training_free.row_log import RowLog
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
    with pytest.raises(UnreadableFile, match="is damaged"):
        measured(tmp_path / "x.parquet", "num_architectures=1")


def test_no_flipped_bit_and_no_moved_line_is_believed(tmp_path: Path) -> None:
    """Rows survive as they are or the log is refused; a torn or damaged end alone is measured again."""
    settings, path, draw = {"seed": 0, "images": "ab"}, tmp_path / "rows.jsonl", random.Random(0)
    log = RowLog(path, settings)
    rows = {name: {"ntk": draw.random(), "flops": draw.random()} for name in "abc"}
    for name, row in rows.items():
        log.append(name, row)
    whole = path.read_bytes()
    assert RowLog(path, settings).rows == rows
    refused = 0
    for _ in range(200):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        try:
            found = RowLog(path, settings).rows
            assert found == {name: rows[name] for name in found}
        except UnreadableFile:
            refused += 1
    assert refused > 190
    lines = whole.splitlines(keepends=True)
    for damaged in ([lines[0], lines[2], lines[1], lines[3]], [lines[0], *lines[2:]], lines[1:], [lines[0], *lines]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(UnreadableFile, match=r"line \d does not match its hash\); delete it to measure"):
            RowLog(path, settings)
    path.write_bytes(whole)
    with pytest.raises(RunDirectoryError, match="3 rows of other settings \\(images is 'ab' there and 'cd' here\\)"):
        RowLog(path, {"seed": 0, "images": "cd"})


def test_images_and_code_that_changed_meanwhile_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed measurement, then other images in the same file, or another measure under the same name."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_measures.py").write_text("def one(network, images, labels):\n    return 1.0\n")

    def images(seed: int) -> None:
        rng = np.random.default_rng(seed)
        pixels = rng.integers(256, size=(60, 8, 8, 3), dtype=np.uint8)
        np.savez(tmp_path / "mine.npz", images=pixels, labels=np.arange(60) % 3)

    images(0)
    command = ["dataset=npz", f"dataset.path={tmp_path / 'mine.npz'}", "num_architectures=2"]
    command += ["measures.jacov.num_images=8", "measures.jacov.function._target_=my_measures.one"]
    done: list[str] = []

    def killed(self: RowLog, architecture: str, row: Mapping[str, float]) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(architecture)
        append(self, architecture, row)

    append = RowLog.append
    monkeypatch.setattr(RowLog, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path / "x.parquet", *command)
    monkeypatch.setattr(RowLog, "append", append)
    images(1)
    with pytest.raises(RunDirectoryError, match=r"1 rows of other settings \(.*images is [0-9a-f]{12}\.\.\. there"):
        measured(tmp_path / "x.parquet", *command)
    images(0)
    source = (tmp_path / "my_measures.py").read_text()
    (tmp_path / "my_measures.py").write_text(source.replace("1.0", "2.0"))
    with pytest.raises(RunDirectoryError, match=r"other settings \(code\.my_measures\.one is"):
        measured(tmp_path / "x.parquet", *command)
    (tmp_path / "my_measures.py").write_text(source)
    measured(tmp_path / "x.parquet", *command)
    assert sorted(path.name for path in tmp_path.glob("x.*")) == ["x.parquet"]


def test_two_measurements_of_one_table_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agnet.runtime.files._PATIENCE", 0.1)
    with locked(tmp_path / "x.parquet.lock"), pytest.raises(RunDirectoryError, match="another process works in"):
        measured(tmp_path / "x.parquet", "num_architectures=1")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("network._target_=os.getcwd", "cannot build .*; give a function of an architecture and a shape"),
        ("network._target_=builtins.print", "gives a NoneType; give a function of an architecture and a shape"),
    ],
)
def test_what_is_no_measure_and_no_network(setting: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=words):
        measured(tmp_path / "x.parquet", "num_architectures=1", setting)


def test_a_place_that_cannot_be_written_is_named_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Untrained, "__call__", lambda *_: pytest.fail("it measures"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"table=.*/file/x\.parquet: this is no folder"):
        measured(tmp_path / "file" / "x.parquet", "num_architectures=1")


@pytest.mark.slow
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
