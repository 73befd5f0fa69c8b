"""Which part of weighted retraining does what?

``python -m benchmarks.ablation --seeds 10``: variants of ``conf/optimizer/agnet.yaml`` on one NAS-Bench-201 column,
same seeds, same budget. ``--into benchmarks/README.md`` puts the table there.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from agnet.paths import ROOT
from search.document import insert
from benchmarks.search import HEADER, OPTIMA, require_data, row, search

PLAIN = "optimizer.retraining.alpha=0.0"
VARIANTS = {
    "half of the batch by rank, half by chance, alpha 0": [PLAIN],
    "all 16 by rank (the paper's top 16), alpha 0": [PLAIN, "optimizer.selection.share=1.0"],
    "all 16 by chance, alpha 0": [PLAIN, "optimizer.selection.share=0.0"],
    "half and half, alpha 0.5 (the default)": ["optimizer.retraining.alpha=0.5"],
    "half and half, alpha 0, weights twice": [PLAIN, "optimizer.retraining.weight_losses=true"],
    "half and half, alpha 0, no weighting (k -> infinity)": [PLAIN, "optimizer.retraining.k=1e6"],
}


def main() -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--dataset", choices=sorted(OPTIMA), default="imagenet16")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    require_data(parser, options.data)
    lines: list[str] = list(HEADER)
    print("\n".join(lines), flush=True)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for name, overrides in VARIANTS.items():
            jobs = [
                pool.submit(search, "agnet", options.dataset, seed, options.data, overrides)
                for seed in range(options.seeds)
            ]
            lines.append(row(name, options.dataset, [job.result() for job in jobs]))
            print(lines[-1], flush=True)
    if options.into is not None:
        insert(options.into, "ablation", "\n".join(lines))


if __name__ == "__main__":
    main()
