"""The command, in this process and as a user starts it."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from agnet.errors import TableError
from agnet.runtime.paths import CONF_DIR, ROOT
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.table import read_table
from search.import_table import main
from search.importers import base
from search.importers.base import Importer
from search.importers.robustness import RobustnessDataset

KINDS = sorted((CONF_DIR / "importer").glob("*.yaml"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The smallest source: one architecture of the robustness dataset."""
    folder = tmp_path / "source"
    (folder / "cifar10").mkdir(parents=True)
    ids = {"0": {"nb201-string": NASBench201().enumerate()[0], "isomorph": "0"}}
    (folder / "meta.json").write_text(json.dumps({"ids": ids, "epsilons": {}}))
    values = {"cifar10": {"clean": {"accuracy": {"0": 0.5}}}}
    (folder / "cifar10" / "clean_accuracy.json").write_text(json.dumps(values))
    return folder


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run the command, which refuses with status 2; what it says."""

    def called(*overrides: str) -> str:
        monkeypatch.setattr(sys, "argv", ["search/import_table.py", *overrides])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        text = capfd.readouterr().err
        assert "Traceback" not in text
        return text

    return called


@pytest.mark.parametrize("path", KINDS, ids=lambda p: p.stem)
def test_every_kind_is_a_reader(path: Path) -> None:
    importer = instantiate(OmegaConf.load(path))
    assert isinstance(importer, Importer)
    assert {"source", "seeds"} <= importer.metadata().keys()
    assert path.stem in (ROOT / "docs" / "import.md").read_text()


def test_a_table_and_what_is_said_of_it(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "table.parquet"
    monkeypatch.setattr(sys, "argv", ["search/import_table.py", "importer=robustness", f"path={tree}", f"out={out}"])
    main()
    said = capfd.readouterr()
    assert (said.out, said.err) == (f"{out}: 1 architectures, 2 columns: isomorph, cifar10_clean\n", "")
    assert read_table([out], ["cifar10_clean"]).values.tolist() == [[50.0]]


@pytest.mark.slow
def test_a_table_from_a_shell(tree: Path, tmp_path: Path) -> None:
    """As in the yaml's first line, and quiet."""
    out = tmp_path / "new" / "table.parquet"
    arguments = [sys.executable, "-m", "search.import_table", "importer=robustness", f"path={tree}", f"out={out}"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}: 1 architectures, 2 columns: isomorph, cifar10_clean\n"
    assert read_table([out], ["cifar10_clean"]).values.tolist() == [[50.0]]


def test_an_older_table_is_replaced_and_survives_a_refusal(tree: Path, tmp_path: Path, said: Any) -> None:
    out = tmp_path / "table.parquet"
    out.write_bytes(b"old")
    (tree / "meta.json").rename(tree / "hidden")
    assert "has no meta.json" in said("importer=robustness", f"path={tree}", f"out={out}")
    assert out.read_bytes() == b"old"
    (tree / "hidden").rename(tree / "meta.json")
    sys.argv[1:] = ["importer=robustness", f"path={tree}", f"out={out}"]
    main()
    assert read_table([out], ["isomorph"]).rows


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["importer=nasbench301"], ["nasbench301", "nats_bench", "robustness"]),
        (["path=nowhere"], ["path=nowhere does not exist", "docs/import.md"]),
        (["importer.epochs=13"], ["importer.epochs=13", "200 or 12"]),
        (["importer.colour=red"], ["colour"]),
        (["out=table.csv"], ["out=table.csv should be a Parquet file, e.g. table.parquet"]),
        (["out=."], ["out=."]),
    ],
)
def test_what_the_user_can_put_right_is_said_in_words(
    tmp_path: Path, said: Any, overrides: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"path": ".", "out": "table.parquet"}
    changed = {override.split("=")[0] for override in overrides}
    text = said(*(f"{k}={v}" for k, v in settings.items() if k not in changed), *overrides)
    assert [part for part in expected if part not in text] == []
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_forbids_is_said_in_words(
    tree: Path, tmp_path: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "meta.json")

    monkeypatch.setattr(RobustnessDataset, "read", forbidden)
    text = said("importer=robustness", f"path={tree}", f"out={tmp_path / 'table.parquet'}")
    assert f"path={tree} cannot be read: [Errno 13] Permission denied: 'meta.json'" in text


def test_a_pickle_that_memory_cannot_hold_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, *_: object) -> None:
            raise MemoryError

    monkeypatch.setattr(base, "RestrictedUnpickler", Full)
    with pytest.raises(TableError, match=r"b\.pth does not fit into memory; docs/import\.md"):
        base.unpickle(io.BytesIO(b""), "b.pth", "use another")


@pytest.mark.parametrize("missing", ["path", "out"])
def test_both_paths_must_be_given(said: Any, tmp_path: Path, missing: str) -> None:
    settings = {"path": tmp_path, "out": tmp_path / "table.parquet"}
    assert missing in said(*(f"{k}={v}" for k, v in settings.items() if k != missing))
