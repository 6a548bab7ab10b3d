"""Epsilon lower bounds from one run with m canaries, each in or out by a fair coin of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from attacks.errors import InputError
from attacks.statistics.epsilon import EpsilonBound, Kind
from attacks.statistics.scores import FloatArray, check_delta, check_probability
from attacks.statistics.tradeoff import epsilon_from_mu


@dataclass(frozen=True)
class Guesses:
    """m canaries, of which the k_plus top scores are guessed in, the k_minus lowest out; `correct` of
    these are right.
    """

    canaries: int
    k_plus: int
    k_minus: int
    correct: int
    rule: str = "fixed in advance"

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.made or not 1 <= self.made <= self.canaries:
            raise InputError(
                f"{self} cannot be: 0 <= correct <= guesses made <= canaries, and one guess at least"
            )

    @property
    def made(self) -> int:
        return self.k_plus + self.k_minus


def steinke(guesses: Guesses, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """One-run bound of Steinke, Nasr & Jagielski 2023 (Theorem 5.2), with its delta term.

    The largest epsilon whose p-value, of as many right guesses, stays below 1 - confidence.
    """
    alpha = 1 - check_probability(confidence, "confidence")
    m, r, v = guesses.canaries, guesses.made, guesses.correct
    steps = np.arange(1, v + 1)

    def excess(epsilon: float) -> float:
        right = stats.binom(r, special.expit(epsilon))
        beta = float(right.sf(v - 1))
        # P[v > Bin >= v - i] / i, at its worst i
        worst = float(((right.sf(v - steps - 1) - beta) / steps).max()) if delta > 0 and v > 0 else 0.0
        return min(1.0, beta + 2 * m * check_delta(delta) * max(worst, 0.0)) - alpha

    value = 0.0
    if excess(0.0) < 0:
        top = 1.0
        while excess(top) < 0:
            top *= 2
        value = float(optimize.brentq(excess, 0.0, top, xtol=1e-12))
    return EpsilonBound(
        value, confidence, delta, "one-run (Steinke et al.)", "frequentist", rule=_rule(guesses)
    )


def one_run_fdp(guesses: Guesses, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """One-run f-DP bound of Mahloujifar, Melis & Chaudhuri 2024 over the Gaussian family, turned into
    epsilon(delta).
    """
    alpha = 1 - check_probability(confidence, "confidence")
    m, r, v = guesses.canaries, guesses.made, guesses.correct

    def rejected(mu: float) -> bool:
        # plain floats: the recursion is a chain of v scalar steps
        inverse, ndtri, ndtr = alpha * v / m, special.ndtri, special.ndtr
        heads, tails = inverse, alpha * (r - v) / m
        for i in range(v - 1, -1, -1):
            raised = max(tails, float(ndtr(ndtri(heads) - mu)))
            heads = min(1.0, heads + (i / (r - i)) * (raised - tails))
            tails = raised
        return heads + tails > r / m

    low, top = 0.0, 1.0
    if rejected(0.0):
        while rejected(top) and top < 64:
            low, top = top, 2 * top
        while top - low > 1e-6:
            middle = (low + top) / 2
            low, top = (middle, top) if rejected(middle) else (low, middle)
    value = epsilon_from_mu(low, delta)
    kind: Kind = "conditional on Gaussian family"
    method = "one-run f-DP (Mahloujifar et al.)"
    return EpsilonBound(value, confidence, delta, method, kind, rule=_rule(guesses), mu=low)


class OneRunBound(Protocol):
    """steinke or one_run_fdp."""

    def __call__(self, guesses: Guesses, delta: float, confidence: float = ...) -> EpsilonBound: ...


def guess(scores: ArrayLike, included: ArrayLike, k_plus: int, k_minus: int) -> Guesses:
    """Guess the k_plus highest scores [m] in and the k_minus lowest out, against the coins `included` [m]."""
    s, coins = _check(scores, included)
    if not (min(k_plus, k_minus) >= 0 and 1 <= k_plus + k_minus <= s.size):
        raise InputError(
            f"(k_plus, k_minus) is ({k_plus}, {k_minus}) for {s.size} canaries: guess on 1 to {s.size}"
        )
    order = np.argsort(s, kind="stable")
    correct = coins[order[s.size - k_plus :]].sum() + (~coins[order[:k_minus]]).sum()
    return Guesses(s.size, k_plus, k_minus, int(correct))


def guess_by_split(
    scores: ArrayLike,
    included: ArrayLike,
    delta: float,
    confidence: float = 0.95,
    bound: OneRunBound = steinke,
    fraction: float = 0.3,
    seed: int = 0,
) -> EpsilonBound:
    """`bound` with the share of guesses chosen on a random fraction of the canaries, measured on the rest."""
    s, coins = _check(scores, included)
    check_probability(fraction, "fraction")
    order = np.random.default_rng(seed).permutation(s.size)
    cut = round(s.size * fraction)
    if not 2 <= cut <= s.size - 2:
        raise InputError(f"{s.size} canaries cannot be split at {fraction:g}: give more canaries")
    first, rest = order[:cut], order[cut:]
    tried = [bound(guess(s[first], coins[first], *k), delta, confidence).value for k in guess_grid(cut)]
    k_plus, k_minus = guess_grid(rest.size)[int(np.argmax(tried))]
    g = guess(s[rest], coins[rest], k_plus, k_minus)
    return bound(Guesses(g.canaries, k_plus, k_minus, g.correct, f"split {fraction:g}"), delta, confidence)


def guess_by_bonferroni(
    scores: ArrayLike,
    included: ArrayLike,
    delta: float,
    confidence: float = 0.95,
    bound: OneRunBound = steinke,
    grid: Sequence[tuple[int, int]] | None = None,
) -> EpsilonBound:
    """The best `bound` over a grid of (k_plus, k_minus) known in advance, each at alpha / len(grid)."""
    s, coins = _check(scores, included)
    pairs = list(grid) if grid is not None else guess_grid(s.size)
    each = 1 - (1 - check_probability(confidence, "confidence")) / len(pairs)
    bounds = []
    for k_plus, k_minus in pairs:
        g = guess(s, coins, k_plus, k_minus)
        rule = f"Bonferroni over {len(pairs)} guess counts"
        bounds.append(bound(Guesses(g.canaries, k_plus, k_minus, g.correct, rule), delta, each))
    best = max(bounds, key=lambda b: b.value)
    return EpsilonBound(best.value, confidence, delta, best.method, best.kind, rule=best.rule, mu=best.mu)


def guess_grid(canaries: int) -> list[tuple[int, int]]:
    """(k_plus, k_minus) on shares 1/64 ... 1 of the canaries: both tails alike, and the top tail alone.
    No data.
    """
    shares = [2.0**-i for i in range(7)]
    both = [(max(round(canaries * s / 2), 1),) * 2 for s in shares]
    top = [(max(round(canaries * s / 2), 1), 0) for s in shares]
    return [(a, min(b, canaries - a)) for a, b in both + top]


def _check(scores: ArrayLike, included: ArrayLike) -> tuple[FloatArray, np.ndarray]:
    s, coins = np.asarray(scores, float).ravel(), np.asarray(included).ravel()
    if s.size != coins.size or s.size < 2:
        raise InputError(
            f"{s.size} canary scores for {coins.size} coins: give one of each per canary, two or more"
        )
    if not np.isfinite(s).all() or np.ptp(s) == 0:
        raise InputError(
            "canary scores are NaN, infinite or all the same: this run says nothing, repair the score"
        )
    if coins.dtype != bool:
        raise InputError(f"included holds {coins.dtype}: give booleans, one fair coin per canary")
    return s, coins


def _rule(g: Guesses) -> str:
    counts = f"k+ {g.k_plus}, k- {g.k_minus}, {g.canaries} canaries"
    return f"{g.correct} of {g.made} guesses right ({counts}), {g.rule}"
