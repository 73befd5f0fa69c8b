"""The command ``python -m evaluation.report``, in this process, and what it leaves."""

import base64
import csv
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from agnet.runtime.paths import CHECKPOINT_DIR
from agnet.spaces.nasbench201 import OPERATIONS, parse
from agnet.tables.table import read_metadata
from evaluation.corruptions import CORRUPTIONS
from evaluation.report import command, main, report
from evaluation.report.measurements import SPACE
from evaluation.report.outputs import Outputs
from evaluation.report.page import packed

BUNDLED = CHECKPOINT_DIR / "nasbench201_digits.parquet"

Save = Callable[..., Path]


def here(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> int | str | None:
    """Exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["evaluation/report/__main__.py", *overrides])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the bundled table."""
    out = tmp_path_factory.mktemp("report")
    report(BUNDLED, out)
    return out


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def embedded(page: str) -> dict:
    """The data of the explorer."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_summary_names_every_file(bundled: Path) -> None:
    summary = json.loads((bundled / "summary.json").read_text())
    files = {str(p.relative_to(bundled)) for p in bundled.rglob("*") if p.is_file()}
    assert set(summary["files"]) | {"summary.json"} == files
    assert {f for f in files if f.endswith(".png")} == {f"{f[:-4]}.png" for f in files if f.endswith(".pdf")}
    assert summary["made"]["dataset"] == "digits"
    assert "against" not in summary
    assert summary["datasets"]["digits"]["classes"] == 6466
    assert (bundled / "summary.md").read_text().startswith("# Robustness of NAS-Bench-201 cells")


def test_the_numbers_are_the_tables(bundled: Path) -> None:
    source = pq.read_table(BUNDLED)
    rows = sorted(set(SPACE.isomorphs))
    for row in table(bundled / "digits" / "accuracy.csv"):
        level = f"_{'s' if row['name'] in CORRUPTIONS else 'eps'}{float(row['level'] or 0):g}"
        name = "digits_test" if row["name"] == "clean" else f"digits_test_{row['name']}{level}"
        assert float(row["median"]) == pytest.approx(np.median(source[name].to_numpy()[rows]), abs=1e-3)
    best = {row["criterion"]: row for row in table(bundled / "digits" / "best_cells.csv")}
    clean = source["digits_test"].to_numpy()
    assert float(best["clean"]["accuracy"]) == pytest.approx(clean[rows].max(), abs=1e-3)
    assert clean[int(best["clean"]["id"])] == clean.max()


def test_the_page_shows_every_figure_and_loads_nothing(bundled: Path) -> None:
    page = (bundled / "index.html").read_text()
    images = {base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]+)"', page)}
    assert images == {path.read_bytes() for path in bundled.rglob("*.png")}
    addresses = re.findall(r"(?:src|href|action|data-src|srcset)\s*=\s*[\"']?([^\"'\s>]+)", page)
    assert {a for a in addresses if not a.startswith(("#", "data:"))} == set()
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", page)
    assert set(re.findall(r"https?://[^\"'\s]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert len(page) < 15e6


def test_the_explorer_has_the_tables_numbers(bundled: Path) -> None:
    data = embedded((bundled / "index.html").read_text())
    digits = np.array([[int(d) for d in np.base_repr(code, 5).zfill(6)] for code in data["cells"]])
    assert [tuple(OPERATIONS[d] for d in row) for row in digits.tolist()] == [parse(c) for c in SPACE.enumerate()]
    assert data["classes"] == list(SPACE.isomorphs)
    source = pq.read_table(BUNDLED)
    (dataset,) = data["datasets"]
    columns = {c["label"]: np.array(c["values"]) / c["unit"] for c in dataset["columns"]}
    expected = source["digits_test_pgd_eps16"].to_numpy()[dataset["ids"]]
    assert np.abs(columns["pgd eps 16"] - expected).max() <= 0.005 + 1e-9
    assert dataset["others"]["parameters"][0] == source["parameters"][0].as_py()


def test_rounding_is_the_coarsest_that_keeps_a_column() -> None:
    assert packed(np.array([1.0, 2.0])) == {"unit": 1, "values": [1, 2]}
    assert packed(np.array([93.1], dtype=np.float32).astype(np.float64)) == {"unit": 10, "values": [931]}
    assert packed(np.array([100 / 3])) == {"unit": 100, "values": [3333]}


@pytest.mark.slow
def test_a_second_run_makes_the_same_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, save: Save
) -> None:
    path = save("t", sorted(set(SPACE.isomorphs))[:30], a_test=np.linspace(10, 90, 30).tolist())
    out = tmp_path / "out"
    assert here(monkeypatch, f"table={path}", f"out={out}") == 0
    assert capsys.readouterr().out == f"{out / 'index.html'}: a\n"
    first = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert len(first) > 10
    assert here(monkeypatch, f"table={path}", f"out={out}") == 0
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == first


def test_another_table_is_a_section_of_the_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, save: Save) -> None:
    monkeypatch.setattr(command, "ANALYSES", ())  # the others take their time and are tested above
    ids = sorted(set(SPACE.isomorphs))[:32]
    rising = np.linspace(10, 90, 32).tolist()
    mine = save("mine", ids, a_test=rising, a_test_pgd_eps1=rising[::-1])
    theirs = save("theirs", [*ids[8:], 15_000], b_clean=[*rising[8:], 0.0])
    out = tmp_path / "out"
    assert here(monkeypatch, f"table={mine}", f"against={theirs}", "top=2", f"out={out}") == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["against"] == {"table": str(theirs), "made": read_metadata(theirs)}
    section = summary["datasets"]["a"]["against"]
    assert section["common classes"] == 24
    assert section["tau with b_clean"]["a_test"] == pytest.approx(1)
    assert section["tau with b_clean"]["a_test_pgd_eps1"] == pytest.approx(-1)
    best = [row for row in table(out / "a" / "against_best.csv") if row["by"] == "a_test_pgd_eps1"]
    assert [(row["id"], row["rank_of_classes"]) for row in best] == [(str(ids[8]), "24"), (str(ids[9]), "23")]
    assert {row["id"] for row in table(out / "a" / "against_cells.csv")} == set(map(str, ids[8:]))
    page = (out / "index.html").read_text()
    assert page.index('id="a-against-against_kendall"') < page.index('id="a-against-against_scatter"')
    assert "share 24 classes of isomorphic cells and 24 strings" in page
    assert here(monkeypatch, f"table={mine}", f"out={out}") == 0
    assert not list(out.rglob("against*"))
    assert "against" not in json.loads((out / "summary.json").read_text())


def test_what_an_earlier_report_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    earlier = Outputs(out)
    earlier.csv("a/old.csv", {"x": [1]})
    earlier.csv("a/both.csv", {"x": [1, float("nan")], "y": [0.123456789, "text"]})
    earlier.finish({})
    assert (out / "a" / "both.csv").read_text() == "x,y\n1,0.123457\n,text\n"
    (out / "notes.txt").write_text("mine")
    later = Outputs(out)
    later.text("a/both.csv", "new")
    later.finish({})
    assert {p.name for p in out.rglob("*") if p.is_file()} == {"both.csv", "notes.txt", "summary.json"}
    assert (out / "a" / "both.csv").read_text() == "new"


@pytest.mark.parametrize("summary", ["{}", "text", '{"files": 3}', '{"files": ["../precious.csv", "PATH"]}'])
def test_only_files_inside_the_folder_are_ever_removed(tmp_path: Path, summary: str) -> None:
    precious = tmp_path / "precious.csv"
    precious.write_text("kept")
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text(summary.replace("PATH", str(precious)))
    Outputs(out).finish({})
    assert precious.read_text() == "kept"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["table=nowhere.parquet"], "no table at nowhere.parquet"),
        (["table={file}"], "is not a readable Parquet file"),
        (["table={table}", "datasets=[b]"], "datasets=[b] is not in"),
        (["table={table}", "datasets=b"], "datasets=b should be null or a list that is not empty, each item text, e.g"),
        (["table={table}", "split=valid"], "split=valid is not in"),
        (["table={table}", "out={file}"], "is no folder"),
        (["table={other}"], "no column is an accuracy"),
        (["table={table}", "against={table}"], "is the file of table; name another table of the same cells"),
        (["table={table}", "against={other}"], "has no clean accuracy and none under an attack; name columns"),
        (["table={table}", "columns=[a_test]"], "columns=[a_test] without a second table; give against=PATH too"),
        (["table={table}", "top=0"], "top=0 should be a whole number from 1"),
        (["table={table}", "tables=x"], "tables=x should be a list, each item a path, e.g. [x]"),
        ([], "table has no default"),
    ],
)
def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    save: Save,
    overrides: list[str],
    message: str,
) -> None:
    file = tmp_path / "file.parquet"
    file.write_text("text")
    paths = {"file": file, "table": save("t", [0, 1], a_test=[1.0, 2.0]), "other": save("o", [0], score=[1.0])}
    given = [f"out={tmp_path / 'out'}", *(override.format_map(paths) for override in overrides)]
    if any(g.startswith("out=") for g in given[1:]):
        del given[0]
    assert here(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
