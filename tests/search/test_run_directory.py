"""One folder, one configuration, one process."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from agnet.errors import RunDirectoryError, StorageError
from agnet.runtime import files
from agnet.runtime.paths import CONF_DIR
from search.run_directory import FILES, RunDirectory, comparison_keys

CONFIG: dict[str, Any] = {
    "seed": 0,
    "optimizer": {"_target_": "some.Optimizer", "rate": 1e-3, "surrogate": {"layers": 4}},
    "objective": {"maximize": ["a"], "minimize": []},
    "run_dir": "here",
    "logger": {"_target_": "search.loggers.NoLogger"},
    "progress": True,
    "force": False,
    "data_root": "data",
}


def claim(path: Path, config: dict[str, Any], *, force: bool = False) -> None:
    with RunDirectory(path).claimed(config, force=force):
        pass


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()}


def test_the_same_configuration_comes_back(tmp_path: Path) -> None:
    claim(tmp_path / "a" / "b", CONFIG)
    claim(tmp_path / "a" / "b", CONFIG)
    RunDirectory(tmp_path / "a" / "b").check(CONFIG)


def test_what_does_not_change_a_search_may_differ(tmp_path: Path) -> None:
    claim(tmp_path, CONFIG)
    others = {"run_dir": "there", "logger": {"mode": "offline"}, "progress": False, "force": True, "data_root": "x"}
    claim(tmp_path, CONFIG | others)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, r"seed is 0 there and 1 here"),
        ({"seed": None}, r"seed is 0 there and None here"),
        ({"objective": {"maximize": ["b"], "minimize": []}}, r"objective\.maximize is \['a'\] there and \['b'\] here"),
        (
            {"optimizer": {"_target_": "some.Optimizer", "rate": 1e-3}},
            r"surrogate\.layers is 4 there and '\(absent\)' here",
        ),
        ({"threads": 1}, r"threads is '\(absent\)' there and 1 here"),
        ({"seed": 1, "threads": 1}, r"seed .*; threads .*force=true"),
    ],
)
def test_other_configurations_are_named_and_nothing_changes(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    claim(tmp_path, CONFIG)
    (tmp_path / "history.jsonl").write_text("kept")
    before = contents(tmp_path)
    for refuse in (RunDirectory(tmp_path).check, lambda config: claim(tmp_path, config)):
        with pytest.raises(RunDirectoryError, match=named):
            refuse(CONFIG | change)
    assert contents(tmp_path) == before


def test_force_removes_only_known_files(tmp_path: Path) -> None:
    claim(tmp_path, CONFIG)
    for name in (*FILES[1:], "notes.txt"):
        (tmp_path / name).write_text("old")
    (tmp_path / "wandb").mkdir()
    claim(tmp_path, CONFIG | {"seed": 1}, force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.yaml", "notes.txt", "wandb"]
    RunDirectory(tmp_path).check(CONFIG | {"seed": 1})


@pytest.mark.parametrize("name", FILES[1:])
def test_files_of_an_unknown_run_are_not_taken_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    with pytest.raises(RunDirectoryError, match=rf"has {name} but no config.yaml"):
        claim(tmp_path, CONFIG)
    assert contents(tmp_path) == {name: b"old"}


@pytest.mark.parametrize("damage", ["a: [", "??", "- 1", ""])
def test_an_unreadable_configuration_is_another_run(tmp_path: Path, damage: str) -> None:
    (tmp_path / "config.yaml").write_text(damage)
    with pytest.raises(RunDirectoryError, match="force=true"):
        claim(tmp_path, CONFIG)
    assert (tmp_path / "config.yaml").read_text() == damage


def test_leftovers_of_a_kill_are_removed(tmp_path: Path) -> None:
    for name in (".state.pt.0123abcd.partial.pt", ".result.json.00000000.partial.json", ".hidden"):
        (tmp_path / name).write_text("")
    claim(tmp_path, CONFIG)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "config.yaml"]


def test_two_processes_cannot_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    with (
        RunDirectory(tmp_path).claimed(CONFIG, force=False),
        pytest.raises(RunDirectoryError, match="another process works in"),
    ):
        claim(tmp_path, CONFIG, force=True)
    claim(tmp_path, CONFIG)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="choose another"):
            claim(path, CONFIG)


def test_a_comparison_has_keys_that_no_search_has() -> None:
    compared, searched = (OmegaConf.load(CONF_DIR / f"{name}.yaml") for name in ("compare", "search"))
    assert {"executor", "optimizers", "at", "out"} < comparison_keys()
    assert comparison_keys() - {"executor"} == set(compared) - {"defaults"}
    assert not comparison_keys() & set(searched)
