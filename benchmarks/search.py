"""How good and how expensive is a search of 192 queries?

``python -m benchmarks.search --seeds 10 --into README.md``: mean best validation accuracy over seeds on the tables in
``--data`` (README says what they are), the test accuracy of the cell found, the rank correlation of the surrogate over
its own candidates, and CPU seconds of one thread, everything included. ``--override`` sets any key of
``conf/search.yaml``, e.g. ``--override optimizer.selection.share=1.0``.
"""

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from agnet.objective import read_objective
from agnet.paths import CONF_DIR, ROOT
from search.document import insert
from search.correlation import table_truth
from search.loop import run_search

OPTIMA = {"cifar10": 91.6067, "cifar100": 73.4933, "imagenet16": 46.7333}

HEADER = (
    "| validation objective | optimizer | seeds | valid @96 | valid @192 | its test | at optimum | surrogate Spearman "
    "| CPU-s |",
    "|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Trial:
    """One search and what came of it."""

    valid_96: float
    valid: float
    test: float
    spearman: float
    smallest_pool: float
    cpu_seconds: float


def search(optimizer: str, dataset: str, seed: int, data: Path, overrides: list[str]) -> Trial:
    """Run one search of 192 queries in memory."""
    torch.set_num_threads(1)
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("search", overrides=[f"optimizer={optimizer}", *overrides])
    objective, report = read_objective(
        [data / "nasbench201_accuracy.parquet"], [f"{dataset}_valid"], report=[f"{dataset}_test"]
    )
    space = instantiate(cfg.space)
    space.enumerate()
    begin = time.process_time()
    found = run_search(
        space, objective, instantiate(cfg.optimizer, space=space, seed=seed), budget=192, truth=table_truth(objective)
    )
    seconds = time.process_time() - begin
    values = [query.values[f"{dataset}_valid"] for query in found.queries]
    best = found.queries[values.index(max(values))]
    correlations = [r.surrogate_spearman for r in found.rounds if r.surrogate_spearman is not None]
    pools = [r.diagnostics["pool_size"] for r in found.rounds if "pool_size" in r.diagnostics]
    return Trial(
        max(values[:96]),
        max(values),
        report(best.architecture)[f"{dataset}_test"],
        statistics.fmean(correlations) if correlations else float("nan"),
        min(pools, default=float("nan")),
        seconds,
    )


def row(optimizer: str, dataset: str, trials: list[Trial]) -> str:
    """One markdown row: means with standard deviations over seeds."""

    def spread(name: str) -> str:
        values = [getattr(trial, name) for trial in trials]
        return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values) if len(values) > 1 else 0:.2f}"

    hits = sum(trial.valid > OPTIMA[dataset] - 0.005 for trial in trials)
    correlation = statistics.fmean(trial.spearman for trial in trials)
    seconds = statistics.median(trial.cpu_seconds for trial in trials)
    return (
        f"| {dataset} | {optimizer} | {len(trials)} | {spread('valid_96')} | {spread('valid')} | {spread('test')} "
        f"| {hits}/{len(trials)} | {'-' if correlation != correlation else f'{correlation:.2f}'} | {seconds:.1f} |"
    )


def require_data(parser: argparse.ArgumentParser, data: Path) -> None:
    """Stop with a clear message where the tables are not at hand."""
    if not (data / "nasbench201_accuracy.parquet").is_file():
        parser.error(f"no nasbench201_accuracy.parquet in --data {data}; README says what it holds")


def main() -> None:
    """Run the trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--optimizers", nargs="+", default=["agnet", "random_search"])
    parser.add_argument("--datasets", nargs="+", choices=sorted(OPTIMA), default=sorted(OPTIMA))
    parser.add_argument("--override", action="append", default=[])
    parser.add_argument(
        "--into", type=Path, help="markdown file with marks <!-- begin: NAME --> and <!-- end: NAME -->"
    )
    parser.add_argument("--name", default="search", help="NAME of the marks")
    options = parser.parse_args()
    require_data(parser, options.data)
    lines: list[str] = list(HEADER)
    print("\n".join(lines), flush=True)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for dataset in options.datasets:
            for optimizer in options.optimizers:
                jobs = [pool.submit(search, optimizer, dataset, seed, options.data, options.override) for seed in seeds]
                lines.append(row(optimizer, dataset, [job.result() for job in jobs]))
                print(lines[-1], flush=True)
    if options.into is not None:
        insert(options.into, options.name, "\n".join(lines))


if __name__ == "__main__":
    main()
