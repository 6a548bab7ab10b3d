"""Printed numbers of papers and other tools, to the digits that they print."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from attacks.statistics import (
    Counts,
    Guesses,
    bailey,
    clopper_pearson_counts,
    epsilon_from_mu,
    gdp_counts,
    independent_runs,
    joint_beta,
    katz_log,
    mu_from_epsilon,
    one_run_fdp,
    roc,
    steinke,
    tpr_at_fpr,
)
from attacks.statistics.power import (
    detection_power,
    epsilon_ceiling,
    members_needed,
    members_to_rule_out,
    mu_ceiling,
    zero_of_n,
)
from attacks.statistics.tradeoff import auc_from_mu, balanced_accuracy_from_mu, delta_from_mu, tpr_from_mu


def all_right(m, r, v):
    return Guesses(m, r, 0, v)


@pytest.mark.parametrize(
    ("m", "r", "v", "confidence", "epsilon", "digits"),
    [  # public test vectors of one-run auditing code (Steinke et al. 2023), delta = 1e-5
        (500, 100, 100, 0.95, 3.4791953936, 8),
        (500, 100, 100, 0.99, 3.0231975541, 8),
        (500, 35, 23, 0.95, 0.0145487, 7),
        (500, 95, 58, 0.95, 0.0836620, 7),
        (500, 30, 23, 0.95, 0.4264876, 7),
    ],
)
def test_steinke_public_vectors(m, r, v, confidence, epsilon, digits):
    assert steinke(all_right(m, r, v), 1e-5, confidence).value == pytest.approx(epsilon, abs=10**-digits / 2)


@pytest.mark.parametrize(
    ("r", "epsilon"),
    [(10, 1.05), (20, 1.82), (30, 2.25), (50, 2.79), (100, 3.49), (200, 4.19), (500, 5.11), (1000, 5.81), (5000, 7.42)],
)
def test_one_run_ceilings(r, epsilon):
    """logit(.05^(1/r)): every guess right, delta = 0; the two coin bounds agree there."""
    ceiling = float(logit(0.05 ** (1 / r)))
    assert ceiling == pytest.approx(epsilon, abs=0.006)
    assert steinke(all_right(r, r, r), 0.0).value == pytest.approx(ceiling, abs=1e-9)
    assert independent_runs(all_right(r, r, r), 0.0).value == pytest.approx(ceiling, abs=1e-9)


@pytest.mark.parametrize(
    ("r", "v", "plain", "f_dp"),
    [
        (100, 100, 3.465, 5.549),
        (100, 95, 2.165, 3.323),
        (400, 320, 1.175, 1.998),
        (1000, 600, 0.297, 0.584),
        (1000, 700, 0.732, 1.372),
    ],
)
def test_one_run_steinke_and_f_dp(r, v, plain, f_dp):
    """m = 1000, delta = 1e-5; the recursion of jax_privacy and PrivacyGuard."""
    assert steinke(all_right(1000, r, v), 1e-5).value == pytest.approx(plain, abs=5.1e-4)
    bound = one_run_fdp(all_right(1000, r, v), 1e-5)
    assert bound.value == pytest.approx(f_dp, abs=5.1e-4)
    assert bound.kind == "conditional on Gaussian family"


@pytest.mark.parametrize(
    ("n", "epsilon"),
    [
        (16, 1.35),
        (32, 2.10),
        (64, 2.83),
        (100, 3.28),
        (128, 3.53),
        (256, 4.23),
        (512, 4.93),
        (1000, 5.60),
        (5000, 7.21),
    ],
)
def test_clopper_pearson_ceilings(n, epsilon):
    assert epsilon_ceiling(n, n, 1e-5) == pytest.approx(epsilon, abs=0.006)
    assert clopper_pearson_counts(Counts(n, 0, 0, n), 1e-5).kind == "frequentist"


@pytest.mark.parametrize(("n", "mu"), [(16, 1.64), (32, 2.47), (64, 3.18), (256, 4.38), (1000, 5.36)])
def test_gdp_ceilings(n, mu):
    assert mu_ceiling(n, n) == pytest.approx(mu, abs=0.0051)


@pytest.mark.parametrize(
    ("tp", "fp", "katz", "bail"), [(100, 10, 4.45958661, 4.61953896), (90, 5, 6.39712581, 6.87647915)]
)
def test_katz_and_bailey(tp, fp, katz, bail):
    """TensorFlow Privacy's docstring: 110 members, 80 non-members, alpha = .05, ratios TPR/FPR."""
    counts = Counts(tp, 110 - tp, fp, 80 - fp)
    assert np.exp(katz_log(counts).value) == pytest.approx(katz, abs=5e-9)
    assert np.exp(bailey(counts).value) == pytest.approx(bail, abs=5e-9)


def test_joint_beta():
    """README vector of Microsoft's toolbox, TP 487 TN 1 FP 512 FN 0, alpha = .1, delta = 1e-5: .145 (Monte Carlo)."""
    bound = joint_beta(Counts(487, 0, 512, 1), 1e-5, confidence=0.9)
    assert bound.value == pytest.approx(0.145, abs=0.0015)
    assert bound.kind == "bayesian"


def test_joint_beta_is_the_monte_carlo_quantile():
    counts, delta = Counts(60, 12, 9, 55), 1e-3
    rng, n = np.random.default_rng(0), 400_000
    fnr, fpr = rng.beta(12.5, 60.5, n), rng.beta(9.5, 55.5, n)
    flip = fnr + fpr > 1
    a, b = np.where(flip, 1 - fpr, fnr), np.where(flip, 1 - fnr, fpr)
    high, low = np.maximum(a, b), np.minimum(a, b)
    draws = np.where(high > 1 - delta - low, 0.0, np.log(np.maximum(1 - delta - high, 1e-300) / low))
    share = (draws <= joint_beta(counts, delta, 0.9).value).mean()  # exact share .05
    assert abs(share - 0.05) < stats.norm.isf(5e-7) * np.sqrt(0.05 * 0.95 / n) + 1e-4


MU_TABLE = [  # mu, epsilon(1e-5), AUC, TPR at .1%, TPR at 1%, balanced accuracy
    (0.25, 0.93, 0.570, 0.0023, 0.0189, 0.550),
    (0.5, 1.99, 0.638, 0.0048, 0.034, 0.599),
    (1, 4.38, 0.760, 0.0183, 0.092, 0.691),
    (2, 10.0, 0.921, 0.138, 0.372, 0.841),
    (3, 16.7, 0.983, 0.464, 0.750, 0.933),
    (4, 24.4, 0.998, 0.819, 0.953, 0.977),
]


@pytest.mark.parametrize("row", MU_TABLE)
def test_mu_table(row):
    mu, epsilon, area, tpr_01, tpr_1, accuracy = row

    def printed(value, number):
        digits = len(str(number).split(".")[1])
        return value == pytest.approx(number, abs=0.51 * 10**-digits)

    assert printed(epsilon_from_mu(mu, 1e-5), epsilon)
    assert printed(auc_from_mu(mu), area)
    assert printed(float(tpr_from_mu(mu, 0.001)), tpr_01)
    assert printed(float(tpr_from_mu(mu, 0.01)), tpr_1)
    assert printed(balanced_accuracy_from_mu(mu), accuracy)


@pytest.mark.parametrize("mu", [0.01, 0.3, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-5, 1e-3])
def test_mu_and_epsilon_turn_each_other_around(mu, delta):
    epsilon = epsilon_from_mu(mu, delta)
    assert delta_from_mu(mu, epsilon) == pytest.approx(delta, rel=1e-6) or epsilon == 0
    if epsilon > 0:
        assert mu_from_epsilon(epsilon, delta) == pytest.approx(mu, rel=1e-6)


@pytest.mark.parametrize(
    ("n", "percent"),
    [
        (10, 25.9),
        (20, 13.9),
        (50, 5.8),
        (100, 2.95),
        (500, 0.60),
        (1000, 0.30),
        (2500, 0.12),
        (5000, 0.06),
        (25_000, 0.012),
    ],
)
def test_zero_of_n(n, percent):
    digits = len(str(percent).split(".")[1])
    assert 100 * zero_of_n(n) == pytest.approx(percent, abs=0.51 * 10**-digits)


def test_members_to_rule_out_the_subset_line():
    assert members_to_rule_out(0.004) == 748


@pytest.mark.parametrize(("tpr", "n"), [(0.021, 150), (0.011, 280), (0.005, 1110), (0.003, 3500), (0.0022, 7500)])
def test_members_needed(tpr, n):
    """The printed numbers are rounded up: they suffice, and the exact ones (142, 272, 1102, 3024, 6715) are near."""
    exact = members_needed(tpr)
    assert 0.85 * n < exact <= n
    assert detection_power(n, tpr, 0.001) >= 0.8
    assert detection_power(exact, tpr, 0.001) >= 0.8 > detection_power(exact - 1, tpr, 0.001)


def test_shifted_ladder():
    """jax_privacy's example, out = 0..99, in = out + 9.5: TPR .11 at FPR 1%; area 5905 of 10,000 pairs."""
    out = np.arange(100.0)
    assert tpr_at_fpr(out + 9.5, out, 0.01).value == pytest.approx(0.11)
    assert roc(out + 9.5, out).tpr_at(0.01) == pytest.approx(0.11)
    assert roc(out + 9.5, out).auc == pytest.approx(np.mean(out[:, None] + 9.5 > out))


def test_gdp_is_clipped_at_zero_not_made_positive():
    """An attack worse than chance shows nothing (a bug once fixed in jax_privacy)."""
    bound = gdp_counts(Counts(5, 95, 95, 5), 1e-5)
    assert bound.mu == 0
    assert bound.value == 0
