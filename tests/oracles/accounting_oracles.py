"""Slow and obviously right twins of the accountants: arbitrary precision, direct integration, brute-force convolution.

A mechanism here is a pair of densities on the line at noise standard deviation z: under add/remove
(1−q)N(0)+qN(1) against N(0), both ways round; under replace-one (1−q)N(0)+qN(+1/2) against (1−q)N(0)+qN(−1/2).
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[Callable[[Array], Array], Callable[[Array], Array]]


def gaussian_delta(epsilon: float, mu: float) -> mpmath.mpf:
    """Balle & Wang 2018 (arXiv:1805.06530) Theorem 8, with 60 digits: Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ)."""
    with mpmath.workdps(60):
        e, m = mpmath.mpf(epsilon), mpmath.mpf(mu)
        return mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The least ε ≥ 0 of a Gaussian mechanism with sensitivity over noise ``mu``, by bisection."""
    return least_epsilon(lambda e: gaussian_delta(e, mu), delta)


def sampled_step_epsilon(q: float, z: float, delta: float) -> float:
    """One Poisson step under add/remove: ε = log(1 + q(e^ε₀ − 1)), ε₀ the Gaussian's at δ/q (amplification, tight)."""
    with mpmath.workdps(60):
        return float(mpmath.log1p(q * mpmath.expm1(gaussian_epsilon(1 / z, delta / q))))


def least_epsilon(delta_of: Callable[[float], object], delta: float, high: float = 400.0) -> float:
    """The least ε in [0, ``high``] with ``delta_of(ε)`` ≤ ``delta`` (decreasing), by 48 halvings."""
    low = 0.0
    if delta_of(low) <= delta:  # type: ignore[operator]
        return low
    for _ in range(48):
        middle = (low + high) / 2
        if delta_of(middle) <= delta:  # type: ignore[operator]
            high = middle
        else:
            low = middle
    return high


def pairs(q: float, z: float, replace_one: bool) -> list[Pair]:
    """The pairs of densities whose worst hockey-stick divergence is δ(ε)."""

    def mixture(shift: float, weight: float) -> Callable[[Array], Array]:
        def density(x: Array) -> Array:
            bell = lambda c: np.exp(-((x - c) ** 2) / (2 * z * z)) / (z * np.sqrt(2 * np.pi))  # noqa: E731
            return (1 - weight) * bell(0.0) + weight * bell(shift)

        return density

    if replace_one:
        return [(mixture(0.5, q), mixture(-0.5, q))]
    return [(mixture(1.0, q), mixture(0.0, 0.0)), (mixture(0.0, 0.0), mixture(1.0, q))]


def one_step_epsilon(q: float, z: float, delta: float, replace_one: bool) -> float:
    """ε of one step by direct integration of max(0, p − e^ε r) on a fine grid."""
    x = np.linspace(-14 * z - 1, 14 * z + 1, 100_001)
    values = [(p(x), r(x)) for p, r in pairs(q, z, replace_one)]

    def delta_of(epsilon: float) -> float:
        return max(float(np.trapezoid(np.maximum(p - np.exp(epsilon) * r, 0), x)) for p, r in values)

    return least_epsilon(delta_of, delta, 60.0)


def composed_epsilon(
    steps: list[tuple[float, float]], delta: float, replace_one: bool, grid: float = 2e-3
) -> tuple[float, float]:
    """(lower, upper) of ε for a few (q, z) steps: losses rounded down or up to ``grid``, distributions convolved."""
    lower = upper = 0.0
    for direction in range(len(pairs(1.0, 1.0, replace_one))):
        for rounding in (np.floor, np.ceil):
            first, pmf = 0, np.ones(1)
            for q, z in steps:
                p, r = pairs(q, z, replace_one)[direction]
                x = np.linspace(-9 * z - 1, 9 * z + 1, 200_001)  # P(|x| > 9z) < 1e-18
                mass = p(x) * (x[1] - x[0])
                index = rounding(np.log(p(x) / r(x)) / grid).astype(int)
                step = np.bincount(index - index.min(), weights=mass)
                pmf, first = np.convolve(pmf, step), first + int(index.min())
            loss = grid * (first + np.arange(len(pmf)))

            def delta_of(epsilon: float, loss: Array = loss, pmf: Array = pmf) -> float:
                return float(np.sum(pmf * -np.expm1(np.minimum(epsilon - loss, 0.0))))

            epsilon = least_epsilon(delta_of, delta, 60.0)
            if rounding is np.floor:
                lower = max(lower, epsilon)
            else:
                upper = max(upper, epsilon)
    return lower, upper
