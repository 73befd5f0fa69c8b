"""Is the surrogate of ``optimizer=agnet`` calibrated on its candidates, and are they the right ones?

``python -m benchmarks.calibration --table DATA/nasbench201_robustness_cifar10.parquet --columns cifar10_fgsm_eps1``
runs some searches. It prints for every round the share of the pool whose true value lies within one and within two
standard deviations of the prediction (on the model's scale, with its noise), and the rank correlation of prediction and
truth. For the last column we rank the whole space, which the search never does, by the mean plus four deviations. We
take the 16 best cells of new classes and report what share of their classes is in the pool.
"""

import argparse
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from agnet.multiobjective.outcomes import Outcomes
from agnet.optimizers.latent_search.optimizer import LatentSearch
from agnet.runtime.paths import CONF_DIR
from agnet.spaces.nasbench201 import NASBench201
from agnet.surrogates.gaussian_process import GaussianProcess
from agnet.surrogates.outcome_transform import OutcomeTransform
from agnet.tables.table import read_table
from search.correlation import spearman

SPACE = NASBench201()
CELLS = list(SPACE.enumerate())
CLASSES = {cell: SPACE.canonical(cell) for cell in CELLS}


def recall(bounds: torch.Tensor, pool: list[str], known: Collection[str], count: int = 16) -> float:
    """Share of the space's most promising unknown classes that have a member in the pool."""
    closed, promising = {CLASSES[cell] for cell in known}, set[str]()
    for row in bounds.argsort(descending=True).tolist():
        if CLASSES[CELLS[row]] not in closed:
            promising.add(CLASSES[CELLS[row]])
        if len(promising) == count:
            break
    return len(promising & {CLASSES[cell] for cell in pool}) / count


def rounds(values: dict[str, float], overrides: list[str], seed: int, budget: int = 192) -> list[tuple[float, ...]]:
    """Shares within one and two deviations, rank correlation and share of the most promising, round by round."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF_DIR)):
        cfg = compose("search", overrides=overrides).optimizer
    search = instantiate(cfg, space=SPACE, seed=seed, initial=16, _convert_="all")
    assert isinstance(search, LatentSearch)
    found, known = [], {}
    while len(known) < budget:
        asked = search.ask(16)
        pool, predicted = search.pool(), search.predictions()
        if pool and predicted is not None:
            observed = torch.tensor([[v] for v in known.values()], dtype=torch.float64)
            transform, model = OutcomeTransform(Outcomes.unlimited(observed)), GaussianProcess()
            features = search.features
            model.fit(features(list(known)), transform.transformed, seed=0)
            posterior = model.predict(features(pool))
            truth = torch.tensor([[values[a]] for a in pool], dtype=torch.float64)
            std = (posterior.std.double().square() + model.kernels[0].noise ** 2).sqrt()
            z = ((transform.warps[0].forward(truth) - posterior.mean) / std).abs()
            correlation = spearman(predicted[:, 0], truth[:, 0])
            everywhere = model.predict(features(CELLS))
            share = recall((everywhere.mean + 4 * everywhere.std)[:, 0], pool, known)
            found.append((float((z < 1).double().mean()), float((z < 2).double().mean()), correlation or 0.0, share))
        observed = torch.tensor([[values[a]] for a in asked], dtype=torch.float64)
        search.tell(asked, Outcomes.unlimited(observed))
        known |= dict(zip(asked, observed[:, 0].tolist(), strict=True))
    return found


def main() -> None:
    """Print a row for every column: means over rounds and seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, nargs="+", required=True)
    parser.add_argument("--columns", nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--overrides", nargs="*", default=[], help="e.g. optimizer.proposal.refinements=0")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| column | within 1 deviation (normal: .68) | within 2 (.95) | Spearman | most promising 16 |\n"
        + "|---" * 5
        + "|"
    )
    for column in options.columns:
        table = read_table(options.table, [column])
        values = dict(zip(table.rows, table.values[:, 0].tolist(), strict=True))
        found = np.array([rounds(values, options.overrides, 5000 + seed) for seed in range(options.seeds)])
        print(f"| {column} | " + " | ".join(f"{x:.2f}" for x in found.mean(axis=(0, 1))) + " |", flush=True)


if __name__ == "__main__":
    main()
