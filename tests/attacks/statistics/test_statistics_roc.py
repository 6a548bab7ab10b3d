"""The ROC against its definition, the errors, and what clusters change."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.errors import InputError
from attacks.statistics import advantage, auc, balanced_accuracy, epsilon_clopper_pearson, roc, tpr_at_fpr
from attacks.statistics.intervals import clopper_pearson, dkw_width, proportion_lower, proportion_upper

scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


def slow_tpr(a, b, fpr):
    """Best TPR of "score > t" over every t with FPR <= fpr: a loop over all thresholds."""
    thresholds = [-np.inf, *a, *b]
    return max(np.mean(np.array(a) > t) for t in thresholds if np.mean(np.array(b) > t) <= fpr)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(scores, scores, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]))
def test_curve_is_the_definition_with_ties(a, b, fpr):
    if len({*a, *b}) == 1:
        with pytest.raises(InputError, match="says nothing"):
            roc(a, b)
        return
    curve = roc(a, b)
    assert curve.tpr_at(fpr) == pytest.approx(slow_tpr(a, b, fpr))
    assert tpr_at_fpr(a, b, fpr).value == pytest.approx(slow_tpr(a, b, fpr))
    pairs = np.subtract.outer(np.array(a), np.array(b))
    area = ((pairs > 0) + (pairs == 0) / 2).mean()
    assert curve.auc == pytest.approx(area)
    assert auc(a, b).value == pytest.approx(area)
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    json.dumps(curve.to_json(), allow_nan=False)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(scores, scores)
def test_values_lie_in_their_intervals_and_survive_monotone_maps(a, b):
    if len({*a, *b}) == 1:
        return
    for estimate in (auc(a, b), tpr_at_fpr(a, b, 0.2)):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        json.dumps(estimate.to_json(), allow_nan=False)
    assert auc(np.exp(a), np.exp(b)) == auc(a, b)
    assert auc(b, a).value == pytest.approx(1 - auc(a, b).value)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [1.0], "no score of members"),
        ([1.0], [], "no score of non-members"),
        ([1.0, np.nan], [0.0], "1 of 2 scores of members are NaN"),
        ([1.0], [np.inf], "NaN or infinite"),
        ([2.0, 2.0], [2.0], "says nothing"),
    ],
)
@pytest.mark.parametrize(
    "ask",
    [roc, auc, balanced_accuracy, lambda a, b: tpr_at_fpr(a, b, 0.1), lambda a, b: epsilon_clopper_pearson(a, b, 0)],
)
def test_bad_scores_are_refused(ask, a, b, message):
    with pytest.raises(InputError, match=message):
        ask(a, b)


@pytest.mark.parametrize("clusters", [([0], [1, 2]), ([0, 0], [0])])
def test_bad_clusters_are_refused(clusters):
    with pytest.raises(InputError, match="clusters"):
        auc([1.0, 2.0], [0.0], clusters=clusters)


def test_low_fpr_certifies_nothing_with_few_non_members():
    """Placing a threshold at FPR .1% with confidence needs log(alpha/4)/log(1 - .001) = 4380 non-members."""
    few = tpr_at_fpr(np.ones(500) + np.arange(500), np.linspace(0, 0.5, 4379), 0.001)
    enough = tpr_at_fpr(np.ones(500) + np.arange(500), np.linspace(0, 0.5, 4380), 0.001)
    assert few.value == enough.value == 1
    assert few.low == 0 < 0.98 < enough.low


def test_perfect_attack_has_an_interval_too():
    estimate = auc(np.arange(50) + 100.0, np.arange(50))
    assert estimate.value == 1
    assert 0.9 < estimate.low < 0.95
    assert advantage(np.arange(50) + 100.0, np.arange(50)).high == 1


def test_repeating_each_score_within_its_run_adds_no_certainty():
    """50 copies of a run's score are one observation: intervals by run do not shrink, naive ones do."""
    rng = np.random.default_rng(1)
    a, b, runs = rng.normal(0.5, 1, 30), rng.normal(0, 1, 30), np.arange(30)
    once = auc(a, b, clusters=(runs, runs))
    copies = auc(np.repeat(a, 50), np.repeat(b, 50), clusters=(np.repeat(runs, 50), np.repeat(runs, 50)))
    naive = auc(np.repeat(a, 50), np.repeat(b, 50))
    assert copies.high - copies.low == pytest.approx(once.high - once.low, rel=0.02)
    assert naive.high - naive.low < 0.3 * (once.high - once.low)


def test_clopper_pearson_inverts_the_binomial_tail():
    from scipy import stats

    for k, n in [(0, 10), (3, 10), (10, 10), (17, 400)]:
        low, high = clopper_pearson(k, n)
        assert k == 0 or stats.binom.sf(k - 1, n, low) == pytest.approx(0.025)
        assert k == n or stats.binom.cdf(k, n, high) == pytest.approx(0.025)
    assert proportion_upper(0, 748, 0.05) == pytest.approx(1 - 0.05 ** (1 / 748))
    assert proportion_lower(5, 5, 0.05) == pytest.approx(0.05 ** (1 / 5))
    assert dkw_width(200, 0.05) == pytest.approx(np.sqrt(np.log(40) / 400))
