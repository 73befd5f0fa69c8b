"""How good is the surrogate of ``objective=nasbench_nlp`` on cells that it has not seen?

``python -m benchmarks.recurrent_surrogate SOURCE`` takes the objective's ``source`` (a folder of recipes or logs, or a
table) and prints one line for every loss.
"""

import argparse

import numpy as np
from jaxtyping import Float64
from scipy.stats import kendalltau, spearmanr

from agnet.spaces.nasbench_nlp.space import NASBenchNLP
from search.objectives.nasbench_nlp import NASBenchNLPSurrogate, Trainings
from search.objectives.recurrent_features import recurrent_features


def held_out(
    trainings: Trainings, column: str, folds: int = 5, seed: int = 0
) -> dict[str, Float64[np.ndarray, " cells"]]:
    """Predictions of every cell by a surrogate that has seen neither it nor one with equal features.

    Args:
        trainings: trainings of all cells.
        column: name of the loss.
        folds: number of parts, each of which is predicted from the others.
        seed: seed of parts and trees.

    Returns:
        Predictions by the surrogate's columns.
    """
    features = recurrent_features(NASBenchNLP(), trainings.architectures)
    groups = np.unique(features, axis=0, return_inverse=True)[1].reshape(-1)
    part = np.random.default_rng(seed).permutation(groups.max() + 1)[groups] % folds
    found: dict[str, np.ndarray] = {}
    for fold in range(folds):
        inside, outside = np.flatnonzero(part == fold).tolist(), np.flatnonzero(part != fold).tolist()
        seen = Trainings(
            [trainings.architectures[i] for i in outside], {column: np.asarray(trainings.losses[column])[outside]}
        )
        surrogate = NASBenchNLPSurrogate(seen, seed)
        rows = surrogate([trainings.architectures[i] for i in inside])
        for name in surrogate.columns:
            values = found.setdefault(name, np.full(len(part), np.nan))
            values[inside] = [row[name] for row in rows]
    return found


def quality(trainings: Trainings, column: str, folds: int, seed: int) -> dict[str, float]:
    """Quality of the predicted loss and divergence on held-out cells.

    These are rank correlations and R2 of the loss over cells whose trainings did not diverge, the Spearman correlation
    over the better half of them, and the share of pairs of a diverged and another cell that divergence orders.
    """
    predicted = held_out(trainings, column, folds, seed)
    true = np.asarray(trainings.losses[column])
    finite = np.isfinite(true)
    ours, theirs = predicted[column][finite], true[finite]
    better = theirs < np.median(theirs)
    divergence = next(values for name, values in predicted.items() if name.endswith("_divergence"))
    pairs = divergence[~finite][:, None] - divergence[finite]
    return {
        "cells": int(finite.sum()),
        "diverged": int((~finite).sum()),
        "spearman": float(spearmanr(ours, theirs)[0]),  # pyright: ignore
        "kendall": float(kendalltau(ours, theirs)[0]),  # pyright: ignore
        "r2": float(1 - ((ours - theirs) ** 2).sum() / ((theirs - theirs.mean()) ** 2).sum()),
        "spearman_better_half": float(spearmanr(ours[better], theirs[better])[0]),  # pyright: ignore
        "divergence_auc": float((pairs > 0).mean() + 0.5 * (pairs == 0).mean()) if pairs.size else float("nan"),
    }


def main() -> None:
    """Read the trainings, fit the surrogate and print its quality."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    trainings = Trainings.read(arguments.source)
    for column in trainings.losses:
        found = quality(trainings, column, arguments.folds, arguments.seed)
        print(f"{column}: " + ", ".join(f"{name} {value:.3g}" for name, value in found.items()))


if __name__ == "__main__":
    main()
