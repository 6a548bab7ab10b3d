"""Epsilon lower bounds from fair coins guessed in one run, or in many independent ones."""

from __future__ import annotations

from collections.abc import Callable
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
from scipy import optimize, special, stats

from attacks.statistics.epsilon import GAUSSIAN, EpsilonBound
from attacks.statistics.guessing import Guesses
from attacks.statistics.scores import FloatArray, IntArray, check_delta, check_probability
from attacks.statistics.tradeoff import epsilon_from_mu


def steinke(guesses: Guesses, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """One-run bound of Steinke, Nasr & Jagielski 2023 (Theorem 5.2), with its delta term.

    All m canaries share one run, each in by its own fair coin. The bound is the largest epsilon under which as many
    right guesses have a probability below 1 - confidence.
    """
    check_delta(delta)
    m, r, v = guesses.canaries, guesses.made, guesses.correct

    def p_value(epsilon: float) -> float:
        q = float(special.expit(epsilon))
        beta, worst = float(_at_least(np.array(v), np.array(r), q)), 0.0
        if delta > 0 and v > 0:
            # P[v > Bin >= v - i] / i at its worst i; below the floor (Chernoff: mass < 1e-15) i only divides by more
            floor = max(int(r * q - 8.5 * np.sqrt(r * q)), 0)
            steps = np.arange(1, max(v - floor, 1) + 1)
            worst = max(float(((_at_least(v - steps, np.array(r), q) - beta) / steps).max()), 0.0)
        return beta + 2 * m * delta * worst

    method = "one-run (Steinke et al.)"
    return EpsilonBound(_largest(p_value, confidence), confidence, delta, method, "frequentist", rule=str(guesses))


def independent_runs(guesses: Guesses, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """Each canary has a fresh run and a fair coin of its own: the same question, answered tightly.

    Whatever (epsilon, delta)-DP a run has, it tells no more than a coin that is shown with probability delta and else
    flipped with probability 1/(1 + e^epsilon) (Kairouz, Oh & Viswanath 2015). With B ~ Bin(m, delta) runs showing
    theirs, the right guesses are at most B + Bin(r - B, e^epsilon/(1 + e^epsilon)).
    """
    m, r, v = guesses.canaries, guesses.made, guesses.correct
    shown = stats.binom(m, check_delta(delta))
    b = np.arange(min(int(shown.isf(1e-12)), v) + 1)
    weights, rest = shown.pmf(b), float(shown.sf(b[-1]))

    def p_value(epsilon: float) -> float:
        return float(weights @ _at_least(v - b, r - b, special.expit(epsilon))) + rest

    method = "guesses over independent runs"
    return EpsilonBound(_largest(p_value, confidence), confidence, delta, method, "frequentist", rule=str(guesses))


def one_run_fdp(guesses: Guesses, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """One-run f-DP bound of Mahloujifar, Melis & Chaudhuri 2024 over the Gaussian family, turned into epsilon."""
    alpha = 1 - check_probability(confidence, "confidence")
    check_probability(delta, "delta")  # at delta = 0 a Gaussian trade-off has no finite epsilon
    m, r, v = guesses.canaries, guesses.made, guesses.correct
    quantile = NormalDist().inv_cdf

    def rejected(mu: float) -> bool:
        heads, tails = alpha * v / m, alpha * (r - v) / m
        for i in range(v - 1, -1, -1):
            raised = max(tails, erfc((mu - quantile(heads)) / sqrt(2)) / 2)  # Phi(Phi^-1(heads) - mu)
            heads += i / (r - i) * (raised - tails)
            tails = raised
            if heads >= 1 or heads + tails > r / m:  # both only grow
                return True
        return False

    low, top = 0.0, 1.0
    if rejected(0.0):
        while rejected(top) and top < 64:
            low, top = top, 2 * top
        while top - low > 1e-6:
            middle = (low + top) / 2
            low, top = (middle, top) if rejected(middle) else (low, middle)
    method, kind = "one-run f-DP (Mahloujifar et al.)", GAUSSIAN
    return EpsilonBound(epsilon_from_mu(low, delta), confidence, delta, method, kind, rule=str(guesses), mu=low)


def _at_least(k: IntArray, n: IntArray, p: float) -> FloatArray:
    """P[Bin(n, p) >= k] for k <= n."""
    return np.where(k > 0, special.betainc(np.maximum(k, 1), n - k + 1, p), 1.0)


def _largest(p_value: Callable[[float], float], confidence: float) -> float:
    """Largest epsilon whose p-value is below 1 - confidence, from below."""
    alpha = 1 - check_probability(confidence, "confidence")
    low, top = 0.0, 1.0
    if p_value(0.0) >= alpha:
        return 0.0
    while p_value(top) < alpha and top < 64:
        low, top = top, 2 * top

    def excess(epsilon: float) -> float:
        return float(np.log(max(p_value(epsilon), 1e-300) / alpha))  # the logarithm is nearly a parabola

    return max(float(optimize.brentq(excess, low, top, xtol=1e-12)) - 1e-11, 0.0)
