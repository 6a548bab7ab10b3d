"""Guesses about fair coins: the highest scores are guessed in, the lowest out, the rest not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.errors import InputError
from attacks.statistics.epsilon import EpsilonBound
from attacks.statistics.scores import FloatArray, check_probability


@dataclass(frozen=True)
class Guesses:
    """m canaries, the k_plus top scores guessed in, the k_minus lowest out; `correct` of these are right."""

    canaries: int
    k_plus: int
    k_minus: int
    correct: int
    rule: str = "fixed in advance"

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.made or not 1 <= self.made <= self.canaries:
            raise InputError(f"{self} cannot be: 0 <= correct <= guesses made <= canaries, one guess at least")

    @property
    def made(self) -> int:
        return self.k_plus + self.k_minus

    def __str__(self) -> str:
        counts = f"k+ {self.k_plus}, k- {self.k_minus}, {self.canaries} canaries"
        return f"{self.correct} of {self.made} guesses right ({counts}), {self.rule}"


class GuessBound(Protocol):
    """steinke, one_run_fdp or independent_runs."""

    def __call__(self, guesses: Guesses, delta: float, confidence: float = ...) -> EpsilonBound: ...


def guess(scores: ArrayLike, included: ArrayLike, k_plus: int, k_minus: int) -> Guesses:
    """Guess the k_plus highest scores [m] in and the k_minus lowest out, against the coins `included` [m]."""
    s, coins = _check(scores, included)
    return _counted(coins[_order(s)], k_plus, k_minus)


def guess_by_split(
    scores: ArrayLike,
    included: ArrayLike,
    bound: GuessBound,
    delta: float,
    confidence: float = 0.95,
    fraction: float = 0.2,
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
    shares = guess_shares(cut)
    tried = [bound(guess(s[first], coins[first], *_pair(cut, *k)), delta, confidence).value for k in shares]
    chosen = guess(s[rest], coins[rest], *_pair(rest.size, *shares[int(np.argmax(tried))]))
    return bound(replace(chosen, rule=f"split {fraction:g}"), delta, confidence)


def guess_by_bonferroni(
    scores: ArrayLike,
    included: ArrayLike,
    bound: GuessBound,
    delta: float,
    confidence: float = 0.95,
    grid: Sequence[tuple[int, int]] | None = None,
) -> EpsilonBound:
    """The best `bound` over a grid of (k_plus, k_minus) known in advance, each at alpha / len(grid)."""
    s, coins = _check(scores, included)
    pairs = list(grid) if grid is not None else [_pair(s.size, *k) for k in guess_shares(s.size)]
    each = 1 - (1 - check_probability(confidence, "confidence")) / len(pairs)
    rule = f"Bonferroni over {len(pairs)} guess counts"
    ranked = coins[_order(s)]
    bounds = [bound(replace(_counted(ranked, *pair), rule=rule), delta, each) for pair in pairs]
    return replace(max(bounds, key=lambda b: b.value), confidence=confidence)


def perfect_scores(included: NDArray[np.bool_]) -> FloatArray:
    """Scores [m] of an attack that knows every coin: what a bound shows of them is the most that it can show."""
    return included + np.random.default_rng(0).random(included.size) / 2


def guess_shares(canaries: int) -> list[tuple[float, float]]:
    """Shares (top, bottom) of the canaries to guess on, halving down to eight guesses: both tails, top alone."""
    tails = [0.5**i for i in range(1, 40) if canaries * 0.5**i >= 8] or [0.5]
    return [(t, t) for t in tails] + [(t, 0.0) for t in tails]


def _pair(canaries: int, top: float, bottom: float) -> tuple[int, int]:
    k_plus = max(int(canaries * top), 1)
    return k_plus, min(int(canaries * bottom), canaries - k_plus)


def _order(scores: FloatArray) -> NDArray[np.int64]:
    """Lowest score first; ties in random order, lest they follow an order of the records that knows the coins."""
    return np.lexsort((np.random.default_rng(0x71E5).random(scores.size), scores))


def _counted(ranked: NDArray[np.bool_], k_plus: int, k_minus: int) -> Guesses:
    """Guesses on coins [m] in the order of their scores, lowest first."""
    if not (min(k_plus, k_minus) >= 0 and 1 <= k_plus + k_minus <= ranked.size):
        raise InputError(f"(k_plus, k_minus) is ({k_plus}, {k_minus}): guess on 1 to {ranked.size} canaries")
    correct = ranked[ranked.size - k_plus :].sum() + (~ranked[:k_minus]).sum()
    return Guesses(ranked.size, k_plus, k_minus, int(correct))


def _check(scores: ArrayLike, included: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    s, coins = np.asarray(scores, float).ravel(), np.asarray(included).ravel()
    if s.size != coins.size or s.size < 2:
        raise InputError(f"{s.size} canary scores for {coins.size} coins: give one of each per canary, two or more")
    if not np.isfinite(s).all() or np.ptp(s) == 0:
        raise InputError("canary scores are NaN, infinite or all the same: this run says nothing, repair the score")
    if coins.dtype != bool:
        raise InputError(f"included holds {coins.dtype}: give booleans, one fair coin per canary")
    return s, coins
