"""Comparison with the published tables: matching columns, and the rank correlation of two of them."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float
from scipy.stats import kendalltau

CLEAN = "cifar10_test"
BOOTSTRAPS = 200

Values = Float[np.ndarray, " cells"]


def read_published(data: Path) -> dict[str, dict[str, float]]:
    """Published CIFAR-10 columns by name: architecture to percent.

    Args:
        data: folder of ``nasbench201_accuracy.parquet`` and ``nasbench201_robustness_cifar10.parquet``, as
            ``python -m search.import_table`` makes them.
    """
    found: dict[str, dict[str, float]] = {}
    for name in ("nasbench201_accuracy", "nasbench201_robustness_cifar10"):
        table = pq.read_table(data / f"{name}.parquet")
        cells = table["architecture"].to_pylist()
        for column in table.column_names:
            if column.startswith("cifar10_"):
                found[column] = dict(zip(cells, table[column].to_pylist(), strict=True))
    return found


def matched(accuracy: Values, clean: Values, attack: str, theirs: Mapping[str, Values]) -> str | None:
    """The published column of an attack under which the median network keeps the most similar share of its accuracy.

    Args:
        accuracy: our accuracies under the attack, in percent.
        clean: our clean accuracies, in percent.
        attack: name of the attack.
        theirs: published columns of the same cells.
    """
    share = np.median(accuracy) / np.median(clean)
    columns = [name for name in theirs if re.fullmatch(rf"cifar10_{attack}_eps(?!255)[\d.]+", name)]
    kept = {name: np.median(theirs[name]) / np.median(theirs["cifar10_clean"]) for name in columns}
    return min(columns, key=lambda name: abs(kept[name] - share)) if columns else None


def tau(a: Values, b: Values) -> tuple[float, float]:
    """Kendall's tau and its standard deviation over resampled cells."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(a), len(a)) for _ in range(BOOTSTRAPS)]
    return float(kendalltau(a, b).statistic), float(np.std([kendalltau(a[d], b[d]).statistic for d in draws]))
