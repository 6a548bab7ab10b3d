"""Trade-off curves: what (epsilon, delta)-DP and mu-GDP allow an attack (Dong, Roth & Su 2022)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from attacks.errors import InputError
from attacks.statistics.scores import FloatArray, check_delta


def gaussian_tradeoff(mu: float, fpr: ArrayLike) -> FloatArray:
    """Least FNR at each FPR under mu-GDP."""
    return np.asarray(special.ndtr(-special.ndtri(np.asarray(fpr, float)) - mu))


def epsilon_delta_tradeoff(epsilon: float, delta: float, fpr: ArrayLike) -> FloatArray:
    """Least FNR at each FPR under (epsilon, delta)-DP; 1 minus it is the curve to lay over a ROC.

    epsilon = 0 and delta = m/n is the line of a released random subset of m of n records.
    """
    a = np.asarray(fpr, float)
    with np.errstate(over="ignore", invalid="ignore"):
        one = 1 - delta - np.exp(epsilon) * a
        two = np.exp(-epsilon) * (1 - delta - a)
    return np.fmax(np.fmax(one, two), 0.0)


def delta_from_mu(mu: float, epsilon: float) -> float:
    """delta(epsilon) of mu-GDP (Dong, Roth & Su 2022, Corollary 2.13; Balle & Wang 2018)."""
    if mu <= 0:
        return 0.0
    below = special.log_ndtr(-epsilon / mu - mu / 2) + epsilon
    return max(float(special.ndtr(-epsilon / mu + mu / 2) - np.exp(below)), 0.0)


def epsilon_from_mu(mu: float, delta: float) -> float:
    """Smallest epsilon >= 0 with delta(epsilon) <= delta under mu-GDP; infinite for mu > 0 at delta = 0."""
    check_delta(delta)
    if np.isnan(mu) or mu < 0:
        raise InputError(f"mu is {mu!r}: give a number >= 0")
    if delta_from_mu(mu, 0.0) <= delta:
        return 0.0
    if delta == 0 or np.isinf(mu):
        return float("inf")
    top = mu * (mu / 2 - float(special.ndtri(delta))) + 1  # Phi(-top/mu + mu/2) < delta already
    return float(optimize.brentq(lambda e: delta_from_mu(mu, e) - delta, 0.0, top, xtol=1e-12))


def mu_from_epsilon(epsilon: float, delta: float) -> float:
    """The mu whose (epsilon, delta) this is: the analytic Gaussian mechanism, turned around."""
    check_delta(delta)
    if not epsilon >= 0 or delta == 0:
        raise InputError(
            f"epsilon {epsilon!r}, delta {delta!r} is no Gaussian mechanism: give epsilon >= 0 and delta > 0"
        )
    if np.isinf(epsilon):
        return float("inf")
    top = 1.0
    while delta_from_mu(top, epsilon) < delta:
        top *= 2
    return float(optimize.brentq(lambda m: delta_from_mu(m, epsilon) - delta, 1e-12, top, xtol=1e-14))


def auc_from_mu(mu: float) -> float:
    """Area under the ROC of the best attack on mu-GDP."""
    return float(special.ndtr(mu / np.sqrt(2)))


def tpr_from_mu(mu: float, fpr: ArrayLike) -> FloatArray:
    """TPR at each FPR of the best attack on mu-GDP."""
    return 1 - gaussian_tradeoff(mu, fpr)


def balanced_accuracy_from_mu(mu: float) -> float:
    """Balanced accuracy of the best attack on mu-GDP."""
    return float(special.ndtr(mu / 2))
