"""Small files in the formats of the benchmark's logs and of the extract."""

import gzip
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agnet.errors import TableError
from agnet.tables.table import read_metadata, read_table
from search.importers.nasbench_nlp import LOSSES, RECIPES, NASBenchNLPRuns

RNN = {
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["f"]},
}
OTHER_NAMES = {
    "node_7": {"op": "linear", "input": ["h_prev_0", "x"]},
    "h_new_0": {"op": "activation_tanh", "input": ["node_7"]},
}
SIGM = {**RNN, "h_new_0": {"op": "activation_sigm", "input": ["f"]}}
DANGLING = {**RNN, "g": {"op": "activation_sigm", "input": ["f"]}}
CELL, SIGM_CELL = "linear(0,1)|tanh(4)|output(*5)", "linear(0,1)|sigm(4)|output(*5)"


def log(recipe: dict[str, Any], valid: list[float], test: list[float], **changes: Any) -> dict[str, Any]:
    """What ``main_one_model_train.py`` writes, without the settings of the training that are not read."""
    return {
        "data": "data/ptb",
        "recepie_id": 17,
        "epochs": 2,
        "nhid": 600,
        "recepie": json.dumps(recipe),
        "experiment_id": 999931467,
        "init_time": "2020-04-20_22-48-20",
        "num_params": 7_493_200,
        "wall_times": [100.0] * len(test),
        "train_losses": test,
        "val_losses": valid,
        "test_losses": test,
        "status": "OK",
        **changes,
    }


LOGS = {
    "log_stats_model_1000001_2020_1.json": log(RNN, [6.0, 4.6], [6.0, 4.5], wall_times=[100.0, 140.0]),
    "log_stats_model_1002001_2020_2.json": log(OTHER_NAMES, [6.0, 4.8], [6.0, 4.7]),
    "log_stats_model_1004001_2020_3.json": log(RNN, [6.0], [6.0], status="Exception: CUDA error"),
    "log_stats_model_1000002_2020_4.json": log(SIGM, [math.nan], [math.nan], status="loss is nan!", num_params=7),
}


def write(folder: Path, logs: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in logs.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def zipped(path: Path, logs: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in logs.items():
            archive.writestr(f"logs/{name}", json.dumps(content))
    return path


def rows(path: Path, **settings: Any) -> dict[str, dict[str, Any]]:
    table = NASBenchNLPRuns(**settings).read(path, progress=False)
    return {row.pop("architecture"): row for row in table.to_pylist()}


def test_means_over_trainings_that_did_not_diverge(tmp_path: Path) -> None:
    found = rows(write(tmp_path / "logs", LOGS))
    assert set(found) == {CELL, SIGM_CELL}
    assert found[CELL] == pytest.approx(
        {
            **{"ptb_valid_loss": 4.7, "ptb_valid_perplexity": math.exp(4.7), "ptb_valid_score": 95.3},
            **{"ptb_test_loss": 4.6, "ptb_test_perplexity": math.exp(4.6), "ptb_test_score": 95.4},
            **{"n_seeds": 2, "n_diverged": 1, "parameters": 7_493_200, "train_time_s": 220.0},
        }
    )
    diverged = found[SIGM_CELL]
    assert (diverged["n_seeds"], diverged["n_diverged"], diverged["parameters"]) == (0, 1, 7)
    assert all(diverged[name] is None for name in diverged if name.startswith("ptb_") or name == "train_time_s")


def test_archives_and_folders_of_them_count_a_file_once(tmp_path: Path) -> None:
    plain = rows(write(tmp_path / "logs", LOGS))
    assert rows(zipped(tmp_path / "logs.zip", LOGS)) == plain
    both = tmp_path / "release"
    zipped(both / "train_logs_single_run" / "logs.zip", dict(list(LOGS.items())[:2]))
    zipped(both / "train_logs_multi_runs" / "logs.zip", LOGS)
    assert rows(both) == plain


def test_another_text_has_columns_of_its_own(tmp_path: Path) -> None:
    wiki = {"a.json": log(RNN, [5.0, 5.0], [5.1, 5.1], data="data/wikitext-2/")}
    assert rows(write(tmp_path / "wiki", wiki))[CELL]["wikitext2_test_loss"] == 5.1
    with pytest.raises(TableError, match="trainings on wikitext2 and on ptb"):
        rows(write(tmp_path / "wiki", {"b.json": LOGS["log_stats_model_1000001_2020_1.json"]}))


def test_recipes_that_are_no_cells_are_refused_or_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "logs", {**LOGS, "z.json": log(DANGLING, [5.0, 4.0], [5.0, 4.0])})
    with pytest.raises(TableError, match=r"1 of 4 recipes are no cells.*importer\.partial=true"):
        rows(folder)
    assert set(rows(folder, partial=True)) == {CELL, SIGM_CELL}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged"),
        ("[]", "holds a list"),
        (log(RNN, [5.0, 4.0], [5.0, 4.0], recepie="no json"), "is damaged"),
        (log(RNN, [5.0, 4.0], [5.0, 4.0], test_losses=None), "test_losses is no list"),
        (log(RNN, [5.0, 4.0], [5.0, 4.0], val_losses=["low", 4.0]), "val_losses is 'low', not a number"),
        ({k: v for k, v in log(RNN, [5.0], [4.0]).items() if k != "recepie"}, "has no 'recepie'"),
    ],
)
def test_damaged_logs_are_named(content: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=words) as caught:
        rows(write(tmp_path / "logs", {"broken.json": content}))
    assert "broken.json" in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(TableError, match="train_logs_single_run"):
            rows(path)


def extract(folder: Path, lines: list[str], recipes: dict[str, Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    recipes = (
        {"1": {"recipe": RNN}, "2": {"recipe": SIGM}, "3": {"recipe": OTHER_NAMES}} if recipes is None else recipes
    )
    (folder / RECIPES).write_bytes(gzip.compress(json.dumps(recipes).encode()))
    header = "arch_id,run_recepie_id,run_stamp,test_loss_final,params"
    (folder / LOSSES).write_bytes(gzip.compress("\n".join([header, *lines]).encode()))
    return folder


def test_the_extract(tmp_path: Path) -> None:
    lines = ["1,1,a,4.5,100", "1,2,b,,100", "2,3,c,,100", "3,4,d,4.7,100"]
    found = rows(extract(tmp_path, lines))
    assert found[CELL] == pytest.approx(
        {
            **{"ptb_test_loss": 4.6, "ptb_test_perplexity": math.exp(4.6), "ptb_test_score": 95.4},
            **{"n_seeds": 2, "n_diverged": 1, "parameters": 100},
        }
    )
    assert found[SIGM_CELL]["ptb_test_loss"] is None
    with pytest.raises(TableError, match="has no '9'"):
        rows(extract(tmp_path, ["9,1,a,4.5,100"]))
    with pytest.raises(TableError, match="line 2 is damaged"):
        rows(extract(tmp_path, ["1,1,a,low,100"]))
    (tmp_path / RECIPES).write_bytes(b"nothing")
    with pytest.raises(TableError, match="is damaged"):
        rows(tmp_path)


def test_the_command(tmp_path: Path, call: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    out = call("importer=nasbench_nlp", f"path={write(tmp_path / 'logs', LOGS)}", "progress=false")
    assert "2 architectures" in capsys.readouterr().out
    metadata = read_metadata(out)
    assert (metadata["space"], metadata["source"]) == ("nasbench_nlp", "NAS-Bench-NLP")
    assert read_table([out], ["ptb_valid_score"], missing="drop").lookup([CELL]).item() == pytest.approx(95.3)


@pytest.mark.data
def test_the_extract_at_hand(shared_data: Path) -> None:
    if not (shared_data / RECIPES).is_file():
        pytest.skip(f"no {RECIPES}")
    found = rows(shared_data)
    assert len(found) == 3574
    assert sum(row["ptb_test_loss"] is None for row in found.values()) == 727
    assert sum(row["n_seeds"] + row["n_diverged"] for row in found.values()) == 12_342
    assert min(row["ptb_test_loss"] for row in found.values() if row["n_seeds"]) == pytest.approx(4.4357, abs=1e-4)
