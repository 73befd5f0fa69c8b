"""Our details in the published layout: the published reader's behaviour, and the way back into a table."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agnet.details import details_table, read_details, write_details
from agnet.errors import RunDirectoryError, TableError
from agnet.robustness_tree import attack_key
from agnet.spaces import NASBench201
from agnet.tables import read_metadata, read_table
from evaluation.export import main as export
from evaluation.tree import write_tree
from search.import_table import main as import_table

SPACE = NASBench201()
CELLS = [SPACE.enumerate()[i] for i in sorted(set(SPACE.isomorphs))[:3]]
LEVELS = {
    ("clean", "clean"): [0.0],
    ("attack", "fgsm"): [0.5, 8.0],
    ("attack", "apgd_t"): [1.0],
    ("corruption", "fog"): [1.0, 2.0, 3.0, 4.0, 5.0],
}
PROTOCOL = {"attacks": {"fgsm": {"norm": "linf"}, "apgd_t": {"norm": "l2"}}}


class TheirReader:
    """What the published class does, by the description of its behaviour."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = json.loads((path / "meta.json").read_text())
        self.map_str_to_id = {row["nb201-string"]: i for i, row in self.meta["ids"].items()}
        self.non_isomorph_ids = [i for i, row in self.meta["ids"].items() if row["isomorph"] == i]

    def query(self, data: Any, key: Any, measure: Any, missing_ok: bool = False) -> dict[str, Any]:
        listed = [value if isinstance(value, list) else [value] for value in (data, key, measure)]
        found: dict[str, Any] = {}
        for d in listed[0]:
            found[d] = {}
            for k in listed[1]:
                found[d][k] = {}
                for m in listed[2]:
                    file = self.path / d / f"{k}_{m}.json"
                    if missing_ok and not file.exists():
                        continue
                    found[d][k][m] = json.loads(file.read_text())[d][k][m]
        return found

    def get_uid(self, i: int | str) -> str:
        return self.meta["ids"][str(i)]["isomorph"]

    def id_to_string(self, i: int | str) -> str:
        return self.meta["ids"][str(i)]["nb201-string"]

    def string_to_id(self, architecture: str) -> str:
        return self.map_str_to_id[architecture]


def rows(dataset: str = "digits", seeds: Sequence[int] = (0,)) -> list[dict[str, Any]]:
    """Made-up details, in an order that is not the layout's."""
    random = np.random.default_rng(0)
    made = []
    for seed in seeds:
        for split in ("valid", "test"):
            for cell in reversed(CELLS):
                for (kind, key), levels in LEVELS.items():
                    for level in reversed(levels):
                        counts = random.integers(0, 9, 9)
                        made.append(
                            {
                                **{"architecture": cell, "seed": seed, "dataset": dataset, "split": split},
                                **{"kind": kind, "key": key, "level": level, "images": int(counts.sum())},
                                **{"accuracy": random.random() * 100, "confidence": random.random()},
                                **{"confidence_right": None, "confidence_wrong": None, "confidence_true": 0.5},
                                **{"forwards": 1.0, "gradients": 0.0, "confusion": counts.tolist(), "robust": b""},
                            }
                        )
    return made


@pytest.fixture
def details(tmp_path: Path) -> Path:
    path = tmp_path / "details.parquet"
    metadata = {"space": "nasbench201", "protocol": json.dumps(PROTOCOL), "revision": "abc"}
    write_details(path, details_table(rows(seeds=(3, 0))), metadata)
    return path


@pytest.fixture
def tree(details: Path, tmp_path: Path) -> Path:
    write_tree(tmp_path / "tree", read_details(details), read_metadata(details))
    return tmp_path / "tree"


def expected(key: str, split: str = "test", seed: int = 0) -> list[dict[str, Any]]:
    chosen = [r for r in rows(seeds=(3, 0)) if (r["key"], r["split"], r["seed"]) == (key, split, seed)]
    return sorted(chosen, key=lambda r: (int(SPACE.enumerate().index(r["architecture"])), r["level"]))


def test_their_reader_reads_it(tree: Path) -> None:
    reader = TheirReader(tree)
    assert len(reader.non_isomorph_ids) == 6_466
    assert reader.meta["epsilons"] == {"fgsm@Linf": [0.5, 8.0], "apgd_t@L2": [1.0]}
    cell = SPACE.enumerate()[6111]
    assert reader.string_to_id(cell) == "6111"
    assert reader.id_to_string(6111) == cell
    assert reader.get_uid(reader.string_to_id(cell)) == str(SPACE.isomorphs[6111])
    found = reader.query("digits", ["clean", "fgsm@Linf", "apgd_t@L2", "fog"], ["accuracy", "confidence", "cm"])[
        "digits"
    ]
    clean = found["clean"]
    assert clean["accuracy"] == {
        reader.string_to_id(row["architecture"]): row["accuracy"] / 100 for row in expected("clean")
    }
    for row in expected("fgsm"):
        level = reader.meta["epsilons"]["fgsm@Linf"].index(row["level"])
        i = reader.string_to_id(row["architecture"])
        assert found["fgsm@Linf"]["accuracy"][i][level] == row["accuracy"] / 100
        assert found["fgsm@Linf"]["confidence"][i][level] == row["confidence"]
        assert np.array(found["fgsm@Linf"]["cm"][i][level]).ravel().tolist() == row["confusion"]
    assert {len(values) for values in found["fog"]["accuracy"].values()} == {5}
    assert np.array(next(iter(clean["cm"].values()))).shape == (3, 3)
    assert reader.query("digits", "pgd@Linf", "accuracy", missing_ok=True) == {"digits": {"pgd@Linf": {}}}


def test_what_the_layout_leaves_open_is_said(tree: Path) -> None:
    about = json.loads((tree / "meta.json").read_text())["agnet"]
    assert about["protocol"] == PROTOCOL
    assert about.items() >= {"split": "test", "seed": 0, "revision": "abc"}.items()
    assert "rows are true classes" in about["cm"]


def test_published_names(details: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    write_details(path, details_table(rows("imagenet16")), {})
    write_tree(tmp_path / "tree", read_details(path), {})
    assert (tmp_path / "tree" / "ImageNet16-120" / "fgsm@Linf_accuracy.json").exists()
    assert [attack_key(name) for name in ("pgd", "apgd_ce", "square")] == [
        *("pgd@Linf", "aa_apgd-ce@Linf", "aa_square@Linf"),
    ]


def called(monkeypatch: pytest.MonkeyPatch, main: Any, *overrides: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["command.py", *overrides])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("valid", 3)])
def test_there_and_back(
    split: str, seed: int, details: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    tree, table = tmp_path / "exported", tmp_path / "table.parquet"
    assert called(monkeypatch, export, f"details={details}", f"out={tree}", f"split={split}", f"seed={seed}") == 0
    assert called(monkeypatch, import_table, "kind=robustness", f"path={tree}", f"out={table}") == 0
    for key, column in (("clean", "digits_clean"), ("fgsm", "digits_fgsm_eps8"), ("fog", "digits_fog_s3")):
        level = float(column[-1]) if key != "clean" else 0.0
        read = read_table([table], [column], missing="drop")
        for row in expected(key, split, seed):
            if row["level"] == level:
                assert read.lookup([row["architecture"]]).item() == pytest.approx(row["accuracy"], rel=1e-12)
    assert len(read_table([table], ["digits_apgd_t_eps1"], missing="drop").rows) >= 3
    capfd.readouterr()
    assert called(monkeypatch, export, f"details={details}", f"out={tree}") == 2
    assert "holds a dataset already" in capfd.readouterr().err
    assert called(monkeypatch, export, f"details={details}", f"out={tree}", "force=true") == 0


@pytest.mark.parametrize(
    ("settings", "said"), [({"split": "train"}, "no split=train; there is test, valid"), ({"seed": 7}, "there is 0, 3")]
)
def test_what_is_not_there_is_named(settings: dict[str, Any], said: str, details: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=said):
        write_tree(tmp_path / "tree", read_details(details), {}, **settings)
    assert not (tmp_path / "tree").exists()


def test_an_incomplete_cell_is_named(tmp_path: Path) -> None:
    path = tmp_path / "details.parquet"
    write_details(path, details_table(rows()[:-2]), {})
    with pytest.raises(TableError, match="has not the same 5 levels"):
        write_tree(tmp_path / "tree", read_details(path), {})
    assert not (tmp_path / "tree" / "meta.json").exists(), "without it, it is no dataset"


def test_another_dataset_is_kept(tree: Path, details: Path) -> None:
    before = (tree / "meta.json").read_bytes()
    with pytest.raises(RunDirectoryError, match="force=true"):
        write_tree(tree, read_details(details), {})
    assert (tree / "meta.json").read_bytes() == before
