"""RMIA (Zarifzadeh et al. 2024) and BASE: a record's likelihood over its average under other runs, ranked or plain.

φ is read as a log-likelihood: log p of the true class under a student, −d for a distance (the GAN-leaks likelihood exp(−d)).
"""

import numpy as np
from scipy.stats import rankdata


def base(phi: np.ndarray, average: np.ndarray) -> np.ndarray:
    """log p(x) − log mean_k p_k(x)."""
    return phi - average


def rmia(phi: np.ndarray, average: np.ndarray) -> np.ndarray:
    """Share of the run's other records z whose ratio p(z)/mean p_k(z) is at most this record's (γ = 1)."""
    return np.asarray(rankdata(phi - average, axis=1) / phi.shape[1])


def rank_among(ratio: np.ndarray, population: np.ndarray) -> np.ndarray:
    """Share of population ratios [Z] that each ratio [N] reaches; ties count half. O((N + Z) log Z)."""
    ordered = np.sort(population)
    below = np.searchsorted(ordered, ratio, side="left") + np.searchsorted(ordered, ratio, side="right")
    return np.asarray(below / (2 * len(ordered)))


def left_out_average(phi: np.ndarray) -> np.ndarray:
    """log mean of exp φ [K, n] over the runs other than run k and its complement: half of them hold the record."""
    pairs = np.logaddexp(phi[::2], phi[1::2])
    none = np.full((1, phi.shape[1]), -np.inf)  # a difference of sums would lose the others beside one large run
    before = np.concatenate([none, np.logaddexp.accumulate(pairs[:-1], axis=0)])
    after = np.concatenate([np.logaddexp.accumulate(pairs[:0:-1], axis=0)[::-1], none])
    return np.repeat(np.logaddexp(before, after), 2, axis=0) - np.log(len(phi) - 2)


def average(phi: np.ndarray) -> np.ndarray:
    """log mean of exp φ over all the runs given, [1, n]."""
    from scipy.special import logsumexp

    return np.asarray(logsumexp(phi, axis=0, keepdims=True) - np.log(len(phi)))
