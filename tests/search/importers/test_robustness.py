import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import PUBLISHED_NAMES
from agnet.tables.published_json import ATTACKS, CORRUPTIONS
from agnet.tables.table import read_metadata, read_table
from search.importers.robustness import RobustnessDataset

EPSILONS = {key: [0.1, 0.5, 1.0, 8.0] for key in ATTACKS} | {"fgsm@Linf": [0.1, 1.0, 255.0]}
IDS = (0, 1, 2, 3)
ISOMORPHS = {0: 0, 1: 1, 2: 0, 3: 1}  # made up; the importer believes meta.json


def put(folder: Path, dataset: str, key: str, values: dict[str, Any], measure: str = "accuracy") -> None:
    path = folder / dataset / f"{key}_{measure}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({dataset: {key: {measure: values}}}))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two evaluated networks, which stand for four architectures."""
    folder = tmp_path / "robustness-data"
    folder.mkdir()
    names = NASBench201().enumerate()
    ids = {str(i): {"nb201-string": names[i], "isomorph": str(ISOMORPHS[i])} for i in reversed(IDS)}
    (folder / "meta.json").write_text(json.dumps({"ids": ids, "epsilons": EPSILONS, "more": 1}))
    put(folder, "cifar10", "clean", {"0": 0.893, "1": 0.9})
    put(folder, "cifar10", "clean", {"0": [[1, 2]]}, measure="cm")
    put(folder, "cifar10", "fgsm@Linf", {"1": [0.5, 0.25, 0.1], "0": [0.75, 0.336, 0.1]})
    put(folder, "cifar10", "aa_apgd-ce@Linf", {"0": [0.4, 0.3, 0.2, 0], "1": [0.5, 0.4, 0.3, 0.1]})
    put(folder, "cifar10", "fog", {"0": [0.9, 0.8, 0.7, 0.6, 0.5], "1": [0.1] * 5})
    put(folder, "cifar10", "aa_fab@Linf", {"0": [0.1]})
    put(folder, "ImageNet16-120", "clean", {"0": 0.4, "1": 0.5})
    return folder


def read(folder: Path) -> Any:
    return RobustnessDataset().read(folder, progress=False)


def test_percent_for_all_strings_by_representative(tree: Path) -> None:
    table = read(tree)
    assert table.column_names == [
        *("architecture", "isomorph", "cifar10_clean", "cifar10_fgsm_eps0.1", "cifar10_fgsm_eps1"),
        *("cifar10_fgsm_eps255", "cifar10_apgd_ce_eps0.1", "cifar10_apgd_ce_eps0.5", "cifar10_apgd_ce_eps1"),
        *("cifar10_apgd_ce_eps8", *(f"cifar10_fog_s{s}" for s in range(1, 6)), "imagenet16_clean"),
    ]
    assert table["architecture"].to_pylist() == list(NASBench201().enumerate()[:4])
    assert table["isomorph"].to_pylist() == [0, 1, 0, 1]
    assert table["cifar10_clean"].to_pylist() == pytest.approx([89.3, 90.0, 89.3, 90.0])
    assert table["cifar10_fgsm_eps1"].to_pylist() == pytest.approx([33.6, 25.0, 33.6, 25.0])
    assert table["cifar10_apgd_ce_eps8"].to_pylist() == pytest.approx([0, 10, 0, 10])
    assert table["cifar10_fog_s2"].to_pylist() == pytest.approx([80, 10, 80, 10])
    assert table["imagenet16_clean"].to_pylist() == pytest.approx([40, 50, 40, 50])


def test_compressed_files_say_the_same(tree: Path) -> None:
    expected = read(tree)
    for path in [tree / "meta.json", *(tree / "cifar10").iterdir()]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read(tree).equals(expected)


def test_networks_that_were_not_evaluated_are_empty(tree: Path) -> None:
    put(tree, "cifar10", "clean", {"1": 0.9})
    assert read(tree)["cifar10_clean"].to_pylist() == [None, 90.0, None, 90.0]


def test_confidences_where_they_are_asked_for(tree: Path, call: Any) -> None:
    put(tree, "cifar10", "clean", {"0": 0.7, "1": 0.8}, measure="confidence")
    put(tree, "cifar10", "fgsm@Linf", {"0": [0.6, 0.5, 0.4], "1": [0.3, 0.2, 0.1]}, measure="confidence")
    assert not [name for name in read(tree).column_names if "confidence" in name]
    path = call("importer=robustness", "importer.confidence=true", f"path={tree}")
    names = ["cifar10_clean_confidence", "cifar10_fgsm_eps1_confidence", "cifar10_clean"]
    values = read_table([path], names).values[:2]
    assert values.flatten().tolist() == pytest.approx([0.7, 0.5, 89.3, 0.8, 0.2, 90.0])


def test_other_attacks_and_other_images(tree: Path) -> None:
    """What ``meta.json`` has radii of, and every folder."""
    edit_meta(tree, epsilons={**EPSILONS, "apgd_t@Linf": [1, 2], "fgsm@L2": [1], "square@Linf": [1]})
    put(tree, "cifar10micro", "apgd_t@Linf", {"0": [0.4, 0.2], "1": [0.3, 0.1]})
    put(tree, "cifar10micro", "fgsm@L2", {"0": [0.4]})
    put(tree, "cifar10micro", "square@Linf", {"0": [0.4]})  # neither the authors' key nor ours
    table = read(tree)
    assert [name for name in table.column_names if "micro" in name] == [f"cifar10micro_apgd_t_eps{e}" for e in (1, 2)]
    assert table["cifar10micro_apgd_t_eps2"].to_pylist() == pytest.approx([20, 10, 20, 10])


def test_one_name_in_two_norms(tree: Path) -> None:
    edit_meta(tree, epsilons={**EPSILONS, "apgd_t@Linf": [1], "apgd_t@L2": [1]})
    for key in ("apgd_t@Linf", "apgd_t@L2"):
        put(tree, "cifar10", key, {"0": [0.4]})
    with pytest.raises(TableError, match=r"apgd_t@L2_accuracy\.json: another file has cifar10_apgd_t_eps1, too"):
        read(tree)


def test_the_command(tree: Path, call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    out = call("importer=robustness", f"path={tree}")
    said = capfd.readouterr()
    assert said.err == ""
    assert "4 architectures, 15 columns: isomorph, cifar10_clean, " in said.out
    assert read_metadata(out)["source"] == "robustness dataset"
    assert len(read_table([out], ["cifar10_fgsm_eps0.1", "isomorph"]).rows) == 4


def test_another_folder_is_refused(tree: Path, refused: Any, tmp_path: Path) -> None:
    assert "has no meta.json; give the folder" in refused("importer=robustness", f"path={tree / 'cifar10'}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "meta.json").write_text((tree / "meta.json").read_text())
    said = refused("importer=robustness", f"path={tmp_path / 'empty'}")
    assert "has no file such as cifar10/clean_accuracy.json in cifar10, cifar100, ImageNet16-120" in said


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def edit_meta(tree: Path, **changes: Any) -> None:
    meta = json.loads((tree / "meta.json").read_text())
    (tree / "meta.json").write_text(json.dumps({**meta, **changes}))


def identity(number: int, **changes: Any) -> dict[str, Any]:
    return {"nb201-string": NASBench201().enumerate()[number], "isomorph": str(number), **changes}


def squeeze(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes())[:-10])
    path.unlink()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: cut(t / "meta.json"), r"meta\.json is damaged.*extract it again"),
        (lambda t: cut(t / "cifar10" / "fog_accuracy.json"), r"fog_accuracy\.json is damaged"),
        (lambda t: squeeze(t / "cifar10" / "fog_accuracy.json"), r"fog_accuracy\.json\.gz is damaged"),
        (lambda t: (t / "meta.json").write_bytes(b"\xff\xfe\x00"), r"meta\.json is damaged"),
        (lambda t: (t / "meta.json").write_text("[" * 200000), r"meta\.json is damaged"),
        (lambda t: (t / "meta.json").write_text("[]"), "holds a list, not a dictionary with 'ids'"),
        (lambda t: (t / "meta.json").write_text("{}"), "has no 'ids', only nothing"),
        (lambda t: edit_meta(t, ids={}), "ids is no dictionary of numbers"),
        (lambda t: edit_meta(t, ids={"9" * 5000: 1}), "ids is no dictionary of numbers"),
        (lambda t: edit_meta(t, ids={"a": 1}), "ids is no dictionary of numbers"),
        (lambda t: edit_meta(t, ids={"0": {"isomorph": "0"}}), "id 0 has no 'nb201-string', only isomorph"),
        (lambda t: edit_meta(t, ids={"0": identity(1)}), r"id 0 is '\|.*, not NAS-Bench-201's architecture"),
        (lambda t: edit_meta(t, ids={"99999": identity(1)}), "id 99999 is"),
        (lambda t: edit_meta(t, ids={"0": identity(0, isomorph="7")}), "isomorphic to '7', which is no id"),
        (lambda t: edit_meta(t, ids={"0": identity(0)}), r"clean_accuracy\.json: id '1' is not in meta\.json"),
        (lambda t: edit_meta(t, epsilons={}), "epsilons has no 'fgsm@Linf'"),
        (lambda t: edit_meta(t, epsilons={"fgsm@Linf": ["1"]}), "epsilons of fgsm@Linf are"),
        (lambda t: put(t, "cifar10", "fog", {"0": [0.5] * 4}), r"id 0 has \[0\.5, 0\.5, 0\.5, 0\.5\], expected 5"),
        (lambda t: put(t, "my_set", "fog", {}), "my_set.fog_accuracy.json: data sets have no '_'"),
        (lambda t: put(t, "cifar10", "clean", {"0": "high"}), "id 0 has high, expected 1 numbers"),
        (lambda t: put(t, "cifar10", "clean", {"0": 89.3}), r"values outside 0\.\.1; accuracies are fractions"),
        (lambda t: put(t, "cifar10", "clean", [0.5]), "holds a list, not accuracies by id"),  # type: ignore[arg-type]
        (
            lambda t: (t / "cifar10" / "fog_accuracy.json").write_text('{"cifar10": {"snow": {}}}'),
            "has no 'fog', only snow",
        ),
    ],
)
def test_other_contents_are_refused(tree: Path, edit: Callable[[Path], Any], message: str) -> None:
    edit(tree)
    with pytest.raises(TableError, match=message):
        read(tree)


@pytest.mark.data
def test_the_shared_table_comes_back(tmp_path: Path, shared_data: Path) -> None:
    """The published numbers, put into the published layout: names, order, units and isomorphs."""
    shared = pq.read_table(shared_data / "nasbench201_robustness_cifar10.parquet")
    ids = json.loads((shared_data / "nasbench201_ids.json").read_text())["ids"]
    radii: dict[str, list[float]] = {}
    for key, name in ATTACKS.items():
        prefix = f"cifar10_{name}_eps"
        radii[key] = [float(c.removeprefix(prefix)) for c in shared.column_names if c.startswith(prefix)]
    (tmp_path / "meta.json").write_text(json.dumps({"ids": ids, "epsilons": radii}))
    evaluated = sorted(set(shared["isomorph"].to_pylist()))
    for key in ("clean", *ATTACKS, *CORRUPTIONS):
        prefix = f"cifar10_{ATTACKS.get(key, key)}"
        columns = [c for c in shared.column_names if c == prefix or c.startswith((f"{prefix}_eps", f"{prefix}_s"))]
        values = np.stack([shared[c].to_numpy() for c in columns], axis=1).astype(np.float64) / 100
        leaves = {str(i): values[i].tolist() if key != "clean" else values[i, 0].item() for i in evaluated}
        put(tmp_path, "cifar10", key, leaves)
    table = read(tmp_path)
    assert table.column_names == shared.column_names
    assert table["architecture"].to_pylist() == shared["architecture"].to_pylist()
    assert table["isomorph"].equals(shared["isomorph"])
    for name in shared.column_names[2:]:
        assert np.allclose(table[name].to_numpy(), shared[name].to_numpy(), atol=1e-5)
    assert list(PUBLISHED_NAMES.values()) == ["cifar10", "cifar100", "imagenet16"]
