import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agnet.errors import TableError
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.columns import parse_column
from agnet.tables.published_json import ids
from agnet.tables.table import read_metadata, read_table
from search.importers.nas_robbench import FILE, METRICS, NASRobBench

SPACE = NASBench201()
DATASETS = ("cifar10", "cifar100", "imagenet")
COLUMNS = ("at_valid", "at_fgsm_eps3", "at_pgd_eps3", "at_fgsm_eps8", "at_pgd_eps8", "at_autoattack_eps8")
SEEDS = ("1", "2", "3")
FEW = 12
"""Ids of the small files."""


def fraction(number: int, dataset: str, metric: str, seed: str) -> float:
    """Made up and different for everything that a reader may mix up."""
    place = DATASETS.index(dataset) * len(METRICS) + list(METRICS).index(metric)
    return 0.1 + 0.01 * place + 0.001 * int(seed) + 1e-5 * number


def isomorphs(size: int) -> list[int]:
    """Made up; the importer believes the file."""
    return [i - 3 if i % 4 == 3 else i for i in range(size)]


def download(size: int = FEW) -> dict[str, Any]:
    """Content of the official file; AutoAttack was run on one seed."""
    return {
        dataset: {
            str(i): {
                m: {s: fraction(i, dataset, m, s) for s in (SEEDS[:1] if m == "autoattack" else SEEDS)} for m in METRICS
            }
            for i in sorted(set(isomorphs(size)))
        }
        for dataset in DATASETS
    }


def page(content: dict[str, Any], size: int = FEW, scale: float = 1) -> dict[str, Any]:
    """The same in the public page's form."""
    names = [f"{dataset}#{metric}" for dataset in DATASETS for metric in METRICS]
    rows: dict[str, Any] = {"": names}
    for i, isomorph in enumerate(isomorphs(size)):
        lists = [[scale * v for v in content[d][str(isomorph)][m].values()] for d, m in (n.split("#") for n in names)]
        rows[str(i)] = lists if i == isomorph else str(isomorph)
    return rows


def put(folder: Path, content: Any, size: int = FEW) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "meta.json").write_text(json.dumps({"ids": ids(SPACE.enumerate()[:size], isomorphs(size))}))
    (folder / FILE).write_text(json.dumps(content))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return put(tmp_path / "robbench", download())


def read(path: Path, **settings: Any) -> pa.Table:
    return NASRobBench(**settings).read(path, progress=False)


def test_means_in_percent_for_all_strings_by_representative(folder: Path) -> None:
    table = read(folder)
    assert table["architecture"].to_pylist() == list(SPACE.enumerate()[:FEW])
    assert table["isomorph"].to_pylist() == isomorphs(FEW)
    ours = ("cifar10", "cifar100", "imagenet16")
    assert table.column_names[2:] == [f"{dataset}_{column}" for dataset in ours for column in COLUMNS]
    for theirs, dataset in zip(DATASETS, ours, strict=True):
        for metric, column in zip(METRICS, COLUMNS, strict=True):
            seed = "1" if metric == "autoattack" else "2"  # the second is the mean of the three
            expected = [100 * fraction(i, theirs, metric, seed) for i in isomorphs(FEW)]
            assert table[f"{dataset}_{column}"].to_pylist() == pytest.approx(expected)


def test_the_columns_are_those_of_adversarially_trained_networks(folder: Path) -> None:
    columns = [parse_column(name) for name in read(folder).column_names[2:]]
    assert {c.dataset for c in columns if c} == {"cifar10_at", "cifar100_at", "imagenet16_at"}
    assert [c.key for c in columns[:6] if c] == ["clean", "fgsm", "pgd", "fgsm", "pgd", "autoattack"]


@pytest.mark.slow
def test_both_forms_of_the_whole_benchmark_are_equal(tmp_path: Path) -> None:
    size, representatives = len(SPACE.enumerate()), list(SPACE.isomorphs)
    networks = {
        i: {m: {s: fraction(i % 1000, "cifar10", m, s) for s in SEEDS} for m in METRICS} for i in set(representatives)
    }
    put(tmp_path / "robbench", {"cifar10": networks})
    meta = {"ids": ids(SPACE.enumerate(), representatives)}
    (tmp_path / "robbench" / "meta.json").write_text(json.dumps(meta))
    rows: dict[Any, Any] = {"": [f"cifar10#{metric}" for metric in METRICS]}
    for i, r in enumerate(representatives):
        rows[i] = str(r) if i != r else [list(networks[i][m].values()) for m in METRICS]
    (tmp_path / "table.js").write_text(f"acc={json.dumps(rows)};")
    table = read(tmp_path / "robbench")
    assert table.num_rows == size == 15_625
    assert len(set(table["isomorph"].to_pylist())) == 6_466
    assert read(tmp_path / "table.js").equals(table)


@pytest.mark.parametrize("around", ["{}", "acc={}", "acc = {};\n", "const acc = {} ;", "window.acc={};"])
def test_the_page_as_json_and_as_script(tmp_path: Path, folder: Path, around: str) -> None:
    path = tmp_path / "acc.js"
    path.write_text(around.replace("{}", json.dumps(page(download()))))
    assert read(path).equals(read(folder))


def test_the_page_in_percent_and_as_means(tmp_path: Path, folder: Path) -> None:
    rows = page(download(), scale=100)
    for name, row in rows.items():
        if name and isinstance(row, list):
            rows[name] = [sum(values) / len(values) for values in row]
    (tmp_path / "acc.json").write_text(json.dumps(rows))
    table, expected = read(tmp_path / "acc.json"), read(folder)
    assert table.column_names == expected.column_names
    for name in expected.column_names[1:]:
        assert table[name].to_pylist() == pytest.approx(expected[name].to_pylist())


def test_other_spellings(tmp_path: Path, folder: Path) -> None:
    """Metrics without val_, seeds as a list, AutoAttack as a number or by radius, further metrics, other image sets."""
    expected = read(folder)
    content = download()
    for networks in content.values():
        for i, metrics in networks.items():
            for metric in list(METRICS)[:-1]:
                metrics[metric.removeprefix("val_")] = list(metrics.pop(metric).values())
            one = metrics.pop("autoattack")
            metrics["val_autoattack_8.0_acc"] = one["1"] if int(i) % 2 else {"8.0": {"mean": one["1"]}}
            metrics |= {"train_acc": [0.9], "val_loss": "high", "val_fgsm_4.0_acc": 7}
    content["ImageNet16-120"] = content.pop("imagenet")
    content["svhn"] = 5
    assert read(put(tmp_path / "other", content)).equals(expected)


def test_the_file_itself_and_compressed_ones(folder: Path) -> None:
    expected = read(folder)
    assert read(folder / FILE).equals(expected)
    for path in folder.iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read(folder).equals(expected)


def test_the_command(folder: Path, call: Any, capfd: pytest.CaptureFixture[str]) -> None:
    out = call("importer=nas_robbench", f"path={folder}")
    assert f"{FEW} architectures, 19 columns: isomorph, cifar10_at_valid, " in capfd.readouterr().out
    assert read_metadata(out)["training"].startswith("adversarial")
    assert len(read_table([out], ["imagenet16_at_autoattack_eps8"]).rows) == FEW


def edited(folder: Path, edit: Callable[[Any], Any]) -> None:
    content = json.loads((folder / FILE).read_text())
    edit(content)
    (folder / FILE).write_text(json.dumps(content))


def without_seed(content: Any) -> None:
    for metrics in content["cifar100"].values():
        del metrics["val_pgd_8.0_acc"]["3"]


def without_metric(content: Any) -> None:
    for metrics in content["imagenet"].values():
        del metrics["val_pgd_3.0_acc"]


GAPS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda c: c["cifar10"]["6"]["val_pgd_8.0_acc"].pop("2"), "cifar10, id 6, val_pgd_8.0_acc has no seed 2; "),
    (lambda c: c["cifar10"]["6"]["val_acc"].update({"1": None}), "cifar10, id 6, val_acc has no seed 1; "),
    (without_seed, "cifar100, val_pgd_8.0_acc has the seeds 1, 2 only, not 3; "),
    (lambda c: c["cifar100"]["2"].pop("autoattack"), "cifar100, id 2 has no autoattack; "),
    (lambda c: c["cifar10"]["6"].update({"autoattack": {}}), "cifar10, id 6, autoattack has no seed 1; "),
    (without_metric, "imagenet16 has no val_pgd_3.0_acc; "),
    (lambda c: c["imagenet"].pop("1"), "imagenet16, id 1 has no val_acc; "),
]


@pytest.mark.parametrize(("edit", "message"), GAPS, ids=[message for _, message in GAPS])
def test_missing_seeds_metrics_and_networks_are_named(folder: Path, refused: Any, edit: Any, message: str) -> None:
    edited(folder, edit)
    said = refused("importer=nas_robbench", f"path={folder}")
    assert f"{FILE}: {message}download it again, or set importer.partial=true to import what it has" in said


@pytest.mark.parametrize(("edit", "message"), GAPS, ids=[message for _, message in GAPS])
def test_what_there_is_of_an_incomplete_file(folder: Path, edit: Any, message: str) -> None:
    expected = read(folder)
    edited(folder, edit)
    table = read(folder, partial=True)
    assert table.num_rows == expected.num_rows
    lacking = set(expected.column_names) - set(table.column_names)
    assert lacking == ({"imagenet16_at_pgd_eps3"} if edit is without_metric else set())
    assert sum(table[name].null_count for name in table.column_names) < 40
    table = table.select([n for n in table.column_names if not table[n].null_count])
    for name in table.column_names[1:]:
        assert table[name].to_pylist() == pytest.approx(expected[name].to_pylist(), abs=0.2)


def test_a_data_set_that_is_not_there(folder: Path) -> None:
    edited(folder, lambda c: (c.pop("imagenet"), c.pop("cifar10")))
    assert read(folder).column_names[2:] == [f"cifar100_{column}" for column in COLUMNS]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: (f / FILE).unlink(), f"has no {FILE}; give the folder"),
        (lambda f: (f / "meta.json").unlink(), r"has no meta\.json, which belongs to NAS-RobBench"),
        (lambda f: (f / "meta.json").write_text("{}"), r"meta\.json has no 'ids', only nothing"),
        (lambda f: (f / FILE).write_bytes((f / FILE).read_bytes()[:-3]), "is damaged.*download it again"),
        (lambda f: (f / FILE).write_text("[" * 200_000), "is damaged"),
        (lambda f: (f / FILE).write_text("[]"), "holds a list, not accuracies"),
        (lambda f: (f / FILE).write_text("{}"), "no data set and metric that are known, of cifar10, "),
        (lambda f: edited(f, lambda c: c.update(cifar10=[])), "cifar10 holds a list, not networks"),
        (lambda f: edited(f, lambda c: c["cifar10"].update({"0": 5})), "cifar10, id 0 has 5, not metrics"),
        (lambda f: edited(f, lambda c: c["cifar10"].update({"99": {"val_acc": 1}})), r"'99' is not in meta\.json"),
        (lambda f: edited(f, lambda c: c["cifar10"]["0"].update(val_acc="x")), "val_acc, mean is 'x', not a number"),
        (
            lambda f: edited(f, lambda c: c["cifar10"]["0"]["val_acc"].update({"2": 77})),
            "id 0, val_acc, 2 is 77.0, not a f",
        ),
        (lambda f: edited(f, lambda c: c["cifar10"]["0"]["val_acc"].update({"2": -1})), "2 is -1.0, not a fraction"),
        (lambda f: edited(f, lambda c: c["cifar10"]["0"]["val_acc"].update({"2": float("nan")})), "2 is nan, not a f"),
        (lambda f: edited(f, lambda c: c["cifar10"]["0"]["val_acc"].update({"2": 10**400})), "2 is too large"),
        (
            lambda f: edited(f, lambda c: c["cifar10"]["0"].update(val_aa=0.5)),
            "autoattack is there twice, once as val_aa",
        ),
        (lambda f: edited(f, lambda c: c.update({"": []})), "'cifar10' is no id of NAS-Bench-201"),
    ],
)
def test_other_contents_are_refused(folder: Path, edit: Callable[[Path], Any], message: str) -> None:
    edit(folder)
    with pytest.raises(TableError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"": 5}, "the key '' holds 5, not a list of dataset#metric"),
        ({"": ["cifar10"]}, "not a list of dataset#metric"),
        ({"x": [1]}, "'x' is no id of NAS-Bench-201"),
        ({"9" * 5000: "0"}, "is no id of NAS-Bench-201"),
        ({"01": "0"}, "'01' is no id of NAS-Bench-201"),
        ({"15625": "0"}, "'15625' is no id of NAS-Bench-201"),
        ({"0": [1]}, r"id 0 has \[1\], expected 18 values"),
        ({"0": None}, "id 0 points to '0', which has no values"),
        ({"0": "11111"}, "id 0 points to '11111', which has no values"),
        ({"0": "0"}, "id 0 points to '0', which has no values"),
    ],
)
def test_other_pages_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "acc.json"
    path.write_text(json.dumps({**page(download()), **change}))
    with pytest.raises(TableError, match=message):
        read(path)


@pytest.mark.data
def test_the_shared_table_comes_back(tmp_path: Path, shared_data: Path) -> None:
    """The published numbers, put into the published layout: names, order, units and isomorphs."""
    shared = pq.read_table(shared_data / "nasbench201_robbench_cifar10.parquet")
    meta = json.loads((shared_data / "nasbench201_ids.json").read_text())
    rows = {architecture: row for row, architecture in enumerate(shared["architecture"].to_pylist())}
    names = shared.column_names[1:]
    values = np.stack([shared[name].to_numpy() for name in names], axis=1) / 100
    evaluated = sorted({int(entry["isomorph"]) for entry in meta["ids"].values()})
    content = {
        "cifar10": {
            str(i): {
                metric: {seed: v + shift for seed, shift in zip(SEEDS, (-0.001, 0, 0.001), strict=True)}
                for metric, v in zip(METRICS, values[rows[SPACE.enumerate()[i]]].tolist(), strict=True)
            }
            for i in evaluated
        }
    }
    (tmp_path / "meta.json").write_text(json.dumps({"ids": meta["ids"]}))
    (tmp_path / FILE).write_text(json.dumps(content))
    table = read(tmp_path)
    assert table.column_names == ["architecture", "isomorph", *names]
    assert table["architecture"].to_pylist() == shared["architecture"].to_pylist()
    assert table["isomorph"].to_pylist() == list(SPACE.isomorphs)
    for name in names:
        assert np.allclose(table[name].to_numpy(), shared[name].to_numpy(), atol=1e-9)
