"""Intervals: Clopper-Pearson, Korn-Graubard for clustered or U-statistics, cluster bootstrap, DKW band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from attacks.errors import InputError
from attacks.statistics.scores import FloatArray, IntArray


@dataclass(frozen=True)
class Estimate:
    """A value in [low, high] at `confidence`; n is the number of independent units (records, or runs)."""

    value: float
    low: float
    high: float
    n: int
    confidence: float
    method: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def proportion_upper(k: ArrayLike, n: ArrayLike, alpha: float) -> FloatArray:
    """Upper Clopper-Pearson bound of a proportion, k of n, missed with probability at most alpha."""
    k, n = np.broadcast_arrays(np.asarray(k, float), np.asarray(n, float))
    inside = k < n
    upper = special.betaincinv(np.where(inside, k + 1, 1.0), np.where(inside, n - k, 1.0), 1 - alpha)
    return np.asarray(np.where(inside, upper, 1.0))


def proportion_lower(k: ArrayLike, n: ArrayLike, alpha: float) -> FloatArray:
    """One-sided Clopper-Pearson lower bound of a proportion, k of n."""
    k, n = np.broadcast_arrays(np.asarray(k, float), np.asarray(n, float))
    return np.asarray(1 - proportion_upper(n - k, n, alpha))


def clopper_pearson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Clopper-Pearson interval of a proportion, k of n (Clopper & Pearson 1934)."""
    if not 0 <= k <= n or n <= 0:
        raise InputError(f"{k} of {n} is no proportion: give 0 <= k <= n and n > 0")
    alpha = (1 - confidence) / 2
    return float(proportion_lower(k, n, alpha)), float(proportion_upper(k, n, alpha))


def effective_size(value: float, variance: float, degenerate: int, cap: int, df: int, confidence: float) -> float:
    """Independent trials that would give this variance, less for an estimated one (Korn & Graubard 1998).

    `degenerate` is the size where the variance is 0 (all runs agree); `cap` the number of records, never
    passed.
    """
    size = float(degenerate)
    if variance > 0 and 0 < value < 1:
        size = min(value * (1 - value) / variance, float(cap))
    tail = (1 - confidence) / 2
    return max(size * float(stats.norm.isf(tail) / stats.t.isf(tail, max(df, 1))) ** 2, 1e-9)


def korn_graubard(
    value: float, variance: float, degenerate: int, cap: int, df: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Clopper-Pearson at the effective sample size: honest at 0 and 1 too, unlike a normal interval."""
    n = effective_size(value, variance, degenerate, cap, df, confidence)
    return clopper_pearson(min(value * n, n), n, confidence)


def cluster_variance(values: FloatArray, runs: IntArray) -> float:
    """Variance of the mean of `values` [n] when scores of one run move together (linearised)."""
    _, index = np.unique(runs, return_inverse=True)
    totals = np.bincount(index, weights=values - values.mean())
    groups = totals.size
    return float((totals**2).sum() / values.size**2 * groups / max(groups - 1, 1))


def cluster_bootstrap(
    statistic: Callable[[IntArray, IntArray], float],
    runs_in: IntArray,
    runs_out: IntArray,
    replicates: int = 400,
    seed: int = 0,
) -> FloatArray:
    """Replicates of a statistic with whole runs drawn anew (Field & Welsh 2007).

    `statistic(weights_in, weights_out)` takes how often each score [n_in], [n_out] was drawn; replicates in
    which a side is empty are drawn again.
    """
    runs, index = np.unique(np.concatenate([runs_in, runs_out]), return_inverse=True)
    rng = np.random.default_rng(seed)
    values = np.empty(replicates)
    for b in range(replicates):
        while True:
            weights = rng.multinomial(runs.size, np.full(runs.size, 1 / runs.size))[index]
            weights_in, weights_out = weights[: runs_in.size], weights[runs_in.size :]
            if weights_in.any() and weights_out.any():
                break
        values[b] = statistic(weights_in, weights_out)
    return values


def dkw_width(n: int, alpha: float) -> float:
    """Half-width of the Dvoretzky-Kiefer-Wolfowitz band of a distribution (Massart 1990)."""
    return float(np.sqrt(np.log(2 / alpha) / (2 * n)))
