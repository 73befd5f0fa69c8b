"""Several searches by one command, ``-m``: a folder for each, and nothing else left behind."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from search import run as command
from search.history import read_queries
from search.run import main

PLAIN = "nasbench201_random_search_seed"
TABLE = "objective.tables=mine.parquet"


@pytest.fixture
def call(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with random search on the made-up table, in an empty folder; the run folders, sorted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.parquet").symlink_to(table)

    def called(*arguments: str) -> list[str]:
        settings = ["optimizer=random_search", "objective.tables=[mine.parquet]", "plot=false"]
        keys = {argument.split("=")[0] for argument in arguments}
        monkeypatch.setattr(
            sys, "argv", ["search/run.py", *arguments, *(s for s in settings if s.split("=")[0] not in keys)]
        )
        main()
        return sorted(p.name for p in (tmp_path / "runs").iterdir() if p.is_dir())

    return called


@pytest.fixture
def stopped(call: Any, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command, which stops; its exit status and what it says on stderr."""

    def stopped_call(*arguments: str) -> tuple[Any, str]:
        with pytest.raises(SystemExit) as stop:
            call(*arguments)
        return stop.value.code, capfd.readouterr().err

    return stopped_call


def asked(folder: Path) -> list[str]:
    return [query.architecture for query in read_queries(folder / "history.jsonl")]


@pytest.mark.slow
def test_every_job_is_the_search_it_would_be_alone(
    call: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = call("-m", "seed=0,1", "budget=20,40")
    assert folders == sorted(f"{PLAIN}{seed}_budget={budget}_{TABLE}" for seed in (0, 1) for budget in (20, 40))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.parquet", "runs"]
    assert [p.name for p in (tmp_path / "runs").iterdir() if p.is_file()] == ["multirun.yaml"]
    said = capfd.readouterr()
    assert [folder for folder in folders if f"files in runs/{folder}:" not in said.out] == []
    assert said.err == ""
    call("seed=1", "budget=40", "run_dir=alone")
    assert asked(tmp_path / "alone") == asked(tmp_path / "runs" / f"{PLAIN}1_budget=40_{TABLE}")
    monkeypatch.setattr(command, "run_search", None)
    assert call("budget=20", "seed=1") == folders  # finds what the multirun has left, in any order
    assert call("-m", "budget=40,20", "seed=1,0") == folders


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], f"{PLAIN}0_{TABLE}"),
        (["budget=192", "initial=16", "space=nasbench201"], f"{PLAIN}0_{TABLE}"),  # as they are anyway
        (["progress=false", "plot=false", "force=true", "data_root=x", "logger=wandb"], f"{PLAIN}0_{TABLE}"),
        (["logger=wandb", "logger.mode=disabled", "seed=7"], f"{PLAIN}7_{TABLE}"),
        (["objective.tables=[checkpoints/nasbench201_cifar10_micro.parquet]"], f"{PLAIN}0"),
        (
            ["objective=table", "objective.maximize=[cifar10micro_valid, 'parameters']"],
            f"{PLAIN}0_objective=table_objective.maximize=cifar10micro_valid+parameters_{TABLE}",
        ),
        (["threads=2", "+optimizer.tries=3"], f"{PLAIN}0_{TABLE}_optimizer.tries=3_threads=2"),
        (["experiment=quickstart", "batch=8"], f"quickstart_random_search_seed0_batch=8_{TABLE}"),
        (["experiment=quickstart", "space=nasbench201"], f"quickstart_random_search_seed0_{TABLE}"),
    ],
)
def test_the_default_folder_names_what_changes_the_search(
    call: Any, monkeypatch: pytest.MonkeyPatch, overrides: list[str], name: str
) -> None:
    seen: list[Path] = []

    def noted(cfg: Any, *, optimizer_name: str, run_directory: Path) -> dict[str, Any]:
        seen.append(run_directory)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "execute", noted)
    with pytest.raises(SystemExit):
        call(*overrides)
    assert seen == [Path("runs", name)]


def test_long_values_and_paths_end_in_a_digest(call: Any, tmp_path: Path, table: Path) -> None:
    names = ["a" * 130, "a" * 130 + "b", "x y"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.parquet").symlink_to(table)
    tables = ",".join(f"['{name}/t.parquet']" for name in names)
    folders = call("-m", "budget=20", f"objective.tables={tables}")
    assert len(folders) == 3
    assert all(folder.startswith(f"{PLAIN}0_budget=20_objective.tables=") for folder in folders)
    assert all(len(folder) < 180 for folder in folders)


def test_a_folder_of_ones_own_for_every_job(call: Any, stopped: Any, tmp_path: Path) -> None:
    assert call("-m", "seed=0,1", "budget=20", "run_dir='mine/${seed}'") == []
    results = [json.loads((tmp_path / "mine" / str(seed) / "result.json").read_text()) for seed in (0, 1)]
    assert [result["seed"] for result in results] == [0, 1]
    status, said = stopped("-m", "seed=0,1", "budget=20", "run_dir=same")
    assert status == 2
    assert said.startswith("error: same: same holds another run: seed is 0 there and 1 here")


def test_a_job_that_is_refused_stops_the_sweep_and_is_named(stopped: Any, tmp_path: Path) -> None:
    status, said = stopped("-m", "seed=0,1", "budget=20,16")
    assert status == 2
    assert said.count("\n") == 1
    assert f"error: runs/{PLAIN}0_budget=16_{TABLE}: budget=16" in said
    assert (tmp_path / "runs" / f"{PLAIN}0_budget=20_{TABLE}" / "result.json").exists()
    assert stopped("-m", "seed=0,1", "optimizer=random_search,annealing")[0] == 2


def test_a_defect_in_one_job_leaves_the_others_and_is_not_hidden(
    stopped: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command.run_search

    def broken(*args: Any, **settings: Any) -> Any:
        if "seed0" in str(settings["run_directory"]):
            raise RuntimeError("a defect")
        return whole(*args, **settings)

    monkeypatch.setattr(command, "run_search", broken)
    status, said = stopped("-m", "seed=0,1", "budget=20")
    assert status == 1
    assert "a defect" in said
    assert (tmp_path / "runs" / f"{PLAIN}1_budget=20_{TABLE}" / "result.json").exists()


def test_an_interrupt_ends_the_sweep_which_continues(call: Any, stopped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(command, "write_result", interrupted)
        assert stopped("-m", "seed=0,1", "budget=20") == (130, "interrupted; the same command continues\n")
    assert len(call("-m", "seed=0,1", "budget=20")) == 2


@pytest.mark.slow
def test_each_job_has_a_wandb_run_of_its_own_in_one_group(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    for key in ("WANDB_MODE", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_RUN_GROUP", "WANDB_RUN_ID"):
        monkeypatch.delenv(key, raising=False)
    begin, begun = wandb.init, []

    def noted(**settings: Any) -> Any:
        begun.append(settings)
        return begin(**settings)

    monkeypatch.setattr("wandb.init", noted)
    folders = call("-m", "seed=0,1", "budget=20", "logger=wandb")
    assert [(settings["group"], settings["job_type"]) for settings in begun] == [("nasbench201", "search")] * 2
    assert len({settings["id"] for settings in begun}) == 2
    for settings, folder in zip(begun, folders, strict=True):
        run = tmp_path / "runs" / folder
        assert settings["config"]["seed"] == int(folder.removeprefix(PLAIN)[0])
        assert [p.name.rsplit("-")[-1] for p in run.glob("wandb/offline-run-*")] == [settings["id"]]
        assert len(list(run.glob("wandb/artifacts/staging/*"))) >= 4
        assert list(run.glob("wandb/wandb/logs/*"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.parquet", "runs"]
    assert len(call("-m", "seed=2", "budget=20", "logger=wandb", "logger.mode=disabled", "logger.group=mine")) == 3
    assert begun[-1]["group"] == "mine"
