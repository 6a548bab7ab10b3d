"""Likelihood-ratio attack (LiRA, Carlini et al. 2022) on any score φ that runs can be compared by.

Source for the shrinkage at few runs: BaVarIA (2603.11799). The offline form is the paper's one-sided test log Φ, not a density.
"""

import numpy as np
from scipy.stats import norm

from attacks.shadows.moments import Moments


def lira_online(phi: np.ndarray, moments: Moments) -> np.ndarray:
    """log N(φ; μ_in, σ_in²) − log N(φ; μ_out, σ_out²), variances shrunk per record."""
    return _log_normal(phi, moments.inside.mean, moments.variance(moments.inside)) - _log_normal(
        phi, moments.outside.mean, moments.variance(moments.outside)
    )


def lira_fixed(phi: np.ndarray, moments: Moments) -> np.ndarray:
    """The same with one centred variance pooled over all records: best with few runs."""
    return _log_normal(phi, moments.inside.mean, moments.pooled) - _log_normal(
        phi, moments.outside.mean, moments.pooled
    )


def lira_offline(phi: np.ndarray, moments: Moments) -> np.ndarray:
    """log Φ((φ − μ_out)/σ_out): runs without the record suffice."""
    deviation = np.sqrt(moments.variance(moments.outside))
    return np.asarray(norm.logcdf((phi - moments.outside.mean) / deviation))


def _log_normal(phi: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return -0.5 * (np.log(variance) + (phi - mean) ** 2 / variance)
