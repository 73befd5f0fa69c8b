"""Details in the published layout: read by another hand, and back into a table."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import Column
from agnet.tables.conditions import details_table, write_details
from agnet.tables.published_json import CORRUPTIONS
from evaluation.export import main
from evaluation.production import published_json as tree
from search.import_table import main as import_table
from search.importers.robustness import RobustnessDataset

SPACE = NASBench201()
CELLS, ISOMORPHS = SPACE.enumerate(), SPACE.isomorphs
MEMBER, REPRESENTATIVE = next((i, isomorph) for i, isomorph in enumerate(ISOMORPHS) if isomorph != i)
EVALUATED = sorted({0, 1, REPRESENTATIVE})
IMAGES = 7  # sevenths are no decimal fractions
KEYS: list[tuple[str, str, tuple[float, ...]]] = [
    ("clean", "clean", (0,)),
    ("attack", "fgsm", (0.1, 1, 255)),
    ("attack", "pgd", (0.5, 1)),
    ("attack", "apgd_ce", (1,)),
    ("attack", "square", (2,)),
    ("attack", "pgd_l2", (1, 2)),
    *(("corruption", name, (1, 2, 3, 4, 5)) for name in CORRUPTIONS),
]


PROTOCOL = {"mode": "published", "attacks": {"pgd": {"norm": "linf"}, "pgd_l2": {"norm": "l2"}}}


class PublishedReader:
    """What the authors' class does, written from its description: paths, nesting and types as it expects them."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(f"{path}/meta.json") as file:
            self.meta = json.load(file)
        self.map_str_to_id = {entry["nb201-string"]: number for number, entry in self.meta["ids"].items()}
        self.non_isomorph_ids = [number for number, entry in self.meta["ids"].items() if entry["isomorph"] == number]

    def query(self, data: Any, key: Any, measure: Any, missing_ok: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for d in data if isinstance(data, list) else [data]:
            found[d] = {}
            for k in key if isinstance(key, list) else [key]:
                found[d][k] = {}
                for m in measure if isinstance(measure, list) else [measure]:
                    try:
                        with open(f"{self.path}/{d}/{k}_{m}.json") as file:
                            found[d][k][m] = json.load(file)[d][k][m]
                    except FileNotFoundError:
                        if not missing_ok:
                            raise
                if not found[d][k]:
                    del found[d][k]
        return found

    def get_uid(self, number: int | str) -> str:
        return self.meta["ids"][str(number)]["isomorph"]

    def id_to_string(self, number: int | str) -> str:
        return self.meta["ids"][str(number)]["nb201-string"]

    def string_to_id(self, architecture: str) -> str:
        return self.map_str_to_id[architecture]


def rows(datasets: Iterable[str] = ("cifar10",), seeds: Iterable[int] = (1, 0)) -> list[dict[str, Any]]:
    """Made up and different for everything that may be mixed up; levels in no order."""
    rng = np.random.default_rng(0)
    found = []
    for dataset in datasets:
        for seed in seeds:
            for number in EVALUATED:
                for split in ("valid", "test"):
                    for kind, key, levels in KEYS:
                        for level in reversed(levels):
                            labels, predicted = rng.integers(0, 3, (2, IMAGES))
                            right = labels == predicted
                            matrix = np.zeros((3, 3), int)
                            np.add.at(matrix, (labels, predicted), 1)
                            found.append(
                                {
                                    **{"architecture": CELLS[number], "seed": seed, "dataset": dataset, "split": split},
                                    **{"kind": kind, "key": key, "level": level, "images": IMAGES},
                                    **{"accuracy": 100.0 * float(right.mean()), "confidence": rng.random()},
                                    **{"confidence_right": None, "confidence_wrong": 0.5, "confidence_true": 0.4},
                                    **{"forwards": 1.0, "gradients": 0.0, "confusion": matrix.ravel().tolist()},
                                    "robust": np.packbits(right).tobytes(),
                                }
                            )
    return found


Export = Callable[..., tuple[int | str | None, str]]


@pytest.fixture
def details(tmp_path: Path) -> Path:
    path = tmp_path / "table.details.parquet"
    write_details(path, details_table(rows()), {"protocol": json.dumps(PROTOCOL), "revision": "abc"})
    return path


@pytest.fixture
def export(tmp_path: Path, details: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Export:
    """Run the command: exit status, and what it says."""

    def run(*overrides: str) -> tuple[int | str | None, str]:
        arguments = [f"details={details}", f"out={tmp_path / 'out'}", *overrides]
        monkeypatch.setattr(sys, "argv", ["evaluation/export.py", *arguments])
        status: int | str | None = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return status, said.out + said.err

    return run


def expected(split: str, seed: int, quantity: str = "accuracy") -> dict[tuple[str, str, float], Any]:
    return {
        (row["architecture"], row["key"], float(row["level"])): row[quantity]
        for row in rows()
        if (row["split"], row["seed"]) == (split, seed)
    }


def test_the_published_reader_reads_it(export: Export, tmp_path: Path) -> None:
    assert export() == (0, f"{tmp_path / 'out'}: {3 * len(KEYS)} files of the test images, seed 0\n")
    data = PublishedReader(str(tmp_path / "out"))
    assert len(data.non_isomorph_ids) == 6466
    assert data.get_uid(50) == data.get_uid("50") == str(ISOMORPHS[50])
    assert data.string_to_id(data.id_to_string(13433)) == "13433"
    theirs = ["fgsm@Linf", "pgd@Linf", "aa_apgd-ce@Linf", "aa_square@Linf"]
    keys = ["clean", *theirs, "pgd_l2@L2", *CORRUPTIONS]
    measures = ["accuracy", "confidence", "cm"]
    found = data.query(["cifar10"], keys, measures)["cifar10"]
    assert list(data.meta["epsilons"]) == [*theirs, "pgd_l2@L2"]
    assert data.meta["epsilons"]["fgsm@Linf"] == [0.1, 1.0, 255.0]
    accuracies, confidences, confusions = (expected("test", 0, q) for q in ("accuracy", "confidence", "confusion"))
    seen = 0
    for key, (kind, name, _) in zip(keys, KEYS, strict=True):
        levels = {"clean": [0.0], "corruption": [1.0, 2, 3, 4, 5]}.get(kind) or data.meta["epsilons"][key]
        for measure in measures:
            assert list(found[key][measure]) == [str(number) for number in EVALUATED]
        for number in EVALUATED:
            accuracy, confidence, confusion = (found[key][measure][str(number)] for measure in measures)
            if kind == "clean":
                assert isinstance(accuracy, float)
                accuracy, confidence, confusion = [accuracy], [confidence], [confusion]
            for i, level in enumerate(levels):
                place = (data.id_to_string(number), name, level)
                assert accuracy[i] == accuracies[place] / 100
                assert confidence[i] == confidences[place]
                assert np.ravel(confusion[i]).tolist() == confusions[place]
                seen += 1
            assert len(accuracy) == len(confidence) == len(confusion) == len(levels)
    assert seen == len(accuracies)
    with pytest.raises(FileNotFoundError):
        data.query("ImageNet16-120", "fog", "accuracy")
    assert data.query("ImageNet16-120", "fog", "accuracy", missing_ok=True) == {"ImageNet16-120": {}}


def test_meta_says_how_it_was_made(export: Export, tmp_path: Path) -> None:
    assert export("split=valid", "seed=1")[0] == 0
    about = json.loads((tmp_path / "out" / "meta.json").read_text())["agnet"]
    assert (about["split"], about["seed"], about["revision"]) == ("valid", 1, "abc")
    assert about["protocol"] == PROTOCOL
    assert about["confidence"] == "mean highest softmax over all reported images, 0..1"
    assert about["cm"].endswith("rows = true classes, columns = predicted classes")
    assert about["left_out"] == []


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["meta.json", "cifar10/clean_accuracy.json"])
def test_an_exported_tree_that_was_changed_is_refused(export: Export, tmp_path: Path, name: str) -> None:
    assert export("split=valid", "seed=1")[0] == 0
    path = tmp_path / "out" / name
    text = path.read_text()
    for changed in (text.replace("0", "1", 1), text.replace("1", "2", 1), None):
        path.unlink() if changed is None else path.write_text(changed)
        with pytest.raises(TableError, match=name.rpartition("/")[2]):
            RobustnessDataset().read(tmp_path / "out", progress=False)


def test_back_into_a_table(export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert export("split=valid", "seed=1")[0] == 0
    path = tmp_path / "table.parquet"
    arguments = ["importer=robustness", "importer.confidence=true", f"path={tmp_path / 'out'}", f"out={path}"]
    monkeypatch.setattr(sys, "argv", ["search/import_table.py", *arguments])
    import_table()
    table = pq.read_table(path)
    assert table["architecture"].to_pylist() == list(CELLS)
    assert table["isomorph"].to_pylist() == list(ISOMORPHS)
    kinds = {name: kind for kind, name, _ in KEYS}
    for quantity in ("accuracy", "confidence"):
        for (architecture, key, level), value in expected("valid", 1, quantity).items():
            column = Column("cifar10", "", kinds[key], key, level, quantity).name
            assert table[column][CELLS.index(architecture)].as_py() == value
    assert table.num_columns == 2 + 2 * sum(len(levels) for _, _, levels in KEYS)
    assert table["cifar10_clean"][MEMBER] == table["cifar10_clean"][REPRESENTATIVE]
    assert table["cifar10_clean"].null_count == sum(isomorph not in EVALUATED for isomorph in ISOMORPHS)


def test_names_of_data_sets(export: Export, details: Path, tmp_path: Path) -> None:
    write_details(details, details_table(rows(["imagenet16", "cifar10micro"], [0])), {})
    assert export()[0] == 0
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folders == ["ImageNet16-120", "cifar10micro"]
    names = RobustnessDataset().read(tmp_path / "out", progress=False).column_names
    assert {"imagenet16_fog_s3", "cifar10micro_pgd_l2_eps2"} <= set(names)


def test_what_has_no_place_is_said(export: Export, details: Path, tmp_path: Path) -> None:
    def kept(row: dict[str, Any]) -> bool:
        return row["key"] != "fog" or row["level"] == 3

    changed = [{**row, "confidence": None} if row["key"] == "snow" else row for row in rows() if kept(row)]
    write_details(details, details_table(changed), {})
    assert export()[1].endswith("no place in the layout: cifar10, fog at 3\n")
    assert not (tmp_path / "out" / "cifar10" / "fog_accuracy.json").exists()
    assert (tmp_path / "out" / "cifar10" / "snow_accuracy.json").exists()
    assert not (tmp_path / "out" / "cifar10" / "snow_confidence.json").exists()
    assert json.loads((tmp_path / "out" / "meta.json").read_text())["agnet"]["left_out"] == ["cifar10, fog at 3"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_interrupted_export_goes_on(export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, real, left = tmp_path / "out", tree.write_text, [5]

    def stops(path: Path, text: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path, text)

    with monkeypatch.context() as patched:
        patched.setattr(tree, "write_text", stops)
        assert export()[0] == 130
    assert len(contents(out)) == 5
    assert not (out / "meta.json").exists()
    assert export()[0] == 0
    whole = contents(out)
    assert export()[0] == 0
    assert contents(out) == whole
    assert len(whole) == 3 * len(KEYS) + 2


def test_another_export_is_kept_unless_forced(export: Export, details: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export()[0] == 0
    before = contents(out)
    assert export("split=valid") == (
        2,
        f"error: {out} holds another export; choose another out=..., or replace it with force=true\n",
    )
    assert contents(out) == before
    write_details(details, details_table(row for row in rows() if row["key"] != "fog"), {})
    assert export("split=valid", "force=true")[0] == 0
    assert not (out / "cifar10" / "fog_accuracy.json").exists()
    assert json.loads((out / "meta.json").read_text())["agnet"]["split"] == "valid"


def test_a_folder_of_others_is_kept(export: Export, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for force in ("false", "true"):
        assert "holds something else; choose another out" in export(f"force={force}")[1]


def test_a_dataset_of_others_is_kept(export: Export, tmp_path: Path) -> None:
    """The authors' own files have the layout, and no mark of ours."""
    assert export()[0] == 0
    out = tmp_path / "out"
    (out / "export.json").unlink()
    before = contents(out)
    assert "a dataset that was not exported here" in export("split=valid", "force=true")[1]
    assert contents(out) == before


def edited(**changes: Any) -> list[dict[str, Any]]:
    """Rows of which the last one, of the test split and seed 0, is another."""
    found = rows()
    return [*found[:-1], {**found[-1], **changes}]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (edited(level=6.0), "does not have each of the levels 1, 2, 3, 4, 5, 6 once, as others do"),
        (edited(level=2.0), "does not have each of the levels 1, 2, 3, 4, 5 once"),
        (edited(architecture=next(CELLS[i] for i, k in enumerate(ISOMORPHS) if i != k)), "stands for no class of"),
        (edited(kind="clean", key="clean", level=1.0), "clean images have no levels, but these have 0, 1"),
        (edited(confusion=[1, 2, 3, 4]), "zoom_blur: networks have different numbers of classes"),
        (
            [*rows(), *({**r, "dataset": "a", "level": r["level"] + 1} for r in rows())],
            "fgsm has other radii on a than",
        ),
        (rows(seeds=[]), "split=test: the details have no rows"),
    ],
)
def test_details_without_a_place_are_refused(
    bad: list[dict[str, Any]], message: str, export: Export, details: Path
) -> None:
    if message.startswith("fgsm"):
        bad = [row for row in bad if row["kind"] == "attack"]
    write_details(details, details_table(bad), {})
    status, said = export()
    assert (status, message in said) == (2, True), said


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("split=train", "split=train: the details have test, valid"),
        ("seed=7", "seed=7: the details of test have 0, 1"),
        ("seed=first", "seed=first should be a whole number"),
        ("force=please", "force=please should be true or false"),
        ("details=nowhere.parquet", "no details at nowhere.parquet"),
    ],
)
def test_bad_settings_are_one_line(override: str, message: str, export: Export, tmp_path: Path) -> None:
    status, said = export(override)
    assert (status, message in said, said.count("\n")) == (2, True, 1), said
    assert not (tmp_path / "out").exists()


def test_damaged_details_are_refused(export: Export, details: Path) -> None:
    pq.write_table(pq.read_table(details).slice(1), details)
    assert "is not what was written" in export()[1]
