import itertools

import numpy as np
import pytest
from scipy.stats import ttest_rel

from search.comparison.statistics import holm, mean_spread, paired_p


def test_spread_leaves_out_what_is_missing() -> None:
    assert mean_spread([2.0, float("nan")]) == (2.0, 0.0)
    assert all(np.isnan(mean_spread([float("nan")])))


def test_the_permutation_test_tries_every_sign() -> None:
    ours, theirs = [5.0, 7.0, 4.0, 9.0, 6.0], [4.0, 5.0, 4.5, 6.0, 2.0]
    differences = np.array(ours) - theirs
    means = [abs(np.mean(differences * signs)) for signs in itertools.product([1, -1], repeat=5)]
    expected = np.mean([mean >= abs(differences.mean()) - 1e-12 for mean in means])
    assert paired_p(ours, theirs) == pytest.approx(expected)
    assert paired_p(theirs, ours) == pytest.approx(expected)


def test_few_pairs_prove_nothing() -> None:
    assert paired_p([1.0], [0.0]) == 1.0
    assert paired_p([9.0, 9.0], [0.0, 0.0]) == 0.5


def test_it_agrees_with_the_t_test_where_that_holds_and_is_reproducible() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.normal(size=60)
    ours = theirs + rng.normal(0.25, 1.0, size=60)
    expected = ttest_rel(ours, theirs).pvalue
    assert paired_p(ours.tolist(), theirs.tolist()) == pytest.approx(expected, abs=0.02)
    assert paired_p(ours.tolist(), theirs.tolist()) == paired_p(ours.tolist(), theirs.tolist())


def test_holm_is_monotone_and_at_most_one() -> None:
    assert holm({"a": 0.5, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
