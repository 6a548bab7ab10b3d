"""What an audit of this size could have seen at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from attacks.errors import InputError
from attacks.statistics.epsilon import clopper_pearson_counts, gdp_counts
from attacks.statistics.scores import check_probability
from attacks.statistics.thresholds import Counts


@dataclass(frozen=True)
class Power:
    """The reach of an audit with this many members and non-members; rates are shares in [0, 1]."""

    n_in: int
    n_out: int
    fpr: float
    delta: float
    confidence: float
    zero_of_n: float
    smallest_tpr: float
    nonmembers_needed: int
    epsilon_ceiling: float
    mu_ceiling: float
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def power(
    n_in: int,
    n_out: int,
    delta: float = 1e-5,
    fpr: float = 0.001,
    confidence: float = 0.95,
    *,
    ceiling: float | None = None,
) -> Power:
    """Everything below for one audit of n_in members and n_out non-members, whose epsilon bound ends at `ceiling`.

    Without a ceiling, that of records which have a run each.
    """
    hidden = zero_of_n(n_in, confidence)
    seen = smallest_tpr(n_in, fpr, 1 - confidence)
    needed = int(np.ceil(10 / fpr))
    epsilon = epsilon_ceiling(n_in, n_out, delta, confidence) if ceiling is None else ceiling
    place = "" if n_out >= needed else f" {n_out} non-members are too few to place that threshold ({needed} needed)."
    sentence = (
        f"With {n_in} members, 0 hits cannot rule out a leak of {hidden:.2%} of them; at FPR {fpr:.2%} only a "
        f"TPR of {seen:.2%} or more is likely (80%) to be seen; a perfect attack would show "
        f"epsilon >= {epsilon:.2f}.{place}"
    )
    mu = mu_ceiling(n_in, n_out, confidence)
    return Power(n_in, n_out, fpr, delta, confidence, hidden, seen, needed, epsilon, mu, sentence)


def zero_of_n(n: int, confidence: float = 0.95) -> float:
    """Largest rate that "0 hits of n" leaves possible (one-sided Clopper-Pearson)."""
    _count(n)
    return float(-np.expm1(np.log1p(-check_probability(confidence, "confidence")) / n))


def members_to_rule_out(rate: float, confidence: float = 0.95) -> int:
    """Members of whom none must be hit before a leak of `rate` of them is ruled out."""
    check_probability(rate, "rate")
    return int(np.ceil(np.log1p(-check_probability(confidence, "confidence")) / np.log1p(-rate)))


def detection_power(n: int | np.ndarray, tpr: float, fpr: float, alpha: float = 0.05) -> np.ndarray:
    """Probability that the exact one-sided binomial test of TPR > FPR fires, with n members."""
    critical = stats.binom.isf(alpha, n, fpr) + 1  # least count with P[Bin(n, fpr) >= count] <= alpha
    return np.asarray(stats.binom.sf(critical - 1, n, tpr))


def members_needed(tpr: float, fpr: float = 0.001, alpha: float = 0.05, power: float = 0.8) -> int:
    """Fewest members with which the exact test sees `tpr` above `fpr` with this power."""
    check_probability(tpr, "tpr", low=fpr)
    check_probability(power, "power")
    top = 64
    while True:
        enough = np.flatnonzero(detection_power(np.arange(1, top), tpr, fpr, alpha) >= power)
        if enough.size:
            return int(enough[0]) + 1
        top *= 2
        if top > 1 << 25:
            raise InputError(f"a TPR of {tpr!r} over FPR {fpr!r} needs more than {top // 2} members: give a larger tpr")


def smallest_tpr(n: int, fpr: float = 0.001, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest TPR that n members see above `fpr` with this power."""
    _count(n)
    critical = float(stats.binom.isf(check_probability(alpha, "alpha"), n, check_probability(fpr, "fpr"))) + 1
    return 1.0 if critical > n else float(special.betaincinv(critical, n - critical + 1, power))


def epsilon_ceiling(n_in: int, n_out: int, delta: float, confidence: float = 0.95) -> float:
    """The Clopper-Pearson bound of a perfect attack on records that have a run each."""
    return clopper_pearson_counts(Counts(_count(n_in), 0, 0, _count(n_out)), delta, confidence).value


def mu_ceiling(n_in: int, n_out: int, confidence: float = 0.95) -> float:
    """The GDP bound of a perfect attack."""
    return float(gdp_counts(Counts(_count(n_in), 0, 0, _count(n_out)), 1e-5, confidence).mu or 0.0)


def _count(n: int) -> int:
    if isinstance(n, bool) or n < 1:
        raise InputError(f"{n!r} records: give a whole number >= 1")
    return n
