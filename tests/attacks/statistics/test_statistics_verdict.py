"""Thresholds, trade-off curves, power and the verdict: what each says and when it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.errors import InputError
from attacks.statistics import (
    DKW,
    Bonferroni,
    Counts,
    EpsilonBound,
    Fixed,
    Guesses,
    MultiSplit,
    Ranks,
    Split,
    clopper_pearson_counts,
    epsilon_clopper_pearson,
    epsilon_delta_tradeoff,
    epsilon_gdp,
    gaussian_tradeoff,
    guess,
    joint_beta,
    katz_log,
    mu_from_epsilon,
    one_run_fdp,
    power,
    verdict,
)
from attacks.statistics.epsilon import epsilon_from_rates
from attacks.statistics.power import epsilon_ceiling, smallest_tpr

RULES = [Fixed(500.0), Split(seed=3), MultiSplit(3), Ranks(), Bonferroni(), DKW()]
APART = np.arange(400.0) + 600, np.arange(400.0)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_a_perfect_attack_is_caught_under_every_rule_and_below_the_ceiling(rule):
    bound = epsilon_clopper_pearson(*APART, 1e-5, rule=rule)
    assert 2 < bound.value <= epsilon_ceiling(400, 400, 1e-5) + 1e-12
    assert bound.kind == "frequentist"
    json.dumps(bound.to_json(), allow_nan=False)
    assert epsilon_gdp(*APART, 1e-5, rule=rule).mu > 2


def test_members_released_verbatim_reach_the_ceiling():
    bound = epsilon_clopper_pearson(*APART, 1e-5, rule=Fixed(500.0))
    assert bound.value == pytest.approx(epsilon_ceiling(400, 400, 1e-5))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_inverted_scores_show_nothing(rule):
    assert epsilon_gdp(APART[1], APART[0], 1e-5, rule=rule).value == 0


@pytest.mark.parametrize("rule", [Ranks(), Bonferroni(), DKW()])
def test_rules_for_independent_scores_refuse_runs(rule):
    runs = np.arange(400) // 10
    with pytest.raises(InputError, match="share runs"):
        epsilon_clopper_pearson(*APART, 1e-5, rule=rule, clusters=(runs, runs))
    assert epsilon_clopper_pearson(*APART, 1e-5, clusters=(runs, runs)).value > 1


@settings(deadline=None, derandomize=True)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.2))
def test_epsilon_of_rates_is_the_edge_of_the_region(fnr, fpr, delta):
    """At that epsilon the point lies on or above the (epsilon, delta) curve, just below it no more."""
    epsilon = float(epsilon_from_rates(fnr, fpr, delta))
    if not np.isfinite(epsilon) or epsilon > 500:
        return
    assert fnr >= epsilon_delta_tradeoff(epsilon, delta, fpr) - 1e-9
    if epsilon > 1e-3:
        assert fnr < epsilon_delta_tradeoff(epsilon - 1e-3, delta, fpr) + 1e-9


def test_random_subset_is_zero_epsilon_and_m_over_n():
    """m of n records released verbatim: FNR = 1 - m/n at FPR 0, exactly the (0, m/n) curve, and no less."""
    m, n = 10, 2500
    fpr = np.linspace(0, 1, 11)
    assert np.allclose(epsilon_delta_tradeoff(0, m / n, fpr), np.maximum(1 - m / n - fpr, 0))
    assert epsilon_from_rates(1 - m / n, 0.0, m / n + 1e-12) == 0
    assert epsilon_from_rates(1 - m / n, 0.0, 0.0) == np.inf


@settings(deadline=None, derandomize=True)
@given(st.floats(0.05, 12), st.floats(1e-8, 1e-2))
def test_gaussian_curve_lies_above_its_own_epsilon_delta(epsilon, delta):
    fpr = np.linspace(0, 1, 201)
    mu = mu_from_epsilon(epsilon, delta)
    assert (gaussian_tradeoff(mu, fpr) >= epsilon_delta_tradeoff(epsilon, delta, fpr) - 1e-9).all()


def bound(value, kind="frequentist"):
    return EpsilonBound(value, 0.999, 1e-5, "Clopper-Pearson", kind)


def test_nothing_is_proved_where_the_sides_differ_without_a_release():
    fair, unfair = verdict(1.0, bound(2.0), 5.0), verdict(1.0, bound(2.0), 5.0, unfair=0.3)
    assert (fair.outcome, unfair.outcome) == ("violated", "cannot tell")
    assert "draw the sides by coins" in unfair.sentence


@pytest.mark.parametrize(
    ("claimed", "measured", "ceiling", "outcome"),
    [
        (1.0, 1.2, 5.0, "violated"),
        (1.0, 0.9, 5.0, "holds"),
        (8.0, 0.9, 5.0, "cannot tell"),
        (0.0, 0.0, 0.0, "cannot tell"),
        (None, 3.0, 5.0, "cannot tell"),
        (float("inf"), 3.0, 5.0, "cannot tell"),
    ],
)
def test_verdicts(claimed, measured, ceiling, outcome):
    v = verdict(claimed, bound(measured), ceiling)
    assert v.outcome == outcome
    assert f"{measured:.3g}" in v.sentence
    json.dumps(v.to_json(), allow_nan=False)


def test_a_conditional_bound_says_its_condition_and_a_belief_gives_no_verdict():
    assert "if the mechanism is Gaussian" in verdict(1.0, bound(2.0, "conditional on Gaussian family"), 5.0).sentence
    with pytest.raises(InputError, match="credible"):
        verdict(1.0, joint_beta(Counts(50, 1, 1, 50), 1e-5), 5.0)


def test_power_of_a_report():
    p = power(500, 500)
    assert "0.60%" in p.sentence
    assert "too few" in p.sentence
    assert p.epsilon_ceiling == epsilon_ceiling(500, 500, 1e-5)
    assert smallest_tpr(150) <= 0.021 < smallest_tpr(140)
    assert "too few" not in power(500, 10_000).sentence
    json.dumps(p.to_json(), allow_nan=False)


def test_ties_do_not_follow_the_order_of_the_records():
    """Members listed first, scores of one bit that say nothing: half of the guesses are right, whichever way round."""
    rng = np.random.default_rng(4)
    scores, coins = rng.integers(0, 2, 20_000), np.arange(20_000) < 10_000
    for order in (slice(None), slice(None, None, -1)):
        right = guess(scores[order], coins[order], 2000, 2000).correct
        assert abs(right - 2000) < 4.9 * np.sqrt(4000 / 4)  # false alarm below 1e-6


@pytest.mark.parametrize(
    "ask",
    [
        lambda: epsilon_gdp(*APART, 0.0),
        lambda: one_run_fdp(Guesses(10, 5, 0, 5), 0.0),
        lambda: Counts(-1, 2, 1, 1),
        lambda: Counts(0, 0, 1, 1),
        lambda: Guesses(10, 5, 6, 3),
        lambda: Guesses(10, 5, 0, 6),
        lambda: MultiSplit(4),
        lambda: epsilon_clopper_pearson(*APART, 1e-5, rule=Split(1.0)),
        lambda: epsilon_clopper_pearson(*APART, -0.1),
        lambda: epsilon_clopper_pearson(*APART, 1e-5, confidence=1.0),
        lambda: epsilon_clopper_pearson([1.0], [0.0], 1e-5, rule=Split()),
        lambda: katz_log(Counts(10, 10, 4, 10)),
        lambda: clopper_pearson_counts(Counts(1, 1, 1, 1), float("nan")),
        lambda: mu_from_epsilon(1.0, 0.0),
        lambda: verdict(-1.0, bound(0.0), 1.0),
        lambda: guess([1.0, 2.0], [True], 1, 0),
        lambda: guess([1.0, 2.0], [0, 1], 1, 0),
        lambda: guess([1.0, np.nan], [True, False], 1, 0),
        lambda: guess([1.0, 2.0], [True, False], 2, 1),
        lambda: power(0, 10),
    ],
)
def test_what_cannot_be_is_refused(ask):
    with pytest.raises(InputError):
        ask()
