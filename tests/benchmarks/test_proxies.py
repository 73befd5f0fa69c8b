"""The comparison of measures with published columns, on a table and columns that are made up."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.stats import kendalltau

from agnet.tables.table import write_table
from benchmarks.proxies import agreement, classes, our_measures, published_measures, resampled

CELLS = [
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|",
    "|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",  # the second one's class
    "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|",
]
PROTOCOL = "ntk: {direction: minimize}\nlinear_regions: {direction: maximize}\nparameters: {direction: maximize}\n"


def test_one_cell_a_class_and_all_measures_upwards(tmp_path: Path) -> None:
    columns = {"ntk": [3.0, 9.0, 1.0, 5.0], "linear_regions": [8.0, 2.0, 9.0, 4.0], "parameters": [7.0, 1.0, 1.0, 4.0]}
    write_table(tmp_path / "t.parquet", pa.table({"architecture": CELLS, **columns}), {"protocol": PROTOCOL})
    cells, scores = classes(*our_measures(tmp_path / "t.parquet"))
    assert cells == [CELLS[0], CELLS[1], CELLS[3]]
    assert scores["ntk"].tolist() == [-3.0, -9.0, -5.0]
    assert scores["linear_regions"].tolist() == [8.0, 2.0, 4.0]
    assert np.argsort(scores["rank sum of all"]).tolist() == [1, 2, 0]  # all three measures order them so


def test_taus_are_of_all_cells_then_of_the_same_draws_for_every_measure() -> None:
    theirs = np.random.default_rng(0).normal(size=30)
    noisy = theirs + np.random.default_rng(1).normal(size=30)
    taus = resampled(noisy, theirs)
    assert taus[0] == kendalltau(noisy, theirs).statistic
    assert np.array_equal(resampled(2 * noisy, theirs), taus)
    assert taus[1:].std() > 0
    assert np.allclose(resampled(theirs, theirs), 1)


def test_other_implementations_are_compared_where_both_know_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("architecture,params,snip\n" + "".join(f"{CELLS[i]},{i},{-i}\n" for i in (0, 1, 3)))
    ours = {name: np.arange(4.0) for name in ("parameters", "snip", "croze")}
    lines = agreement((CELLS, ours), published_measures(path))
    assert lines[0] == "3 cells that both know"
    assert lines[3:] == ["| parameters | 1.000 | 1.000 |", "| snip | -1.000 | -1.000 |"]
