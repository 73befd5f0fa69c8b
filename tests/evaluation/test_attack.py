"""``python -m evaluation.attack`` on models and images of all kinds."""

import csv
import importlib
import io
import json
import re
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from agnet.errors import AGNetError
from agnet.runtime.files import locked
from evaluation import attack as module
from evaluation.attack import main
from evaluation.attacks.evaluate import evaluate
from evaluation.attacks.outcome import load_outcomes

SHORT = ["attack=[fgsm,pgd]", "attack.fgsm.eps_255=[1,8]", "attack.pgd.eps_255=[1,8]", "attack.pgd.steps=2"]


def make() -> nn.Module:
    """What an import path names."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 10)).eval()


@pytest.fixture(scope="module")
def sound_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "images.npz"
    pixels = torch.rand(20, 3, 4, 4)
    with torch.no_grad():
        labels = make()(pixels).argmax(dim=1)
    np.savez(path, images=pixels.numpy(), labels=labels.numpy())
    return path


@pytest.fixture
def images(sound_images: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound_images, tmp_path))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(make(), (torch.rand(2, 3, 4, 4),), dynamic_shapes=shapes), path)
    return path


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scripted") / "net.pt"
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
    assert command(monkeypatch, f"model={model}", "trust=true", f"images={images}", f"out={out}", *SHORT) == 0
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
    arguments = [f"model={exported}", "trust=true", f"images={images}", f"out={tmp_path / 'out'}", *SHORT]
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
        ("images=nowhere.npz", "nowhere.npz"),
        ("num_images=21", "num_images=21; give 1..20"),
        ("mode=best", "mode='best'"),
        ("precision=float16", "precision='float16'"),
        ("device=tpu", "device=tpu should be one of cpu, cuda"),
        ("seed=-1", "seed=-1 should be a whole number from 0 to 2147483647"),
        ("batch_size=x", "batch_size=x should be a whole number from 1 or null"),
        ("num_images=2.5", "num_images=2.5 should be a whole number from 1 or null"),
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
    arguments = [f"model={exported}", "trust=true", f"images={images}", f"out={tmp_path / 'out'}", *short, override]
    assert command(monkeypatch, *arguments) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "summary.csv").exists()


def test_weights_alone_are_no_model(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.save(make().state_dict(), tmp_path / "weights.pt")
    given = [f"model={tmp_path / 'weights.pt'}", "trust=true", f"images={images}", f"out={tmp_path / 'out'}"]
    assert command(monkeypatch, *given) == 2
    assert "is no TorchScript file" in capfd.readouterr().err


def test_pixels_outside_the_unit_interval_are_named(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "i.npz", images=np.full((2, 3, 4, 4), 255, np.float32), labels=np.zeros(2, np.int64))
    assert command(monkeypatch, f"model={exported}", f"images={tmp_path / 'i.npz'}", f"out={tmp_path / 'out'}") == 2
    assert "outside [0, 1]" in capfd.readouterr().err


def refused(said: str, **changes: object) -> None:
    """The body of the command, without the second that reading the configuration takes, refuses in one line."""
    plain = {"data_root": ".", "num_images": None, "mode": "published", "precision": "float32", "seed": 0}
    plain |= {"batch_size": None, "device": "cpu", "trust": True}
    plain |= {"units": None, "num_architectures": None, "draw_seed": None, "attack_images": None, "calibration": True}
    plain |= {"transfer": False, "retry": False, "progress": False, "table": None}
    plain |= {"executor": {"_target_": "agnet.InlineExecutor"}}
    plain |= {"attack": {"fgsm": {"_target_": "evaluation.FGSM", "eps_255": [8]}}}
    with pytest.raises(AGNetError, match=said) as caught:
        module.run(OmegaConf.create(plain | {key: str(v) if isinstance(v, Path) else v for key, v in changes.items()}))
    assert "\n" not in str(caught.value)
    assert not any(word in str(caught.value) for word in ("weights_only", "allow_pickle"))


# ----------------------------------------------------------------------------------------------------- programs


@pytest.mark.parametrize("kind", ["exported", "scripted"])
def test_a_program_needs_trust(
    kind: str,
    request: pytest.FixtureRequest,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model = request.getfixturevalue(kind)
    given = [
        f"model={model}",
        f"images={images}",
        f"out={tmp_path / 'out'}",
        "attack=[fgsm]",
        "attack.fgsm.eps_255=[8]",
    ]
    assert command(monkeypatch, *given) == 2
    assert f"model={model} is a program, which may read and write files" in one_line(capfd)
    assert not (tmp_path / "out").exists()
    assert command(monkeypatch, *given, "trust=true") == 0
    assert "is a program, which runs because of trust=true" in capfd.readouterr().err


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    """What the command has said: one line, without advice to trust the file further."""
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert not any(word in lines[0] for word in ("weights_only", "allow_pickle", "Traceback"))
    return lines[0]


def test_a_frozen_script_is_a_model(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.freeze(torch.jit.script(make())).save(str(tmp_path / "frozen.pt"))
    given = [f"model={tmp_path / 'frozen.pt'}", "trust=true", f"images={images}", f"out={tmp_path / 'out'}", *SHORT]
    assert command(monkeypatch, *given) == 0


# ----------------------------------------------------------------------------------------------- broken factories

MODULE = """
import sys
import torch
def raises(): raise ValueError("no weights w.bin\\nand more")
def leaves(): sys.exit(3)
def nothing(): pass
def loader(): return torch.utils.data.DataLoader([1])
def numbers(): return lambda x: x.flatten(1).numpy()
def pair(): return lambda x: (x, x)
def other_channels(): return torch.nn.Conv2d(5, 3, 1).eval()
def training(): return torch.nn.Flatten()
def kind(): return torch.nn.Linear
def needs(argument): return torch.nn.Flatten().eval()
def double(): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 10)).eval().double()
def breaks():
    net, calls = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 10)).eval(), []
    def model(x):
        calls.append(x)
        if len(calls) > 4: raise KeyError("layer")
        return net(x)
    return model
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", r"model=broken_models_of_mine:raises raised ValueError \(no weights w.bin\) at \w+\.py:4; it must"),
        ("leaves", r":leaves raised SystemExit \(3\) at broken_models_of_mine\.py:5"),
        ("nothing", ":nothing returned NoneType; it must return a torch module"),
        ("loader", ":loader returned DataLoader"),
        ("numbers", r":numbers: .*raised RuntimeError|:numbers: returned ndarray"),
        ("pair", ":pair: returned tuple"),
        ("other_channels", r":other_channels: raised RuntimeError .*; it must take a batch of float32\[\d+, 3, 4, 4\]"),
        ("training", "training mode"),
        ("kind", ":kind: raised TypeError|:kind: returned Linear"),
        ("needs", r":needs raised TypeError \(needs\(\) missing 1 required"),
        ("double", ":double: raised RuntimeError"),
        ("breaks", r":breaks: raised KeyError \('layer'\) at broken_models_of_mine\.py:19"),
        ("absent", "has no attribute 'absent'"),
    ],
)
def test_models_that_are_none(
    name: str, said: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_models_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_models_of_mine", raising=False)
    refused(said, model=f"broken_models_of_mine:{name}", images=images, out=tmp_path / "out")
    assert not (tmp_path / "out" / "summary.csv").exists()


def test_modules_that_do_not_load(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "not_python_of_mine.py").write_text("x = = 1\n")
    monkeypatch.chdir(tmp_path)
    for model, said in (
        ("not_python_of_mine:make", r"SyntaxError \(invalid syntax\) at not_python_of_mine\.py:1"),
        ("sys:exit", "raised SystemExit"),
        ("builtins:list", "returned list"),
        ("a:b:c", "give a .pt2 or .pt file, or package.module:name"),
        ("..:x", "give a .pt2 or .pt file, or package.module:name"),
    ):
        refused(said, model=model, images=images, out=tmp_path / "out")


def test_a_command_says_so_in_one_line(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "model=sys:exit", f"images={images}", f"out={tmp_path / 'out'}", *SHORT) == 2
    assert "model=sys:exit raised SystemExit" in one_line(capfd)


def test_a_fixed_batch(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "fixed.pt2"
    torch.export.save(torch.export.export(make(), (torch.rand(3, 3, 4, 4),)), path)
    said = r"fixed\.pt2: raised \w+ .*; it must take a batch of float32\[\d+, 3, 4, 4\]"
    refused(said, model=path, images=images, out=tmp_path / "out")


# ----------------------------------------------------------------------------------------------------- identity


def test_a_changed_model_or_changed_images_are_attacked_anew(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import torch\ndef make():\n    torch.manual_seed({})\n"
    source += "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 10)).eval()\n"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def attacked(seed: int, out: str) -> str:
        (tmp_path / "changing_model_of_mine.py").write_text(source.format(seed))
        sys.modules.pop("changing_model_of_mine", None)
        importlib.invalidate_caches()
        given = ["model=changing_model_of_mine:make", f"images={images}", f"out={tmp_path / out}", *SHORT]
        assert command(monkeypatch, *given) == 0
        return (tmp_path / out / "summary.csv").read_text()

    first = attacked(10, "same")
    second = attacked(11, "same")
    assert second == attacked(11, "fresh") != first
    assert attacked(10, "same") == first
    with np.load(images) as file:
        np.savez(images, images=1 - file["images"], labels=file["labels"])
    third = attacked(10, "same")
    assert third == attacked(10, "again") != first
    digests = json.loads((tmp_path / "same" / "evaluation.json").read_text())["settings"]["digests"]
    assert sorted(digests) == ["images", "labels", "model"]


def test_the_same_model_with_other_weights_from_a_file(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the source does not tell: the factory reads weights that have changed."""
    (tmp_path / "loading_model_of_mine.py").write_text(
        "import torch\ndef make():\n    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 10)).eval()\n"
        "    net.load_state_dict(torch.load('weights.pt', weights_only=True))\n    return lambda x: net(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    given = ["model=loading_model_of_mine:make", f"images={images}", *SHORT]
    found = []
    for scale in (1, -1):
        torch.save({name: scale * tensor for name, tensor in make().state_dict().items()}, tmp_path / "weights.pt")
        assert command(monkeypatch, *given, f"out={tmp_path / 'same'}") == 0
        found.append((tmp_path / "same" / "summary.csv").read_text())
    assert found[0] != found[1]


def test_a_damaged_outcome_is_attacked_again(
    exported: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = [f"model={exported}", "trust=true", f"images={images}", f"out={out}", *SHORT]
    assert command(monkeypatch, *given) == 0
    whole = {path.name: path.read_bytes() for path in sorted(out.glob("*")) if path.is_file()}
    [path] = (out / "attacks").glob("pgd_*.npz")
    sound = path.read_bytes()
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 1
    with np.load(io.BytesIO(sound)) as file:
        other = io.BytesIO()
        np.savez_compressed(other, **{**file, "pgd_eps8/robust": ~file["pgd_eps8/robust"]})
    for broken in (b"", sound[:-50], bytes(flipped), bytes(len(sound)), other.getvalue()):
        path.write_bytes(broken)
        capfd.readouterr()
        assert command(monkeypatch, *given) == 0
        assert re.search(r"note: .*pgd_\w+\.npz is damaged .*; it is attacked again", capfd.readouterr().err)
        assert path.read_bytes() == sound
    assert {path.name: path.read_bytes() for path in sorted(out.glob("*")) if path.is_file()} == whole


def test_two_commands_in_one_folder(
    exported: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agnet.runtime.files._PATIENCE", 0.0)
    given = [f"model={exported}", "trust=true", f"images={images}", f"out={tmp_path / 'out'}", *SHORT]
    with locked(tmp_path / "out"):
        assert command(monkeypatch, *given) == 2
    assert "another process works in" in one_line(capfd)


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", "=cmd()"])
def test_names_that_are_paths(name: str, exported: Path, images: Path, tmp_path: Path) -> None:
    attack = {"fgsm": {"_target_": "evaluation.FGSM", "eps_255": [8], "name": name}}
    refused(
        "cannot be a part of a file's name|give a name",
        model=exported,
        images=images,
        out=tmp_path / "out",
        attack=attack,
    )
    assert not (tmp_path / "out").exists()


def test_doubts_are_told_and_kept(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rounding_model_of_mine.py").write_text(
        "import torch\ndef make():\n    torch.manual_seed(5)\n    net = torch.nn.Linear(48, 10)\n"
        "    return lambda x: net((x * 255).round().flatten(1) / 255)\n"
    )
    monkeypatch.chdir(tmp_path)
    given = ["model=rounding_model_of_mine:make", f"images={images}", f"out={tmp_path / 'out'}", *SHORT]
    for _ in range(2):
        assert command(monkeypatch, *given) == 0
        assert "warning: the gradient is zero on 100% of 20 images" in capfd.readouterr().err
    checks = json.loads((tmp_path / "out" / "evaluation.json").read_text())["checks"]
    assert checks == {"randomised": False, "zero_gradients": 1.0, "zero_gradients_of": 20}


# ------------------------------------------------------------------------------------------------------- images


def claiming(path: Path) -> None:
    """An array whose header says a million million values."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**8, 100, 10, 10)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(64))
        archive.writestr("labels.npy", header.getvalue())


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2**23,)})
        file.write(bytes(2**23))


PIXELS, LABELS = np.full((6, 3, 4, 4), 0.5, np.float32), np.arange(6)


@pytest.mark.parametrize(
    ("make_file", "said"),
    [
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(b"PK"), "cannot be read"),
        (lambda path: path.mkdir(), "no such file"),
        (claiming, "claims 4"),
        (bomb, "unpack to"),
        (lambda path: np.savez(path, images=np.array([None] * 6), labels=LABELS), "holds Python objects"),
        (lambda path: np.savez(path, images=PIXELS), "has no array 'labels'"),
        (lambda path: np.savez(path, x=PIXELS, y=LABELS), "has no array 'images'"),
        (lambda path: np.savez(path, images=PIXELS, labels=LABELS.astype(str)), "holds an array of <U"),
        (lambda path: np.savez(path, images=PIXELS * 1j, labels=LABELS), "holds an array of complex64"),
        (lambda path: np.savez(path, images=PIXELS * np.nan, labels=LABELS), "NaN or infinite pixels"),
        (lambda path: np.savez(path, images=PIXELS, labels=LABELS[:5]), "give one label per image"),
        (lambda path: np.savez(path, images=PIXELS, labels=LABELS / 2), "give class indices as integers"),
        (lambda path: np.savez(path, images=PIXELS, labels=LABELS + 5), "labels range over 5..10"),
        (lambda path: np.savez(path, images=PIXELS, labels=LABELS - 1), "labels range over -1..4"),
        (lambda path: np.savez(path, images=PIXELS[:0], labels=LABELS[:0]), "images of shape"),
        (lambda path: np.savez(path, images=PIXELS > 0, labels=LABELS), "images of type torch.bool"),
        (lambda path: np.savez(path, images=PIXELS.astype(np.float16), labels=LABELS), "rounds small radii away"),
        (lambda path: np.savez(path, images=PIXELS[0], labels=LABELS), "images of shape"),
        (lambda path: np.savez(path, images=PIXELS.transpose(0, 2, 3, 1)[:, :2], labels=LABELS), "raised|returned"),
    ],
)
def test_images_that_are_none(
    make_file: Callable[[Path], object], said: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.data.npz._ROOM", 2**20)
    path = tmp_path / "mine.npz"
    make_file(path)
    refused(said, model=exported, images=path, out=tmp_path / "out")


def test_arrays_of_other_types_are_the_same_images(
    exported: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(images) as file:
        arrays = dict(file)
    short = ["attack=[fgsm]", "attack.fgsm.eps_255=[8]"]
    found = []
    for dtype, labels in (("<f4", "<i8"), ("<f8", "u1"), (">f4", ">i4"), (">f8", "<u4")):
        path, out = tmp_path / f"{dtype[1:]}.npz", tmp_path / f"out{len(found)}"
        np.savez(path, images=arrays["images"].astype(dtype), labels=arrays["labels"].astype(labels))
        assert command(monkeypatch, f"model={exported}", "trust=true", f"images={path}", f"out={out}", *short) == 0
        found.append((out / "summary.csv").read_text())
    assert len(set(found)) == 1
