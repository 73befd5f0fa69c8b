"""Do measures of untrained networks rank cells as their trained accuracies do?

``python -m benchmarks.training_free --data DATA --cells 150`` prints Kendall's tau between the published accuracies of
random cells and every measure of ``conf/measure``, and the rank sum of NTK and linear regions. It also prints the
spread of tau over resampled cells and CPU seconds per cell. Measures to be minimised count with the opposite sign.
"""

import argparse
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from agnet.multiobjective.pareto import mean_rank
from agnet.runtime.paths import CONF_DIR
from benchmarks.published import read_published, tau
from benchmarks.timing import one_thread
from evaluation.measure import drawn
from evaluation.training_free.untrained import Untrained

COLUMNS = ("cifar10_valid", "cifar10_test")
SUM = ("ntk", "linear_regions")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of nasbench201_accuracy.parquet")
    parser.add_argument("--cells", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", help="of conf/measure.yaml, e.g. dataset=cifar10 repeats=1")
    args = parser.parse_args()
    one_thread()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("measure", overrides=["table=none", f"data_root={args.data}", *args.overrides])
    measures = {str(name): instantiate(measure, _convert_="all") for name, measure in cfg.measures.items()}
    splits, build = instantiate(cfg.dataset), instantiate(cfg.network)
    published = read_published(args.data)
    cells = drawn(instantiate(cfg.space), args.cells, seed=args.seed)
    scores: dict[str, torch.Tensor] = {}
    seconds: dict[str, float] = {}
    for name, measure in measures.items():
        untrained = Untrained({name: measure}, splits, build, seed=cfg.seed, repeats=cfg.repeats)
        untrained(cells[:1])  # warm
        begin = time.process_time()
        values = [
            row[name] for row in Untrained({name: measure}, splits, build, seed=cfg.seed, repeats=cfg.repeats)(cells)
        ]
        seconds[name] = (time.process_time() - begin) / len(cells)
        scores[name] = torch.tensor(values, dtype=torch.float64) * (1 if measure.direction == "maximize" else -1)
    if set(SUM) <= set(scores):
        scores["rank sum of both"] = -mean_rank(torch.stack([scores[name] for name in SUM], dim=1))
        seconds["rank sum of both"] = sum(seconds[name] for name in SUM)
    print(f"{len(cells)} cells, seed {args.seed}, {cfg.repeats} repeats, {splits.name}")
    print(f"| measure | {' | '.join(COLUMNS)} | CPU-s a cell |\n|---|{'---|' * len(COLUMNS)}---|")
    for name, values in scores.items():
        shown = []
        for column in COLUMNS:
            theirs = torch.tensor([published[column][cell] for cell in cells], dtype=torch.float64)
            shown.append("{:.2f} ± {:.2f}".format(*tau(values.numpy(), theirs.numpy())))
        print(f"| {name} | {' | '.join(shown)} | {seconds[name]:.3f} |")
    print(f"all measures: {sum(seconds[name] for name in measures):.2f} CPU-s a cell")


if __name__ == "__main__":
    main()
