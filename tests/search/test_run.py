"""The command, in this process and, where the exit status counts, as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from agnet.runtime.paths import CHECKPOINT_DIR, ROOT
from agnet.tables.table import write_table
from search import run as command
from search.history import read_queries
from search.run import main

FILES = ["config.yaml", "history.jsonl", "incumbent.png", "result.json", "seal.json", "state.pt"]


LATENCY = ["objective.report=[]", "objective.constraints={cifar10micro_cpu_latency_ms: {max: 0.5}}"]


@pytest.fixture
def call(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with random search on the made-up table, without a figure; the result file's content."""

    def called(*overrides: str) -> dict[str, Any]:
        settings = [
            "optimizer=random_search",
            f"objective.tables=[{table}]",
            "budget=40",
            "plot=false",
            f"run_dir={tmp_path / 'run'}",
        ]
        keys = {override.split("=")[0] for override in overrides}
        kept = [setting for setting in settings if setting.split("=")[0] not in keys]
        monkeypatch.setattr(sys, "argv", ["search/run.py", *kept, *overrides])
        main()
        found = [override.removeprefix("run_dir=") for override in overrides if override.startswith("run_dir=")]
        return json.loads((Path(found[0] if found else tmp_path / "run") / "result.json").read_text())

    return called


def times(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}


def test_a_run_of_the_default_objective(call: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = call("seed=5", "plot=true")
    assert list(result) == [
        *("space", "optimizer", "seed", "budget", "queries", "wall_seconds", "optimizer_seconds"),
        *("best", "pareto", "surrogate_spearman", "pretrained", "exact", "selections", "hypervolume"),
    ]
    assert (result["space"], result["optimizer"], result["seed"]) == ("nasbench201", "random_search", 5)
    assert (result["budget"], result["queries"], len(result["surrogate_spearman"])) == (40, 40, 3)
    assert list(result["best"]["objective"]) == ["cifar10micro_valid", "cifar10micro_valid_pgd_eps4"]
    assert result["best"] in result["pareto"]
    assert len(result["best"]["report"]) == 5
    said = capfd.readouterr()
    assert result["best"]["architecture"] in said.out
    assert str(tmp_path / "run") in said.out
    assert said.err == ""  # no bar where there is no terminal
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == FILES
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (saved["seed"], saved["optimizer"]["_target_"].rsplit(".")[-1]) == (5, "RandomSearch")


def test_objective_and_report_are_replaced_on_the_command_line(call: Any, table: Path) -> None:
    result = call("objective.maximize=[cifar10micro_valid]", "objective.report=[cifar10micro_test]")
    assert list(result["best"]["objective"]) == ["cifar10micro_valid"]
    assert list(result["best"]["report"]) == ["cifar10micro_test"]


def test_a_limit_is_kept_by_what_is_called_best(call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    result = call(*LATENCY, "objective.maximize=[cifar10micro_valid]")
    assert result["best"]["constraints"]["cifar10micro_cpu_latency_ms"] <= 0.5
    limits = result["constraints"]
    assert (limits["limits"], limits["protocol"]) == (["cifar10micro_cpu_latency_ms <= 0.5"], "learned")
    assert 0 < limits["feasible"] < 40
    assert f"{limits['feasible']} of them with cifar10micro_cpu_latency_ms <= 0.5 [learned]" in capfd.readouterr().out


def test_a_limit_that_is_looked_up_is_never_missed(call: Any) -> None:
    result = call(*LATENCY, "objective.maximize=[cifar10micro_valid]", "objective.protocol=looked_up")
    assert result["constraints"]["feasible"] == result["queries"] == 40


def test_a_limit_that_nothing_keeps_is_reported_at_the_end(call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    hopeless = [*LATENCY, "objective.constraints.cifar10micro_cpu_latency_ms.max=0.01"]
    result = call(*hopeless, "objective.maximize=[cifar10micro_valid]", "under={cifar10micro_cpu_latency_ms: [0.3]}")
    assert result["best"] is None
    assert result["pareto"] == []
    assert result["constraints"]["attainable"] is False
    assert result["closest"]["constraints"]["cifar10micro_cpu_latency_ms"] >= 0.1
    said = capfd.readouterr().out
    assert "nothing feasible of 40 queries" in said
    assert "no architecture of the table keeps these limits" in said


def test_joint_search_names_the_best_under_each_bound(call: Any) -> None:
    goal = ["objective.maximize=[cifar10micro_valid]", "objective.minimize=[cifar10micro_cpu_latency_ms]", *LATENCY]
    result = call(*goal, "under={cifar10micro_cpu_latency_ms: [0.05, 0.3, 0.45]}")
    assert [row["max"] for row in result["under"]] == [0.05, 0.3, 0.45]
    assert result["under"][0]["best"] is None
    assert result["under"][2]["best"]["objective"]["cifar10micro_cpu_latency_ms"] <= 0.45
    share = result["hypervolume"]["share"]
    assert len(share) == 40
    assert share == sorted(share)
    assert all(entry["constraints"]["cifar10micro_cpu_latency_ms"] <= 0.5 for entry in result["pareto"])


def test_another_objective_group(call: Any, table: Path) -> None:
    minimize = ["objective=table", f"objective.tables=[{table}]", "objective.minimize=[parameters]"]
    result = call(*minimize, "objective.maximize=[cifar10micro_valid]")
    assert list(result["best"]["objective"]) == ["cifar10micro_valid", "parameters"]
    assert result["best"]["report"] == {}


def test_what_is_reported_cannot_change_a_search(call: Any, tmp_path: Path) -> None:
    asked = []
    for report in ("cifar10micro_test", "parameters"):
        folder = tmp_path / report
        call("objective.maximize=[cifar10micro_valid]", f"objective.report=[{report}]", f"run_dir={folder}")
        asked.append([query.architecture for query in read_queries(folder / "history.jsonl")])
    assert asked[0] == asked[1]


def test_the_same_command_again_does_nothing(
    call: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, said, before = call(), capfd.readouterr().out, times(tmp_path / "run")
    monkeypatch.setattr(command, "run_search", None)
    assert call() == first
    assert capfd.readouterr().out == said
    assert times(tmp_path / "run") == before
    assert call("progress=false", "data_root=elsewhere") == first


def test_an_interrupted_run_continues(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = call(f"run_dir={tmp_path / 'whole'}")

    def interrupted(*args: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    for name, plot in (("search.plot.plot_history", "true"), ("search.run.write_result", "false")):
        with monkeypatch.context() as patch:
            patch.setattr(name, interrupted)
            with pytest.raises(SystemExit) as stop:
                call(f"plot={plot}")
        assert stop.value.code == 130
        assert not (tmp_path / "run" / "result.json").exists()
    times = {"wall_seconds": 0, "optimizer_seconds": 0}
    assert call() | times == expected | times


@pytest.mark.parametrize("name", ["result.json", "config.yaml", "seal.json"])
def test_what_is_damaged_is_made_again(call: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    whole = call()
    path = tmp_path / "run" / name
    text = path.read_text()
    capfd.readouterr()
    for damaged in (text[:100], "", text.replace("4", "5"), "[" * 5000):
        path.write_text(damaged)
        assert call() == whole
        assert path.read_text() == text
        assert capfd.readouterr().err.count("\n") <= 1


def test_a_changed_history_of_a_finished_run_is_refused(call: Any, refused: Any, tmp_path: Path) -> None:
    call()
    path = tmp_path / "run" / "history.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for changed in (
        lines[:-1],
        [*lines[:3], lines[4], lines[3], *lines[5:]],
        [lines[0].replace("0.0", "0.5"), *lines[1:]],
    ):
        path.write_text("".join(changed))
        assert f"{path}" in refused()


def test_a_table_that_has_changed_is_refused(call: Any, refused: Any, tmp_path: Path) -> None:
    table = pq.read_table(CHECKPOINT_DIR / "nasbench201_cifar10_micro.parquet")
    path, column = tmp_path / "mine.parquet", "cifar10micro_test"
    settings = (f"objective.tables=[{path}]", "objective.maximize=[cifar10micro_valid]", f"objective.report=[{column}]")
    write_table(path, table, {})
    first = call(*settings)
    assert call(*settings) == first
    index = table.column_names.index(column)
    write_table(path, table.set_column(index, column, pa.array(table[column].to_numpy() + 1)), {})
    assert "report" in refused(*settings)
    assert call(*settings, "force=true") != first
    path.unlink()
    assert f"no table at {path}" in refused(*settings)


def test_force_starts_anew(call: Any, tmp_path: Path) -> None:
    first = call("seed=1")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    again = call("seed=2", "force=true")
    assert again["seed"] == 2
    assert again["best"] != first["best"] or again["pareto"] != first["pareto"]
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert call("seed=2") == again


def test_another_configuration_is_refused(call: Any, refused: Any, tmp_path: Path) -> None:
    call()
    before = times(tmp_path / "run")
    said = refused("seed=1", "objective.report=[cifar10micro_test]")
    assert "seed is 0 there and 1 here" in said
    assert "objective.report" in said
    assert "force=true" in said
    assert times(tmp_path / "run") == before


def test_a_table_of_some_architectures_restricts_the_space(call: Any, table: Path, tmp_path: Path) -> None:
    some = pq.read_table(table).slice(100, 400)
    pq.write_table(some, tmp_path / "some.parquet")
    result = call(f"objective.tables=[{tmp_path / 'some.parquet'}]", "budget=400")
    assert result["queries"] == 400
    queried = {query.architecture for query in read_queries(tmp_path / "run" / "history.jsonl")}
    assert queried == set(some["architecture"].to_pylist())


def test_a_table_of_another_space_is_refused(refused: Any, tmp_path: Path) -> None:
    columns = {"architecture": [f"cell {i}" for i in range(99)], "cifar10micro_valid": [float(i) for i in range(99)]}
    pq.write_table(pa.table(columns), tmp_path / "other.parquet")
    tables = f"objective.tables=[{tmp_path / 'other.parquet'}]"
    assert "'cell 0'" in refused(tables, "objective.maximize=[cifar10micro_valid]", "objective.report=[]")


def test_a_malformed_row_is_named_even_where_the_count_is_right(refused: Any, table: Path, tmp_path: Path) -> None:
    rows = pq.read_table(table)
    cells = rows["architecture"].to_pylist()
    cells[7] = "|nor_conv_9x9~0|"
    changed = rows.set_column(rows.column_names.index("architecture"), "architecture", pa.array(cells))
    pq.write_table(changed, tmp_path / "malformed.parquet")
    said = refused(f"objective.tables=[{tmp_path / 'malformed.parquet'}]")
    assert "'|nor_conv_9x9~0|'" in said
    assert "correct or drop" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.sample(8)
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["~seed"], ["seed is missing", "whole number from 0"]),
        (["budget=16"], ["budget=16", "initial=16", "raise budget"]),
        (["budget=15626"], ["budget=15626", "15625 architectures", "lower budget"]),
        (["budget=many"], ["budget=many", "whole number"]),
        (["budget=20.5"], ["budget=20.5", "whole number"]),
        (["batch=0"], ["batch=0"]),
        (["seed=-1"], ["seed=-1", "from 0"]),
        (["seed=4294967296"], ["seed=4294967296"]),
        (["threads=0"], ["threads=0"]),
        (["run_dir="], ["run_dir=", "a path"]),
        (["data_root=5"], ["data_root=5", "./5"]),
        (["under={cifar10micro_valid: [nan]}"], ["nan", "list of numbers"]),
        (["save_every=often"], ["save_every=often", "seconds"]),
        (["force=perhaps"], ["force=perhaps", "true or false"]),
        (["objective.tables=[nowhere.parquet]"], ["nowhere.parquet", "objective.tables"]),
        (["objective.tables=[]"], ["no table", "[path.parquet]"]),
        (["objective.tables=mine.parquet"], ["objective.tables=mine.parquet", "[mine.parquet]"]),
        (["objective.maximize=[cifar10micro_vaild]"], ["cifar10micro_vaild", "cifar10micro_valid"]),
        (["objective.maximize=[]"], ["nothing to optimise"]),
        (["objective.maximize=cifar10micro_valid"], ["objective.maximize=cifar10micro_valid", "[cifar10micro_valid]"]),
        (["optimizer=annealing"], ["annealing", "choose from", "random_search", "--help"]),
        (["optimizer.temperature=3"], ["no key optimizer.temperature", "--help"]),
        (["optimzer=random_search"], ["no key optimzer (did you mean optimizer?)", "--help"]),
        (["budgit=40"], ["no key budgit (did you mean budget?)", "--help"]),
        (["temperature=3"], ["no key temperature; there are space, optimizer,"]),
        (["objective.constraints.watts=3"], ["no key objective.constraints.watts", "{watts: VALUE}"]),
        (["seed=[1"], ["'seed=[1'", "KEY=VALUE"]),
        (["objective.tables=${nowhere}"], ["nowhere", "objective.tables"]),
        (["logger=wandb", "logger.mode=loud"], ["logger.mode=loud", "offline"]),
        (
            ["objective.constraints={cifar10micro_cpu_latency_ms: {max: fast}}"],
            ["cifar10micro_cpu_latency_ms", "'fast'", "number"],
        ),
        (["objective.constraints={cifar10micro_cpu_latency_ms: {min: 2, max: 1}}"], ["min exceeds max"]),
        (["objective.constraints={watts: {max: 1}}"], ["watts", "cifar10micro_cpu_latency_ms"]),
        (["objective.minimize=[cifar10micro_valid]"], ["cifar10micro_valid", "one role"]),
        (["objective.protocol=guessed"], ["objective.protocol=guessed", "looked_up"]),
        (["objective.report=some"], ["objective.report=some", "all"]),
        (["+bugdet=20"], ["no key bugdet", "did you mean budget?"]),
        (["experiment=digits"], ["attack", "made for another command"]),
        (["optimizer=agnet", "optimizer.proposal.prior=many"], ["optimizer.proposal.prior=many", "a whole number"]),
        (["optimizer=agnet", "optimizer.acquisition.beta=abc"], ["optimizer.acquisition.beta=abc", "a list"]),
        (["under={watts: [1]}"], ["watts", "cifar10micro_valid"]),
        (["under={cifar10micro_valid: 3}"], ["cifar10micro_valid", "list of numbers"]),
        (
            [*LATENCY, "objective.constraints.cifar10micro_cpu_latency_ms.max=0.01", "objective.protocol=looked_up"],
            ["none of the 15625", "cifar10micro_cpu_latency_ms <= 0.01", "closest is |", "loosen"],
        ),
        (
            [
                *LATENCY,
                "objective.constraints.cifar10micro_cpu_latency_ms.max=0.15",
                "objective.protocol=looked_up",
                "budget=80",
            ],
            ["budget=80 exceeds the 64", "that keep the limits"],
        ),
    ],
)
def test_what_the_user_can_put_right_is_said_in_words(
    refused: Any, tmp_path: Path, overrides: list[str], expected: list[str]
) -> None:
    said = refused(*overrides)
    assert [part for part in expected if part not in said] == []
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_default_folder_names_what_was_chosen(
    call: Any, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.parquet").symlink_to(table)
    folder = "runs/nasbench201_random_search_seed0_budget=40_objective.tables=mine.parquet"
    call("objective.tables=[mine.parquet]", "run_dir=chosen")
    (tmp_path / "runs").mkdir()
    (tmp_path / "chosen").rename(tmp_path / folder)
    monkeypatch.setattr(sys, "argv", [a for a in sys.argv if not a.startswith("run_dir=")])
    capfd.readouterr()
    main()  # finds the finished run
    assert f"files in {folder}:" in capfd.readouterr().out


def test_bundled_tables_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "checkpoints").mkdir(parents=True)
    (checkout / "checkpoints" / "bundled.parquet").touch()
    monkeypatch.setattr(command, "ROOT", checkout)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.parquet").touch()
    tables = ["checkpoints/bundled.parquet", "mine.parquet", "nowhere.parquet"]
    found = command._table_paths({"objective": {"tables": tables}})["tables"]
    assert found == [str(checkout / "checkpoints" / "bundled.parquet"), "mine.parquet", "nowhere.parquet"]


def test_the_command_from_a_shell(table: Path, tmp_path: Path) -> None:
    """As in the contract, and quiet."""
    settings = ["space=nasbench201", "optimizer=random_search", "seed=0", "budget=32", "logger=none"]
    objective = [
        f"objective.tables=[{table}]",
        "objective.maximize=[cifar10micro_valid]",
        "objective.report=[cifar10micro_test]",
    ]
    arguments = [sys.executable, "-m", "search.run", *settings, f"run_dir={tmp_path / 'run'}", *objective]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["queries"] == 32
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == FILES
