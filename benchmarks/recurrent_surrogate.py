"""How good is the surrogate of ``objective=nasbench_nlp`` on cells that it has not seen?

``python -m benchmarks.recurrent_surrogate SOURCE`` takes the objective's ``source`` (a folder of recipes or logs, or a
table) and prints one line for every loss.
"""

import argparse

import numpy as np
from scipy.stats import kendalltau, spearmanr

from search.objectives.nasbench_nlp import Trainings, held_out


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
