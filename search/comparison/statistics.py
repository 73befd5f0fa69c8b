"""Means, spreads and tests over seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

RESAMPLES = 9999
"""Number of sign flips drawn for a permutation test; with 13 pairs or fewer all are tried."""


def mean_spread(values: Sequence[float] | Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1; 0 for one value) of the values that are not NaN; NaN if there are none.

    Example:
        >>> mean_spread([1.0, 3.0, float("nan")])
        (2.0, 1.4142135623730951)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return float("nan"), float("nan")
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else 0.0


def spread_text(values: Sequence[float] | Float[np.ndarray, " n"], digits: int) -> str:
    """Mean and standard deviation as a table shows them.

    Example:
        >>> spread_text([1.0, 3.0], 2), spread_text([], 2)
        ('2.00 ± 1.41', '-')
    """
    mean, deviation = mean_spread(values)
    return "-" if np.isnan(mean) else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def paired_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided p-value of the paired permutation test for the mean difference.

    Each pair's difference keeps or flips its sign. The test assumes no distribution and needs no treatment of ties.
    With n pairs the value cannot be below 2 / 2^n.

    Example:
        >>> paired_p([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
        1.0
    """
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    if len(differences) < 2 or not differences.any():
        return 1.0
    from scipy.stats import permutation_test  # here: it takes half a second, and --help does without

    test = permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        vectorized=True,
        axis=0,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for multiple tests (Holm, 1979).

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected, largest = {}, 0.0
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - i)))
        corrected[name] = largest
    return corrected
