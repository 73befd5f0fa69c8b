"""``python -m evaluation.attack`` on models and images of all kinds."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from evaluation import attack as module
from evaluation.attack import main
from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.outcome import load_outcomes

SHORT = ["attack=[fgsm,pgd]", "attack.fgsm.eps_255=[1,8]", "attack.pgd.eps_255=[1,8]", "attack.pgd.steps=2"]


def make() -> nn.Module:
    """What an import path names."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 10)).eval()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.npz"
    pixels = torch.rand(20, 3, 4, 4)
    with torch.no_grad():
        labels = make()(pixels).argmax(dim=1)
    np.savez(path, images=pixels.numpy(), labels=labels.numpy())
    return path


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt2"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(make(), (torch.rand(2, 3, 4, 4),), dynamic_shapes=shapes), path)
    return path


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt"
    with pytest.warns(DeprecationWarning, match=r"torch\.jit"):
        torch.jit.save(torch.jit.script(make()), path)
    return path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["evaluation.attack", *arguments])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.parametrize("kind", ["exported", "scripted", "imported"])
def test_every_kind_of_model_gives_the_same_files(
    kind: str, request: pytest.FixtureRequest, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "imported":
        (tmp_path / "my_model.py").write_text(
            "import torch\n\ndef make():\n    torch.manual_seed(5)\n"
            "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 10)).eval()\n"
        )
        monkeypatch.chdir(tmp_path)
        model = "my_model:make"
    else:
        model = str(request.getfixturevalue(kind))
    out = tmp_path / "out"
    assert command(monkeypatch, f"model={model}", f"images={images}", f"out={out}", *SHORT) == 0
    rows = list(csv.DictReader((out / "summary.csv").read_text().splitlines()))
    assert [(row["attack"], row["eps"]) for row in rows] == [
        ("clean", "0.0"),
        ("fgsm", "1.0"),
        ("fgsm", "8.0"),
        ("pgd", "1.0"),
        ("pgd", "8.0"),
    ]
    assert float(rows[0]["accuracy"]) == 100
    assert (out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "evaluation.json").read_text())["outcomes"][2]["attack"] == "fgsm"
    with np.load(images) as file:
        pixels, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
    from evaluation.attacks.fast_gradient_sign import FGSM
    from evaluation.attacks.projected_gradient_descent import PGD

    expected = evaluate(make(), pixels, labels, [FGSM([1 / 255, 8 / 255]), PGD([1 / 255, 8 / 255], steps=2)])
    found = load_outcomes(out / "images.npz")
    for a, b in zip(found.outcomes, expected.outcomes, strict=True):
        assert (a.column, a.mode) == (b.column, b.mode)
        assert a.robust.equal(b.robust)
        torch.testing.assert_close(a.confidence, b.confidence)


def test_an_attack_that_is_done_is_not_done_again(
    exported: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def spy(*arguments, **options):
        calls.extend(attack.name for attack in arguments[3])
        return evaluate(*arguments, **options)

    monkeypatch.setattr(module, "evaluate", spy)
    arguments = [f"model={exported}", f"images={images}", f"out={tmp_path / 'out'}", *SHORT]
    assert command(monkeypatch, *arguments) == 0
    assert calls == ["fgsm", "pgd"]
    assert command(monkeypatch, *arguments) == 0
    assert calls == ["fgsm", "pgd"]
    assert command(monkeypatch, *arguments, "seed=1") == 0
    assert calls == ["fgsm", "pgd"] * 2


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model=nowhere.pt2", "model=nowhere.pt2: no such file"),
        ("model=nowhere", "give a .pt2 or .pt file, or package.module:name"),
        ("model=nowhere:make", "No module named 'nowhere'"),
        ("images=null", "give either images=FILE.npz or dataset=NAME"),
        ("images=nowhere.npz", "images=nowhere.npz"),
        ("num_images=21", "num_images=21; give 1..20"),
        ("mode=best", "mode='best'"),
        ("precision=float16", "precision='float16'"),
        ("device=tpu", "device=tpu should be one of cpu, cuda"),
        ("seed=-1", "seed=-1 should be a whole number from 0 to 2147483647"),
        ("batch_size=x", "batch_size=x should be a whole number from 1 or null"),
        ("num_images=2.5", "num_images=2.5 should be a whole number or null"),
        ("model=5", "model=5 should be text"),
        ("attack=[]", "give at least one attack"),
        ("attack.pgd.steps=0", "steps=0"),
        ("attack=nowhere", "nowhere"),
    ],
)
def test_bad_input(
    override: str,
    said: str,
    exported: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    short = [] if override.startswith("attack=") else SHORT
    arguments = [f"model={exported}", f"images={images}", f"out={tmp_path / 'out'}", *short, override]
    assert command(monkeypatch, *arguments) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "summary.csv").exists()


def test_weights_alone_are_no_model(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.save(make().state_dict(), tmp_path / "weights.pt")
    assert command(monkeypatch, f"model={tmp_path / 'weights.pt'}", f"images={images}", f"out={tmp_path / 'out'}") == 2
    assert "is no TorchScript file" in capfd.readouterr().err


def test_pixels_outside_the_unit_interval_are_named(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "i.npz", images=np.full((2, 3, 4, 4), 255, np.float32), labels=np.zeros(2, np.int64))
    assert command(monkeypatch, f"model={exported}", f"images={tmp_path / 'i.npz'}", f"out={tmp_path / 'out'}") == 2
    assert "outside [0, 1]" in capfd.readouterr().err
