"""Which settings raise the correlation with published tables? ``python -m benchmarks.fidelity --variants default ...``.

Small networks on small images can replace NAS-Bench-201's only if they rank cells alike. Every variant changes some
settings of ``conf/experiment/cifar10_micro.yaml`` and produces the same random cells (in its own folder, where it
resumes). It is compared with the published tables by Kendall's tau: clean accuracy with ``cifar10_test``, FGSM and PGD
with the published columns at the radius where the published networks keep the most similar share of their clean
accuracy. CPU seconds per cell and the standard deviation of tau over resampled cells are printed too.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from agnet.runtime.executors import LocalExecutor
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.nasbench201 import NASBench201
from benchmarks.published import CLEAN, matched, read_published, tau
from evaluation.production.configured import build_protocol
from evaluation.production.merge import representatives
from evaluation.production.produce import produce
from evaluation.run import chosen_architectures

VARIANTS: dict[str, list[str]] = {
    "default": [],
    "second seed": ["seeds=[1]"],
    "6 epochs": ["recipe.epochs=6"],
    "6 epochs, no flips": ["recipe.epochs=6", "recipe.flip=false"],
    "8,000 images, 3 epochs, crops": ["dataset.num_train=8_000", "recipe.epochs=3", "recipe.crop_padding=1"],
    "2,500 images, crops": ["dataset.num_train=2_500", "recipe.crop_padding=2"],
    "32x32 pixels, 1,500 images, 4 epochs, no flips": [
        *("dataset.resolution=32", "dataset.num_train=1_500", "recipe.epochs=4", "recipe.flip=false"),
        *("recipe.batch_size=64", "recipe.learning_rate=0.1"),
    ],
    "8x8 pixels, 16 channels, 8,000 images": [
        *("dataset.resolution=8", "network.channels=16", "dataset.num_train=8_000"),
    ],
    "8x8 pixels, 16 channels, 10,000 images, 10 epochs": [
        *("dataset.resolution=8", "network.channels=16", "dataset.num_train=10_000", "recipe.epochs=10"),
        *("recipe.batch_size=256", "recipe.learning_rate=0.4"),
    ],
    "8x8 pixels, 16 channels, 3,000 images, 13 epochs, no flips": [
        *("dataset.resolution=8", "network.channels=16", "dataset.num_train=3_000", "recipe.epochs=13"),
        "recipe.flip=false",
    ],
}
"""Overrides of the experiment, by variant."""


def line(name: str, overrides: list[str], options: argparse.Namespace, theirs: dict[str, dict[str, float]]) -> str:
    """Produce a variant's cells and compare them."""
    base = ["experiment=cifar10_micro", "out=unused", f"data_root={options.data}"]
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("run", overrides=[*base, *overrides, f"num_architectures={options.cells}", "draw_seed=0"])
    protocol, cells = build_protocol(cfg), chosen_architectures(cfg, representatives(NASBench201()))
    folder = options.out / re.sub(r"\W+", "_", name)
    executor = LocalExecutor(options.workers)
    found = produce(protocol, cells, folder, executor=executor, seeds=list(cfg.seeds), progress=True)
    records = {unit.architecture: record for unit, record in found.records.items()}
    cells = [cell for cell in cells if cell in records]
    ours = {c: np.array([records[cell].columns[c] for cell in cells]) for c in records[cells[0]].columns}
    there = {c: np.array([values[cell] for cell in cells], dtype=float) for c, values in theirs.items()}
    clean = ours[f"{protocol.prefix}_test"]
    value, spread = tau(clean, there[CLEAN])
    costs = [
        np.mean([records[cell].cost[f"{part}_cpu_seconds"] for cell in cells]) for part in ("training", "evaluation")
    ]
    parts = [name, f"{len(cells)}", *(f"{cost:.1f}" for cost in costs), f"{np.median(clean):.1f}"]
    parts.append(f"{value:.2f} ± {spread:.2f}")
    for attack in ("fgsm", "pgd"):
        columns = [c for c in ours if c.startswith(f"{protocol.prefix}_test_{attack}_eps")]
        best = []
        for column in columns:
            other = matched(ours[column], clean, attack, there)
            value, spread = tau(ours[column], there[other])
            best.append(f"{column.rpartition('eps')[2]}~{other.rpartition('eps')[2]}: {value:.2f} ± {spread:.2f}")
        parts.append(", ".join(best))
    return "| " + " | ".join(parts) + " |"


def main() -> None:
    """Print one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/fidelity"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    theirs = read_published(options.data)
    print("| variant | cells | CPU-s training | evaluation | clean % | tau clean | tau FGSM, ours~theirs | tau PGD |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.variants:
        print(line(name, VARIANTS[name], options, theirs), flush=True)


if __name__ == "__main__":
    main()
