"""``python -m evaluation.attack units=RUN``: the numbers of a run with these attacks, without training again."""

import csv
import gzip
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agnet.runtime.sealed import write_sealed_json
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import read_metadata
from evaluation import PGD, digits, evaluate, load_network
from evaluation.attack import main as attack
from evaluation.production import unit as module
from evaluation.production.merge import representatives
from evaluation.production.store import _hash
from evaluation.production.unit import UnitEvaluator
from evaluation.production.weights import Weights
from evaluation.run import main as run

SMALL = [
    "num_architectures=3",
    "group_size=2",
    "executor=inline",
    "dataset.num_valid=40",
    "dataset.num_test=30",
    "network.channels=2",
    "recipe.epochs=1",
    "recipe.batch_size=256",
    "progress=false",
]
FGSM = ["attack=[fgsm_digits]", "attack.fgsm.eps_255=[16]"]
ALL = ["attack=[fgsm_digits,pgd_digits,autoattack_digits]", "attack.fgsm.eps_255=[16]"]
MORE = ["attack=[pgd_digits,autoattack_digits]", "attack_images={autoattack: 12}"]
FEW = ["attack.pgd.steps=1", "attack.autoattack.steps=2", "attack.autoattack.queries=3", "attack.autoattack.targets=1"]
QUICK = ["executor=inline", "progress=false"]


def status(monkeypatch: pytest.MonkeyPatch, command: object, *overrides: str) -> int | str | None:
    """Exit status of a command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["command", *overrides])
    try:
        command()  # type: ignore[operator]
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with FGSM alone that has kept its networks. Tests work on copies if they change it."""
    out = tmp_path_factory.mktemp("kept") / "run"
    with pytest.MonkeyPatch.context() as patch:
        assert status(patch, run, *SMALL, *FGSM, f"out={out}", "keep_weights=true") == 0
    return out


@pytest.fixture(scope="module")
def again(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same networks under further attacks, without training."""
    out = tmp_path_factory.mktemp("again") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit_and_validate", None)
        assert status(patch, attack, f"units={kept}", *MORE, *FEW, *QUICK, f"out={out}") == 0
    return out


def table(folder: Path) -> pa.Table:
    return pq.read_table(folder / "nasbench201_digits.parquet")


def error(capfd: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr."""
    [line] = capfd.readouterr().err.splitlines()
    return line


def test_the_table_is_that_of_one_run_with_all_of_the_attacks(
    kept: Path, again: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns, order, values, details and protocol; only latencies are measured at another time."""
    counts = "attack_images={autoattack: 12}"
    assert status(monkeypatch, run, *SMALL, *ALL, *FEW, counts, "calibration=true", f"out={tmp_path}") == 0
    one, two = table(tmp_path), table(again)
    assert two.column_names == one.column_names
    latency = "digits_cpu_latency_ms"
    assert two.drop_columns([latency]).to_pylist() == one.drop_columns([latency]).to_pylist()
    assert two[latency] == table(kept)[latency], "as it was when they were trained"
    added = set(two.column_names) - set(table(kept).column_names)
    assert {"digits_test_ece", "digits_test_pgd_eps16", "digits_valid_autoattack_fab_t_eps16"} <= added
    details = [pq.read_table(folder / "nasbench201_digits_details.parquet").to_pylist() for folder in (tmp_path, again)]
    assert details[0] == details[1]
    name = "nasbench201_digits.parquet"
    metadata = [read_metadata(folder / name) for folder in (tmp_path, again)]
    assert metadata[0]["protocol_digest"] == metadata[1]["protocol_digest"]
    assert metadata[1]["networks"] == str(kept)


def test_the_same_command_again_attacks_nothing(
    kept: Path, again: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And after a kill only what is missing."""
    seen: list[str] = []
    real = UnitEvaluator.__call__

    def spy(self: UnitEvaluator, group: list[str], chosen: list[str], seed: int) -> object:
        seen.extend(chosen)
        return real(self, group, chosen, seed)

    monkeypatch.setattr(UnitEvaluator, "__call__", spy)
    before = table(again)
    given = (f"units={kept}", *MORE, *FEW, *QUICK, f"out={again}")
    assert status(monkeypatch, attack, *given) == 0
    assert seen == []
    next(iter((again / "units").iterdir())).unlink()
    assert status(monkeypatch, attack, *given) == 0
    assert len(seen) == 1
    assert table(again) == before
    assert "error" not in capfd.readouterr().err


def test_a_part_of_the_cells(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = (f"units={kept}", *FGSM, *QUICK, "num_architectures=1", "calibration=false", "seed=0")
    assert status(monkeypatch, attack, *given, f"out={tmp_path / 'out'}") == 0
    found = table(tmp_path / "out").to_pylist()
    cells = representatives(NASBench201())[:1]
    canonical = NASBench201().canonical
    assert {canonical(row["architecture"]) for row in found} == set(cells)
    assert found == [row for row in table(kept).to_pylist() if canonical(row["architecture"]) in cells], "FGSM again"


def test_transfer(kept: Path, again: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The diagonal is the table's column; off it, the images of one network are shown to another."""
    out = tmp_path / "out"
    given = (f"units={kept}", "transfer=true", "attack=[pgd_digits]", "attack.pgd.steps=1", *QUICK, f"out={out}")
    assert status(monkeypatch, attack, *given) == 0
    with np.load(out / "transfer.npz") as arrays:
        matrices = {name: arrays[name] for name in arrays}
    assert set(matrices) == {"pgd_eps16", "pgd_eps32"}
    cells = representatives(NASBench201())[:3]
    rows = {row["architecture"]: row for row in table(again).to_pylist()}
    assert np.diag(matrices["pgd_eps16"]).tolist() == [rows[cell]["digits_test_pgd_eps16"] for cell in cells]
    with (out / "transfer.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 9
    [line] = [r for r in lines if (r["eps"], r["source"], r["target"]) == ("32", cells[0], cells[2])]
    assert float(line["accuracy"]) == pytest.approx(matrices["pgd_eps32"][0, 2], abs=1e-4)

    test = digits(num_valid=40, num_test=30).test
    made = evaluate(
        load_network(kept, cells[0]),
        test.stored,
        test.labels,
        PGD([16 / 255, 32 / 255], 1, 0.3),
        keep_images=True,
    )
    answers = load_network(kept, cells[2])(made.adversarial["pgd_eps32"]).argmax(1)
    assert matrices["pgd_eps32"][0, 2] == pytest.approx(100 * float((answers == test.labels).double().mean()))
    before = {path: path.stat().st_mtime_ns for path in (out / "transfer").iterdir()}
    assert len(before) == 3
    victim = next(iter(before))
    victim.write_text("{}")
    assert status(monkeypatch, attack, *given) == 0
    changed = [path for path in before if path.stat().st_mtime_ns != before[path]]
    assert changed == [victim], "a damaged row is made again, and no other"


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["model=a:b"], "give either model=FILE_OR_IMPORT_PATH or units=FOLDER"),
        (["num_images=3"], "num_images=3 is for model=...; with units=... leave it out; give attack_images="),
        (["images=x.npz"], "images=x.npz is for model=..."),
        (["mode=worst_case"], "mode=worst_case: units=.* have mode=published; leave it out"),
        (["precision=bfloat16"], "precision=bfloat16: units=.* have precision=float32"),
        (["seed=7"], "has no units of seed 7"),
        (["num_architectures=9"], "num_architectures=9; give 1..3"),
        (["attack=[fgsm_digits]", "attack.fgsm.eps_255=[8]"], "attack fgsm is in units=.* with other settings"),
        (["attack=[fgsm]", "+attack.fgsm.name=mine", "attack_images={pgd: 2}"], "attack_images: pgd: 2; give a number"),
        (["dataset=digits", "dataset.num_valid=41", "dataset.num_test=30"], "restore the images, or say with dataset="),
        (["dataset=digits", "dataset.split_seed=1"], "its settings with the images that there are now give"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_settings_that_make_no_sense(
    given: list[str],
    said: str,
    kept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert status(monkeypatch, attack, f"units={kept}", *QUICK, *given, f"out={tmp_path / 'out'}") == 2
    assert re.search(said, error(capfd))
    assert not (tmp_path / "out" / "units").exists()


def test_folders_that_are_not_as_they_should(
    kept: Path, again: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(said: str, folder: Path, *given: str) -> None:
        assert status(monkeypatch, attack, f"units={folder}", *FGSM, *QUICK, f"out={tmp_path / 'out'}", *given) == 2
        assert said in error(capfd)

    refused("has no settings.json; give the folder of evaluation.run with keep_weights=true", tmp_path)
    refused("is the folder of units=", kept, f"out={kept}")
    refused("holds units of another protocol (differs in attack_images, attacks)", kept, f"out={again}")
    broken = Path(shutil.copytree(kept, tmp_path / "broken"))
    files = sorted((broken / "weights").glob("*/*"))
    content = files[0].read_bytes()
    files[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused(f"{files[0]} is damaged (its content does not match its hash)", broken)
    files[0].write_bytes(files[1].read_bytes())
    refused(f"{files[0]}: the weights of ", broken)
    files[0].unlink()
    refused("are gone; restore the file", broken)
    settings = broken / "settings.json"
    plain = json.loads(settings.read_text())
    hostile = {**plain["settings"], "dataset": {"_target_": "os.system", "command": "true"}}
    write_sealed_json(settings, {"protocol": plain["protocol"], "settings": hostile})
    refused(
        "asks for 'os.system', which is no part that this project ships; if you trust that file, add trust=", broken
    )
    write_sealed_json(
        settings, {"protocol": plain["protocol"], "settings": {**plain["settings"], "mode": "worst_case"}}
    )
    refused("was made under protocol", broken)
    settings.write_text(settings.read_text().replace("worst_case", "published"))
    refused("settings.json is damaged", broken)


def test_a_run_that_has_kept_no_weights_of_some(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(kept, tmp_path / "run"))
    unit = next(iter((folder / "units").iterdir()))
    unit.unlink()
    assert status(monkeypatch, run, *SMALL, *FGSM, f"out={folder}") == 0
    capfd.readouterr()
    assert status(monkeypatch, attack, f"units={folder}", *FGSM, *QUICK, f"out={tmp_path / 'out'}") == 2
    assert "1 of 3 units have no weights, the first is |" in (said := error(capfd))
    assert "run the command that made them again with keep_weights=true" in said


@pytest.mark.slow
def test_other_weights_are_attacked_anew(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As after training on another machine, where rounding differs: the record names the weights it was made with."""
    folder, out = Path(shutil.copytree(kept, tmp_path / "run")), tmp_path / "out"
    given = (f"units={folder}", "attack=[pgd_digits]", "attack.pgd.steps=1", *QUICK, f"out={out}")
    assert status(monkeypatch, attack, *given) == 0
    before = table(out).to_pylist()
    path = next(iter((folder / "units").iterdir()))
    content = json.loads(gzip.decompress(path.read_bytes()))
    network = load_network(folder, content["architecture"])
    network.classifier.bias.data += 10 * network.classifier.weight.data[:, 0]
    content["weights"] = Weights(folder, content["protocol"]).write(network, 0)
    cost = content.pop("cost"), content.pop("sha256")
    path.write_bytes(gzip.compress(json.dumps({**content, "sha256": _hash(content), "cost": cost[0]}).encode()))
    capfd.readouterr()
    assert status(monkeypatch, attack, *given) == 0
    assert error(capfd) == "note: 1 units are done but had other weights then; they are attacked again"
    changed = {
        NASBench201().canonical(a["architecture"])
        for a, b in zip(before, table(out).to_pylist(), strict=True)
        if a != b
    }
    assert changed == {content["architecture"]}
