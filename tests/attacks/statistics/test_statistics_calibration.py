"""Null and known-truth audits: no bound and no interval misses more often than it says.

Each test counts misses over AUDITS independent audits with fixed seeds and allows what a binomial of the stated rate
passes with probability 1e-6, which is the false-alarm rate of the test. `test_the_uncorrected_maximum_is_caught`
shows that this limit can fail.
"""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from attacks.statistics import (
    DKW,
    Bonferroni,
    Fixed,
    MultiSplit,
    Ranks,
    Split,
    auc,
    balanced_accuracy,
    epsilon_clopper_pearson,
    epsilon_gdp,
    guess,
    guess_by_bonferroni,
    guess_by_split,
    independent_runs,
    one_run_fdp,
    steinke,
    tpr_at_fpr,
)
from attacks.statistics.tradeoff import auc_from_mu, tpr_from_mu

AUDITS, N, ALPHA = 300, 120, 0.05
LIMIT = stats.binom.isf(1e-6, AUDITS, ALPHA)
RULES = [Fixed(0.3), Split(), MultiSplit(5), Ranks(), Bonferroni(), DKW()]


def audits(shift=0.0, n=N, stream=0):
    for i in range(AUDITS):
        rng = np.random.default_rng([77, stream, i])
        yield rng.normal(shift, 1, n), rng.normal(0, 1, n)


@pytest.mark.parametrize("bound", [epsilon_clopper_pearson, epsilon_gdp])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_null_audits_show_no_epsilon(bound, rule):
    assert sum(bound(a, b, 1e-5, rule=rule).value > 0 for a, b in audits()) <= LIMIT


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_null_audits_with_ties(rule):
    """Scores of five values only: ties must not buy confidence."""
    misses = sum(
        epsilon_clopper_pearson(np.clip(a.round(), -2, 2), np.clip(b.round(), -2, 2), 1e-5, rule=rule).value > 0
        for a, b in audits(stream=1)
    )
    assert misses <= LIMIT


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_mu_is_not_overstated_on_a_gaussian_mechanism(rule):
    assert sum(epsilon_gdp(a, b, 1e-5, rule=rule).mu > 1 for a, b in audits(shift=1.0, stream=2)) <= LIMIT


def test_the_uncorrected_maximum_is_caught():
    """What other tools do, the best of a bound (here Katz') over all thresholds, fails the test above on nulls."""
    misses = 0
    for a, b in audits():
        t = np.sort(np.concatenate([a, b]))
        tp, fp = ((x > t[:, None]).sum(axis=1) for x in (a, b))
        tp, fp = tp[(tp >= 5) & (fp >= 5)], fp[(tp >= 5) & (fp >= 5)]
        spread = np.sqrt((1 - tp / N) / tp + (1 - fp / N) / fp)
        misses += (np.log(tp / fp) + stats.norm.ppf(ALPHA) * spread).max() > 0
    assert misses > 2 * LIMIT


def shown_or_flipped(rng, m, epsilon, delta):
    """Scores of the worst (epsilon, delta)-DP run: the coin itself with probability delta, else randomised response."""
    coins = rng.random(m) < 0.5
    told = np.where(rng.random(m) < 1 / (1 + np.exp(-epsilon)), coins, ~coins)
    told, shown = np.where(told, 1.0, -1.0), rng.random(m) < delta
    noise = 1e-3 * rng.normal(size=m)
    return np.where(shown, np.where(coins, 2.0, -2.0), told) + noise, coins


@pytest.mark.parametrize(
    "choose", [guess_by_bonferroni, partial(guess_by_split, fraction=0.3, seed=9)], ids=["bonferroni", "split"]
)
@pytest.mark.parametrize("bound", [steinke, independent_runs, one_run_fdp])
def test_null_coins_show_no_epsilon(choose, bound):
    misses = 0
    for i in range(AUDITS):
        rng = np.random.default_rng([78, i])
        misses += choose(rng.normal(size=200), rng.random(200) < 0.5, bound, 1e-5).value > 0
    assert misses <= LIMIT


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.0), (0.5, 0.05), (2.0, 0.01)])
@pytest.mark.parametrize("bound", [steinke, independent_runs])
def test_coin_bounds_hold_on_the_worst_mechanism(bound, epsilon, delta):
    """Without the delta term both would claim too much here: the shown coins are the top and bottom guesses."""
    values, blind = [], []
    for i in range(AUDITS):
        rng = np.random.default_rng([79, i])
        scores, coins = shown_or_flipped(rng, 400, epsilon, delta)
        made = guess(scores, coins, 20, 20)
        values.append(bound(made, delta).value)
        blind.append(bound(made, 0.0).value)
    assert np.sum(np.array(values) > epsilon) <= LIMIT
    if delta == 0.05:
        assert np.sum(np.array(blind) > epsilon) > LIMIT


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_tpr_and_auc_intervals_cover(shift):
    truth = float(tpr_from_mu(shift, 0.1)), auc_from_mu(shift)
    missed = np.zeros(2)
    for a, b in audits(shift, stream=3):
        for i, e in enumerate((tpr_at_fpr(a, b, 0.1), auc(a, b))):
            missed[i] += not e.low <= truth[i] <= e.high
    assert (missed <= LIMIT).all()


def test_balanced_accuracy_covers_one_half_on_nulls():
    estimates = [balanced_accuracy(a, b) for a, b in audits(stream=4)]
    assert sum(not e.low <= 0.5 <= e.high for e in estimates) <= LIMIT


def by_run(i, runs=24, records=20):
    """Null scores that move together within each side of a run, with the run of each score."""
    rng = np.random.default_rng([80, i])
    sides = [(rng.normal(0, 2, size=(runs, 1)) + rng.normal(size=(runs, records))).ravel() for _ in range(2)]
    ids = np.repeat(np.arange(runs), records)
    return sides, (ids, ids)


def test_intervals_by_run_cover_and_naive_ones_do_not():
    missed = dict.fromkeys(["auc", "balanced", "epsilon", "naive auc", "naive epsilon"], 0)
    for i in range(AUDITS):
        (a, b), runs = by_run(i)
        e = auc(a, b, clusters=runs)
        missed["auc"] += not e.low <= 0.5 <= e.high
        e = balanced_accuracy(a, b, clusters=runs)
        missed["balanced"] += not e.low <= 0.5 <= e.high
        e = auc(a, b)
        missed["naive auc"] += not e.low <= 0.5 <= e.high
        missed["epsilon"] += epsilon_clopper_pearson(a, b, 1e-5, clusters=runs).value > 0
        missed["naive epsilon"] += epsilon_clopper_pearson(a, b, 1e-5).value > 0
    assert max(missed["auc"], missed["balanced"], missed["epsilon"]) <= LIMIT
    assert min(missed["naive auc"], missed["naive epsilon"]) > LIMIT


def test_tpr_by_run_covers():
    few = 100
    missed = 0
    for i in range(few):
        (a, b), runs = by_run(1000 + i)
        e = tpr_at_fpr(a, b, 0.1, clusters=runs)
        missed += not e.low <= 0.1 <= e.high
    assert missed <= stats.binom.isf(1e-6, few, ALPHA)
