"""The command, on images that need no download; as processes where they are killed or work together."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agnet.errors import AGNetError
from agnet.runtime.paths import ROOT
from evaluation.data.bundled import digits
from evaluation.networks.darts.published import PUBLISHED
from evaluation.train_network import load_network, main
from evaluation.training.final_network import CHECKPOINT, read_checkpoint
from evaluation.training.final_recipe import FinalRecipe

TINY = ["network.cells=3", "network.channels=2", "recipe.batch_size=64", "recipe.epochs=2", "architecture=pdarts"]
DIGITS = [
    *TINY,
    "dataset=digits",
    "dataset.num_valid=900",
    "stream.crop_padding=1",
    "stream.cutout=2",
    "stream.flip=false",
]
DATA = ROOT.parent / "shared" / "data"


def here(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int | str | None:
    """Exit status of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["evaluation/train_network.py", *overrides])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


def start(*overrides: str, processes: int | None = None) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes else []
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "evaluation.train_network", *overrides],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_training_leaves_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [*DIGITS, f"out={out}"]
    assert here(monkeypatch, *command) == 0
    assert f"{out}: test accuracy " in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    assert result["architecture"] == PUBLISHED["pdarts"]
    assert result["genotype"].startswith("Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1)")
    assert (result["num_train"], result["num_test"], result["processes"]) == (597, 300, 1)
    assert len((out / "history.jsonl").read_text().splitlines()) == 2
    network, test = load_network(out), digits(num_valid=900).test
    assert not network.training
    with torch.no_grad():
        right = network(test.pixels).argmax(dim=1) == test.labels
    assert 100 * float(right.float().mean()) == pytest.approx(result["test_accuracy"], abs=0.34)  # one image of 300

    weights = (out / "weights.safetensors").read_bytes()
    assert here(monkeypatch, *command) == 0
    assert "nothing to do" in capsys.readouterr().out
    (out / "result.json").write_text("{")  # what is lost is made again from the checkpoint
    (out / "weights.safetensors").unlink()
    assert here(monkeypatch, *command) == 0
    assert (out / "weights.safetensors").read_bytes() == weights
    again = json.loads((out / "result.json").read_text())
    assert again == result
    assert here(monkeypatch, *command, "recipe.epochs=3") == 2
    assert "choose another out" in capsys.readouterr().err


def test_a_network_trained_adversarially_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*DIGITS, "recipe.epochs=1", "adversarial=fgsm_rs", "adversarial.eps_255=16", f"out={tmp_path}"]
    monkeypatch.setattr(
        "evaluation.train_network.robust_accuracies", lambda *args, **kwargs: {"pgd": 0.0, "fgsm": 75.0}
    )
    assert here(monkeypatch, *command) == 0
    assert "warning: catastrophic overfitting of " in capsys.readouterr().err
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["recipe"]["adversarial"].items() >= {"method": "FGSMRS", "eps": 16}.items()
    assert (result["pgd"], result["fgsm"], result["catastrophic_overfitting"]) == (0.0, 75.0, True)
    assert not load_network(tmp_path).training
    assert "adversarial" not in FinalRecipe().describe(), "folders of standard training stay what they were"
    assert here(monkeypatch, *DIGITS, "recipe.epochs=1", f"out={tmp_path}") == 2
    assert "recipe" in capsys.readouterr().err
    assert here(monkeypatch, *command, "+recipe.select=best_robust") == 2
    assert "no key recipe.select" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of one epoch; tests work on copies."""
    out = tmp_path_factory.mktemp("trained") / "out"
    with pytest.MonkeyPatch.context() as patch:
        assert here(patch, *DIGITS, "recipe.epochs=1", f"out={out}") == 0
    return out


def flipped(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def test_a_flipped_bit_never_gives_another_network(trained: Path, tmp_path: Path) -> None:
    draw, whole = random.Random(1), load_network(trained).state_dict()
    names = sorted(path.name for path in trained.iterdir())
    assert names == ["checkpoint.pt", "config.yaml", "history.jsonl", "result.json", "weights.safetensors"]
    refused = []
    for number in range(60):
        copy = Path(shutil.copytree(trained, tmp_path / str(number)))
        flipped(copy / names[number % len(names)], draw)
        try:
            found = load_network(copy).state_dict()
            assert all(torch.equal(value, found[name]) for name, value in whole.items())
        except AGNetError as error:
            refused.append(str(error))
    assert len(refused) == 24, "result and weights are read, the others are not"
    assert all(str(tmp_path) in line and "\n" not in line for line in refused)


@pytest.mark.parametrize("name", ["checkpoint.pt", "history.jsonl", "result.json", "weights.safetensors"])
def test_what_is_damaged_is_made_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """From the checkpoint; where that is damaged too, one line says so."""
    out, draw = Path(shutil.copytree(trained, tmp_path / "out")), random.Random(2)
    command = [*DIGITS, "recipe.epochs=1", f"out={out}"]
    flipped(out / name, draw)
    assert here(monkeypatch, *command) == 0
    for left in ("history.jsonl", "weights.safetensors"):
        assert (out / left).read_bytes() == (trained / left).read_bytes()
    if name == "checkpoint.pt":
        (out / "result.json").unlink()
        capsys.readouterr()
        assert here(monkeypatch, *command) == 2
        said = capsys.readouterr().err
        assert re.fullmatch(f"error: {out}/checkpoint.pt is damaged [^\n]*\n", said)


def test_other_images_are_noticed_even_without_a_checkpoint(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for removed in ((), ("checkpoint.pt",), ("result.json",)):
        for name, content in before.items():
            (out / name).write_bytes(content)
        for name in removed:
            (out / name).unlink()
        assert here(monkeypatch, *DIGITS, "recipe.epochs=1", "dataset.split_seed=7", f"out={out}") == 2
        said = capsys.readouterr().err
        assert f"error: {out} was made with other settings or inputs: " in said
        assert re.search(r"images\.images is [0-9a-f]{12}\.\.\. there and [0-9a-f]{12}\.\.\. here", said)
        assert (out / "config.yaml").read_bytes() == before["config.yaml"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["architecture=resnet50"], "architecture=resnet50: give the space's string"),
        (["recipe=sgd"], "recipe._target_=evaluation.Recipe makes no recipe of a final network"),
        (["recipe.learning_rate=fast"], "recipe.learning_rate=fast should be a number"),
        (["seed=-1"], "seed=-1 should be a whole number from 0"),
        (["seed=0.5"], "seed=0.5 should be a whole number"),
        (["recipe.batch_size=1"], "recipe.batch_size=1; give at least 2"),
        (["stream.cutout=1000"], "stream.cutout=1000: give at most 32, four times the size of the images"),
        (["recipe.momentum=-1.0"], "recipe.momentum=-1.0 should be a number from 0"),
        (["recipe.decay=nan"], "recipe.decay=nan; give a finite number"),
        (["recipe.batch_size=1000"], "only 597 training images"),
        (["network.cells=2"], "cells=2; a network needs at least 3"),
        (["device=tpu"], "device=tpu should be one of cpu, cuda"),
        (["save_every=0"], "save_every=0 should be a whole number from 1 or null"),
        (["stream=folders"], "needs the folders train and val"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: list[str],
    words: str,
) -> None:
    command = [*DIGITS, f"out={tmp_path / 'out'}", f"data_root={tmp_path}"]
    if wrong == ["stream=folders"]:
        command = [part for part in command if not part.startswith("stream.")]
    assert here(monkeypatch, *command, *wrong) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


def test_an_incomplete_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert here(monkeypatch, *DIGITS, f"out={tmp_path / 'out'}") == 2
    assert "RANK= in the environment should be a whole number; start with torchrun" in capsys.readouterr().err


def killed_and_resumed(command: list[str], out: Path) -> int:
    """Kill a training within an epoch, and finish it; the step of the checkpoint that was left."""
    process = start(*command, f"out={out}")
    deadline = time.monotonic() + 300
    while not (out / CHECKPOINT).exists() or read_checkpoint(out / CHECKPOINT)["step"] < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = read_checkpoint(out / CHECKPOINT)
    assert not (out / "result.json").exists()
    again = start(*command, f"out={out}")
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    return left["step"]


@pytest.mark.slow
def test_kill_9_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*DIGITS, "recipe.epochs=4", "save_every=1"]
    assert here(monkeypatch, *command, f"out={tmp_path / 'whole'}") == 0
    assert killed_and_resumed(command, tmp_path / "killed") > 0
    whole, killed = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    """Batch statistics are each process's own: the weights differ from one process's, the accuracy is above chance."""
    process = start(*DIGITS, "recipe.epochs=20", "recipe.learning_rate=0.2", f"out={tmp_path / 'out'}", processes=2)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["processes"] == 2
    assert result["test_accuracy"] > 30
    assert len((tmp_path / "out" / "history.jsonl").read_text().splitlines()) == 20
    assert said.count("test accuracy") == 1, "only the first process reports"


@pytest.mark.data
@pytest.mark.slow
def test_a_few_steps_on_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DATA / "cifar10_labels.npz").is_file():
        pytest.skip(f"{DATA} has no CIFAR-10")
    reduced = ["device=cpu", "network.cells=3", "network.channels=4", "dataset.num_train=640", "dataset.num_test=100"]
    recipe = ["recipe.batch_size=64", "recipe.epochs=2", "recipe.learning_rate=0.1"]
    command = ["experiment=darts_cifar10", "architecture=darts_v2", *reduced, *recipe, f"data_root={DATA}"]
    assert here(monkeypatch, *command, f"out={tmp_path}") == 0
    losses = [json.loads(line)["train_loss"] for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert losses[1] < losses[0]
    assert load_file(tmp_path / "weights.safetensors")["classifier.weight"].shape == (10, 64)
