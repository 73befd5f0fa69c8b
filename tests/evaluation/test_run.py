"""The command, as a process where the exit status of a whole run matters, else in this process."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from agnet.runtime.paths import ROOT
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import read_metadata, read_table
from evaluation.networks.nasbench201 import CellNetwork
from evaluation.networks.stacked import NetworkStack
from evaluation.production.merge import representatives
from evaluation.production.unit import Unit, UnitEvaluator, UnitRecord
from evaluation.run import main

SMALL = [
    "num_architectures=3",
    "group_size=2",
    "executor=inline",
    "dataset.num_valid=40",
    "dataset.num_test=30",
    "network.channels=2",
    "recipe.epochs=1",
    "recipe.batch_size=256",
    "attack.fgsm.eps_255=[16]",
    "attack.pgd.eps_255=[8,24]",
    "attack.pgd.steps=1",
]
COLUMNS = [f"digits_{part}{attack}" for part in ("valid", "test") for attack in ("", "_fgsm_eps16", "_pgd_eps24")]


def as_process(*overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evaluation.run", *overrides]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def here(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int | str | None:
    """Exit status of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["evaluation/run.py", *overrides])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("run") / "digits"
    return out, as_process(*SMALL, f"out={out}")


def test_a_run_leaves_a_table(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = finished
    assert done.returncode == 0, done.stderr
    path = out / "nasbench201_digits.parquet"
    space = NASBench201()
    chosen = representatives(space)[:3]
    table = read_table([path], [*COLUMNS, "digits_cpu_latency_ms", "parameters", "macs"])
    members = Counter(space.canonical(a) for a in table.rows)
    assert sorted(members) == sorted(chosen)
    assert f"{path}: {members.total()} architectures of 3 units" in done.stdout
    values = table.lookup(chosen)
    assert bool((values[:, : len(COLUMNS)] >= 0).all())
    assert bool((values[:, : len(COLUMNS)] <= 100).all())
    assert bool((values[:, len(COLUMNS) :] > 0).all())
    metadata = read_metadata(path)
    assert metadata["command"].startswith("python -m evaluation.run num_architectures=3 ")
    assert metadata["revision"]
    assert not list(ROOT.glob(".hydra")), "the configuration library leaves nothing in the current folder"


@pytest.mark.parametrize(
    "executor",
    [["executor=inline"], pytest.param(["executor=local", "executor.workers=2"], marks=pytest.mark.slow)],
    ids=["inline", "local"],
)
def test_executors_do_not_change_the_numbers(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    executor: list[str],
) -> None:
    """Nor does another process. ``table=`` says where the table goes."""
    path = tmp_path / "mine.parquet"
    assert here(monkeypatch, *SMALL, f"out={tmp_path / 'units'}", f"table={path}", *executor) == 0
    assert not (tmp_path / "units" / "nasbench201_digits.parquet").exists()
    chosen = representatives(NASBench201())[:3]
    ours, theirs = (read_table([p], COLUMNS).lookup(chosen) for p in (path, finished[0] / "nasbench201_digits.parquet"))
    assert ours.tolist() == theirs.tolist()


def test_the_same_command_again_is_a_no_op(
    finished: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latencies included, which a second evaluation would change."""
    out, _ = finished
    table = out / "nasbench201_digits.parquet"
    before = read_metadata(table)["content_sha256"]
    units = {path: path.stat().st_mtime_ns for path in (out / "units").iterdir()}
    assert here(monkeypatch, *SMALL, f"out={out}") == 0
    assert read_metadata(table)["content_sha256"] == before
    assert {path: path.stat().st_mtime_ns for path in (out / "units").iterdir()} == units


def test_a_folder_of_another_protocol(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert here(monkeypatch, *SMALL, f"out={finished[0]}", "mode=worst_case") == 2
    error = capfd.readouterr().err
    assert "differs in mode" in error
    assert "out=" in error
    assert "Traceback" not in error


def test_a_wrong_choice_names_the_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert here(monkeypatch, "dataset=mnist", f"out={tmp_path}") == 2
    captured = capfd.readouterr()
    said = captured.out + captured.err
    assert "Could not find 'dataset/mnist'" in said
    assert "choose from cifar10, " in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sample(10)
@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "recipe=adam",
            "'recipe/adam'; choose from final_darts_cifar10, final_darts_imagenet, nas_robbench, nasbench201, sgd",
        ),
        ("attack=[fgsm,deepfool]", "'attack/deepfool'; choose from apgd_ce, "),
        ("experiment=nb201", "Is it made for another command?"),
        ("netwrok.channels=2", "netwrok"),
        ("attack.fgsm.epsilon=[1]", "epsilon"),
        ("+attack.fgsm.epsilon=[1]", "epsilon"),
        ("attack.fgsm.eps_255=8", "attack.fgsm.eps_255=8; give a list of numbers"),
        ("attack.fgsm.eps_255=[9,3]", "(eps_255=[9, 3]); give increasing values within 0..1 pixels"),
        ("attack.pgd.eps_255=[nan]", "attack.pgd.eps_255[0]=nan; give a finite number"),
        ("attack.pgd.steps=0", "steps=0"),
        ("recipe=final_darts_cifar10", "recipe._target_=evaluation.FinalRecipe makes no recipe for tables"),
        ("recipe.batch_size=5000", "recipe.batch_size=5000: give 1..1197"),
        ("num_architectures=0", "num_architectures=0"),
        ("num_architectures=-3", "num_architectures=-3"),
        ("executor.workers=0", "executor.workers=0"),
        ("group_size=0", "group_size=0"),
        ("draw_seed=often", "draw_seed=often"),
        ("share=3", "share=3 should be null or [k,n]"),
        ("share=[3,2]", "share=[3, 2]: there is no share 3 of 2; give [k,n]"),
        ("corruption.names=[rain]", "corruption.names=['rain']"),
        ("corruption.names=some", "corruption.names=some should be one of all or a list, each item text"),
        ("corruption.path=nowhere", "corruption.path=nowhere, frost=None: give corruption.names"),
        ("attack_images={deepfool: 3}", "attack_images: deepfool: 3"),
        ("sensitivity.num_images=-1", "sensitivity.num_images=-1"),
        ("sensitivity.num_images=99999", "sensitivity.num_images=99999; digits has 1197 such images"),
        ("attack_images={pgd: 400}", "attack_images.pgd=400; digits has 300 such images: give at most that"),
        ("recipe.crop_padding=999", "recipe.crop_padding=999 pixels around images of 8: give fewer"),
        ("group_size=100000", "group_size=100000; there are 6466 architectures: give at most that"),
        ("space=nasbench101", "space._target_=agnet.NASBench101 makes no space that it trains (nasbench201 is one)"),
        ("table=/proc/x.parquet", "table=/proc/x.parquet: cannot write into /proc ("),
        ("recipe.learning_rate=nan", "recipe.learning_rate=nan should be a number above 0"),
        ("recipe.weight_decay=-1.0", "recipe.weight_decay=-1.0 should be a number from 0"),
        ("recipe.momentum=1e400", "recipe.momentum=inf; give a finite number"),
        ("name=my_digits", "name=my_digits"),
        ("out=", "out= should be a path"),
        ("table=mine.txt", "table=mine.txt should be null or a Parquet file, e.g. table.parquet"),
        ("draw_seed=-1", "draw_seed=-1 should be a whole number from 0 to 2147483647 or null"),
        ("recipe.epochs=0", "recipe.epochs=0 should be a whole number from 1"),
        ("attack_images=5", "attack_images=5 should be null or attacks, each with a number of images"),
        ("progress=5", "progress=5 should be true or false"),
        ("dataset.num_test=5000", "5000"),
        ("network.channels=0", "network.channels=0 should be a whole number from 1"),
        ("network.cells_per_stage=half", "cells_per_stage=half"),
        ("seeds=[-1]", "seeds=[-1] should be a list of whole numbers from 0"),
        ("seeds=3", "seeds=3 should be a list"),
        ("mode=guessed", "give mode one of published, worst_case"),
        ("precision=float8", "precision one of float32"),
    ],
)
def test_bad_input(
    override: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 and a text that names the culprit, without a traceback."""
    executor = [] if override.startswith("executor.") else ["executor=inline"]
    assert here(monkeypatch, "num_architectures=1", *executor, f"out={tmp_path / 'out'}", override) == 2
    captured = capfd.readouterr()
    assert said in captured.out + captured.err
    assert "Traceback" not in captured.out + captured.err
    assert (captured.out + captured.err).count("\n") == 1


def test_a_refused_command_can_be_corrected_in_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that only training finds out does not bind the folder."""
    assert here(monkeypatch, *SMALL, "num_architectures=1", "recipe.batch_size=5000", f"out={tmp_path}") == 2
    assert here(monkeypatch, *SMALL, "num_architectures=1", f"out={tmp_path}") == 0


def test_the_cause_of_failures_is_in_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where no unit succeeds, and where some do."""
    command = [*SMALL, f"out={tmp_path}"]
    examine, done = UnitEvaluator._examine, 0

    def failing(self: UnitEvaluator, unit: Unit, network: CellNetwork) -> UnitRecord:
        nonlocal done
        done += 1
        if done != 4:
            raise ValueError("the kernel\ndiverged")
        return examine(self, unit, network)

    monkeypatch.setattr(UnitEvaluator, "_examine", failing)
    assert here(monkeypatch, *command) == 2
    said = capfd.readouterr().err
    assert said.startswith("error: no unit is done of 3, so there is nothing to merge; 3 units failed, the first of ")
    assert said.endswith(", seed 0: ValueError: the kernel diverged\n")
    assert here(monkeypatch, *command, "retry=true") == 2
    said = capfd.readouterr().err
    assert said.startswith("error: the table lacks architectures: 2 units failed, the first of them |")
    assert said.endswith(", seed 0: ValueError: the kernel diverged; retry=true tries them again\n")


def test_a_table_of_another_protocol_is_not_overwritten(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    mine = shutil.copy(finished[0] / "nasbench201_digits.parquet", tmp_path / "mine.parquet")
    before = mine.read_bytes()
    command = [*SMALL, "mode=worst_case", f"out={tmp_path / 'units'}", f"table={mine}"]
    assert here(monkeypatch, *command) == 2
    assert (
        "exists and was made under another protocol (differs in mode); choose another table" in capfd.readouterr().err
    )
    assert mine.read_bytes() == before
    assert not (tmp_path / "units" / "units").exists(), "it is said before anything is trained"


def test_a_file_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert here(monkeypatch, "num_architectures=1", f"out={tmp_path / 'file'}") == 2
    assert capfd.readouterr().err == f"error: out={tmp_path / 'file'}: this is no folder; choose another path\n"


def test_no_output_folder(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert here(monkeypatch, "num_architectures=1") == 2
    assert capfd.readouterr().err == "error: out has no default; give out=VALUE\n"


@pytest.mark.slow
def test_an_extended_table_is_the_whole_one(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of the finished table are taken over, to the bit of their latencies; only the others are evaluated."""
    base, out = finished[0] / "nasbench201_digits.parquet", tmp_path / "units"
    larger = [*SMALL, "num_architectures=5", f"out={out}", f"extend={base}"]
    assert here(monkeypatch, *larger) == 0
    assert len(list((out / "units").iterdir())) == 2
    names = [*COLUMNS, "digits_cpu_latency_ms", "digits_test_confidence_right", "isomorph", "parameters", "macs"]
    ours, theirs = read_table([out / base.name], names), read_table([base], names)
    assert ours.lookup(list(theirs.rows)).tolist() == theirs.values.tolist()
    space = NASBench201()
    assert {space.canonical(a) for a in ours.rows} == set(representatives(space)[:5])
    whole = tmp_path / "whole"
    assert here(monkeypatch, *SMALL, "num_architectures=5", f"out={whole}") == 0
    at_once = read_table([whole / base.name], COLUMNS)
    assert list(at_once.rows) == list(ours.rows)
    assert at_once.values.tolist() == read_table([out / base.name], COLUMNS).values.tolist()
    metadata, before = read_metadata(out / base.name), read_metadata(base)
    assert metadata["extends_sha256"] == before["content_sha256"]
    assert metadata["extends"] == f'["{before["revision"]}"]'
    assert float(metadata["cpu_seconds"]) >= float(before["cpu_seconds"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([], "has all of these cells; raise num_architectures"),
        (["num_architectures=5", "seeds=[1]"], "was made of seeds [0], not [1]"),
        (["num_architectures=5", "mode=worst_case"], "another protocol (differs in mode)"),
        (["num_architectures=5", "extend=nowhere.parquet"], "no table at nowhere.parquet"),
    ],
)
def test_what_cannot_be_extended(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    changes: list[str],
    words: str,
) -> None:
    base = finished[0] / "nasbench201_digits.parquet"
    assert here(monkeypatch, *SMALL, f"out={tmp_path / 'units'}", f"extend={base}", *changes) == 2
    assert words in " ".join(capfd.readouterr().err.split())
    assert not (tmp_path / "units" / "units").exists()


def test_adversarial_training_has_its_own_columns_and_tells_of_overfitting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three networks one is made to look overfitted; it is counted, and the command says what to do."""

    def fooled(subject: NetworkStack, *args: object, **kwargs: object) -> dict[str, torch.Tensor]:
        first = torch.tensor([90.0 * (cell == subject.architectures[0]) for cell in subject.architectures])
        return {"pgd": torch.zeros(len(subject)), "fgsm": first * (len(subject) == 2)}

    monkeypatch.setattr("evaluation.training.robust_validation.robust_accuracies", fooled)
    small = [value for value in SMALL if value != "num_architectures=3"]
    command = [*small, "num_architectures=2", "adversarial=fgsm_rs", "adversarial.eps_255=16", f"out={tmp_path}"]
    assert here(monkeypatch, *command) == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert "catastrophic overfitting of 1 of 2 networks, e.g. |" in line
    assert "train with adversarial=n_fgsm" in line
    path = tmp_path / "nasbench201_digits_at.parquet"
    table = read_table([path], [name.replace("digits", "digits_at", 1) for name in COLUMNS])
    assert len(table.rows) >= 2
    metadata = read_metadata(path)
    assert metadata["catastrophic_overfitting"] == "1"
    assert json.loads(metadata["protocol"])["recipe"]["adversarial"]["eps"] == 16
    assert here(monkeypatch, *command, "adversarial.eps_255=8") == 2
    assert "differs in recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (["adversarial=pgd", "adversarial.eps_255=0"], "adversarial.eps_255=0; give a radius above 0"),
        (
            ["adversarial=trades", "adversarial.beta=-2"],
            "adversarial.beta=-2 should be a whole number or a number from 0",
        ),
        (["recipe.select=best_robust"], "recipe.select=best_robust without adversarial training"),
    ],
)
def test_impossible_adversarial_training_is_one_line(
    override: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert here(monkeypatch, *SMALL, *override, f"out={tmp_path}") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
