"""Membership scores from a canary's inner products with the answers of a run, [..., answers] -> [...]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from attacks.errors import InputError
from attacks.mechanism.protocol import FloatArray

Score = Callable[[FloatArray], FloatArray]


def weighted_sum(weights: ArrayLike | None = None) -> Score:
    """Weighted sum over answers; Gaussian answers are best weighed by 1 / noise multiplier squared."""

    def score(projections: FloatArray) -> FloatArray:
        w = np.ones(projections.shape[-1]) if weights is None else np.asarray(weights, dtype=np.float64)
        if w.shape != projections.shape[-1:] or not np.isfinite(w).all():
            raise InputError(
                f"weights have shape {w.shape}: give one finite weight per answer ({projections.shape[-1]})"
            )
        return np.asarray(projections @ w)

    return score


def poisson_log_ratio(sampling_rate: float, noise_multiplier: float) -> Score:
    """Log-likelihood ratio of Poisson-sampled Gaussian answers, add/remove: the best test at rates below 1.

    `noise_multiplier` is the noise's std over the clipping norm. Other records must sum to 0 in the canary's
    direction.
    """
    if not (0 < sampling_rate <= 1 and noise_multiplier > 0):
        raise InputError(
            f"sampling rate {sampling_rate!r} must be in (0, 1], noise multiplier {noise_multiplier!r} > 0"
        )

    def score(projections: FloatArray) -> FloatArray:
        out = np.log1p(-sampling_rate) if sampling_rate < 1 else -np.inf
        exponent = (2 * projections - 1) / (2 * noise_multiplier**2)
        return np.asarray(np.logaddexp(out, np.log(sampling_rate) + exponent).sum(axis=-1))

    return score
