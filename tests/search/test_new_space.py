"""What docs/new_space.md shows, on the space it is about: a table of the user's own, and the shipped generator."""

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from agnet.runtime.paths import ROOT
from agnet.spaces.nasbench201 import NASBench201
from agnet.spaces.transnas_micro import TransNASMicro
from search.run import main

FEWER = (
    "optimizer.proposal.prior=256",
    "optimizer.proposal.ascents=32",
    "optimizer.proposal.refinements=4",
    "plot=false",
)
"""Candidates than by default."""

ACCURACIES = ROOT.parent / "shared" / "data" / "nasbench201_accuracy.parquet"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Search a table; the result file's content."""

    def called(table: Path, *overrides: str) -> dict[str, Any]:
        settings = ["space=transnas_micro", "objective=table", f"objective.tables=[{table}]"]
        folder = tmp_path / overrides[0].removeprefix("optimizer=")
        monkeypatch.setattr(sys, "argv", ["search/run.py", *settings, *overrides, f"run_dir={folder}"])
        main()
        return json.loads((folder / "result.json").read_text())

    return called


def test_a_table_made_from_a_csv(call: Any, tmp_path: Path) -> None:
    """Convolutions are good, the more the better."""
    space = TransNASMicro()
    lines = [f"{cell},{space.parse(cell).count('nor_conv_3x3')}.0" for cell in space.enumerate()]
    (tmp_path / "mine.csv").write_text("\n".join(["architecture,score", *lines]))
    pq.write_table(csv.read_csv(tmp_path / "mine.csv"), tmp_path / "mine.parquet")
    result = call(tmp_path / "mine.parquet", "optimizer=agnet", "objective.maximize=[score]", "budget=64", *FEWER)
    assert result["space"] == "transnas_micro"
    assert result["pretrained"]["sha256"]
    assert result["best"]["architecture"] == "64-41414-3_33_333"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not ACCURACIES.exists(), reason=f"no {ACCURACIES}")
def test_accuracies_of_the_same_cells_in_the_other_notation(call: Any, tmp_path: Path) -> None:
    """NAS-Bench-201's cells without pools, as the micro space writes them: better than random search."""
    known = pq.read_table(ACCURACIES, columns=["architecture", "cifar100_valid"]).to_pydict()
    by_cell = dict(zip(known["architecture"], known["cifar100_valid"], strict=True))
    other, cells = NASBench201(), TransNASMicro().enumerate()
    values = [by_cell[other.to_string(TransNASMicro.parse(cell))] for cell in cells]
    pq.write_table(pa.table({"architecture": cells, "score": values}), tmp_path / "mine.parquet")
    found = {
        name: call(tmp_path / "mine.parquet", f"optimizer={name}", "objective.maximize=[score]", "budget=96")["best"]
        for name in ("agnet", "random_search")
    }
    ours, random = (found[name]["objective"]["score"] for name in ("agnet", "random_search"))
    assert ours > random
    assert ours > sorted(values)[-10]
