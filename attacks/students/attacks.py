"""Attacks on students trained on one release, with students of the reference as the world without the members."""

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from attacks.shadows.rmia import rank_among

PRIOR = 4.0  # weight of the pooled variance, in observations


def loss(phi: np.ndarray, out: np.ndarray, z: np.ndarray, z_out: np.ndarray) -> np.ndarray:
    """Loss threshold (Yeom et al. 2018): mean log p of the true class."""
    return np.asarray(_log_p(phi).mean(axis=0))


def lira_offline(phi: np.ndarray, out: np.ndarray, z: np.ndarray, z_out: np.ndarray) -> np.ndarray:
    """log Φ((φ − μ_out)/σ_out), one-sided; σ² shrunk to the mean over records; φ the mean over the students."""
    mean, squares = out.mean(axis=0), ((out - out.mean(axis=0)) ** 2).sum(axis=0)
    freedom = max(len(out) - 1, 1)
    variance = (PRIOR * squares.mean() / freedom + squares) / (PRIOR + freedom)
    return np.asarray(norm.logcdf((phi.mean(axis=0) - mean) / np.sqrt(np.maximum(variance, 1e-12))))


def rmia(phi: np.ndarray, out: np.ndarray, z: np.ndarray, z_out: np.ndarray) -> np.ndarray:
    """RMIA offline (Zarifzadeh et al. 2024): rank of p(x)/p̄(x) among that of population records z, γ = 1."""
    return rank_among(_ratio(phi, out), _ratio(z, z_out))


def base(phi: np.ndarray, out: np.ndarray, z: np.ndarray, z_out: np.ndarray) -> np.ndarray:
    """BASE, offline: log p(x) − log mean_k p_k(x), the mean over reference students."""
    return np.asarray(_log_mean(phi) - _log_mean(out))


STUDENT_ATTACKS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "loss": loss,
    "lira_offline": lira_offline,
    "rmia": rmia,
    "base": base,
}
SAYS = {
    "loss": "loss of students trained on the release",
    "lira_offline": "students' log-odds against students of reference subsets, one-sided",
    "rmia": "likelihood ratio ranked among population records",
    "base": "log confidence less its log mean under reference students",
}


def student_scores(name: str, phi: np.ndarray, out: np.ndarray, z: np.ndarray, z_out: np.ndarray) -> np.ndarray:
    """Scores [N] from log-odds of students of the release phi [R, N] and of the reference out [Q, N]; z, z_out: the same on population records."""
    return STUDENT_ATTACKS[name](phi, out, z, z_out)


def _log_p(phi: np.ndarray) -> np.ndarray:
    """log p of the true class from its log-odds."""
    return -np.logaddexp(0.0, -phi)


def _log_mean(phi: np.ndarray) -> np.ndarray:
    return np.asarray(logsumexp(_log_p(phi), axis=0) - np.log(len(phi)))


def _ratio(phi: np.ndarray, out: np.ndarray, a: float = 0.3) -> np.ndarray:
    """log p(x) − log ½((1 + a) p̄_out(x) + 1 − a): the offline guess of the average with and without x."""
    average = 0.5 * ((1 + a) * np.exp(_log_mean(out)) + 1 - a)
    return np.asarray(_log_mean(phi) - np.log(average))
