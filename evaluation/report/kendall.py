"""Kendall's rank correlation between many columns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau

from evaluation.report.measurements import Values


def tau(x: Values, y: Values) -> float:
    """Kendall's tau-b over the classes that have both values; NaN where one of them never changes.

    Example:
        >>> round(tau(np.array([1.0, 2.0, 3.0, np.nan]), np.array([10.0, 30.0, 20.0, 40.0])), 3)
        0.333
    """
    known = ~(np.isnan(x) | np.isnan(y))
    if known.sum() < 2:
        return float("nan")
    if known.sum() == 2:  # one pair; the significance that scipy computes beside has no value for it
        sign = float(np.prod(np.sign(np.diff([x[known], y[known]]))))
        return sign or float("nan")
    found: Any = kendalltau(x[known], y[known], method="asymptotic")
    return float(found.statistic)


def taus(rows: Mapping[str, Values], columns: Mapping[str, Values]) -> Float[np.ndarray, "rows columns"]:
    """Tau of every row with every column."""
    return np.array([[tau(x, y) for y in columns.values()] for x in rows.values()]).reshape(len(rows), len(columns))


def tau_matrix(columns: Mapping[str, Values]) -> Float[np.ndarray, "columns columns"]:
    """Tau of every pair of columns."""
    values = list(columns.values())
    matrix = np.array([[tau(x, y) if i < j else 0.0 for j, y in enumerate(values)] for i, x in enumerate(values)])
    matrix += matrix.T
    np.fill_diagonal(matrix, [1.0 if np.nanmin(v) < np.nanmax(v) else np.nan for v in values])
    return matrix


def tied(values: Values) -> float:
    """Share of the pairs of classes whose values are equal.

    Example:
        >>> tied(np.array([1.0, 1.0, 2.0]))
        0.3333333333333333
    """
    _, counts = np.unique(values, return_counts=True)
    pairs = len(values) * (len(values) - 1)
    return float((counts * (counts - 1)).sum() / pairs) if pairs else float("nan")
