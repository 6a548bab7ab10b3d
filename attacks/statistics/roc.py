"""The ROC curve and what is read from it, each with an interval.

Convention: a record is called a member if score > t. The curve is the exact step curve over all thresholds,
ties move together, nothing is interpolated: TPR at FPR a is the TPR at the lowest threshold whose FPR is at
most a.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from attacks.errors import InputError
from attacks.statistics.intervals import (
    Estimate,
    clopper_pearson,
    cluster_bootstrap,
    cluster_variance,
    korn_graubard,
    proportion_lower,
    proportion_upper,
)
from attacks.statistics.scores import Clusters, FloatArray, IntArray, Scores, check_probability, check_scores


@dataclass(frozen=True)
class Roc:
    """Step curve from (0, 0) to (1, 1): rates [k] at falling thresholds [k]."""

    thresholds: FloatArray
    fpr: FloatArray
    tpr: FloatArray
    n_in: int
    n_out: int

    def tpr_at(self, fpr: float) -> float:
        """Highest TPR among the points whose FPR is at most `fpr`."""
        return float(self.tpr[np.searchsorted(self.fpr, fpr * (1 + 1e-12), side="right") - 1])

    @property
    def auc(self) -> float:
        """Area under the curve, P[in > out] + P[in = out] / 2."""
        return float(np.trapezoid(self.tpr, self.fpr))

    def to_json(self) -> dict[str, Any]:
        return {
            "convention": "member if score > threshold; step curve, ties together",
            "thresholds": self.thresholds.tolist(),
            "fpr": self.fpr.tolist(),
            "tpr": self.tpr.tolist(),
            "n_in": self.n_in,
            "n_out": self.n_out,
        }


def roc(scores_in: ArrayLike, scores_out: ArrayLike) -> Roc:
    """Exact ROC of members [n_in] against non-members [n_out]. Raises InputError as check_scores."""
    s = check_scores(scores_in, scores_out)
    levels = np.unique(np.concatenate([s.members, s.others]))[::-1]
    thresholds = np.append(levels, np.nextafter(levels[-1], -np.inf))
    tpr = 1 - np.searchsorted(np.sort(s.members), thresholds, side="right") / s.members.size
    fpr = 1 - np.searchsorted(np.sort(s.others), thresholds, side="right") / s.others.size
    return Roc(thresholds, fpr, tpr, s.members.size, s.others.size)


def tpr_at_fpr(
    scores_in: ArrayLike,
    scores_out: ArrayLike,
    fpr: float,
    confidence: float = 0.95,
    clusters: Clusters | None = None,
    seed: int = 0,
) -> Estimate:
    """TPR at the threshold whose true FPR is `fpr`, with an interval that admits not knowing it.

    The threshold lies between two order statistics of the non-members (binomial, alpha/4 each side);
    Clopper-Pearson bounds of the TPR at those two (alpha/4 each) then hold together with probability >=
    confidence, without any assumption on the distributions. With fewer than log(alpha/4)/log(1-fpr)
    non-members the lower end is 0: no positive TPR can be certified there. With `clusters` (run ids of both
    sides) the interval is the hull of this one and a cluster bootstrap's, whose variance enters as an
    effective sample size.
    """
    s = check_scores(scores_in, scores_out, clusters)
    if not 0 <= fpr < 1:
        raise InputError(f"fpr is {fpr!r}: give a number in [0, 1)")
    check_probability(confidence, "confidence")
    n, quarter = s.others.size, (1 - confidence) / 4
    ascending = np.concatenate([[-np.inf], np.sort(s.others), [np.inf]])  # index j is the j-th order statistic
    value = float((s.members > ascending[n - int(fpr * n * (1 + 1e-12))]).mean())
    above = int(stats.binom.ppf(1 - quarter, n, 1 - fpr)) + 1
    below = int(stats.binom.ppf(quarter, n, 1 - fpr))  # largest j with P[Bin <= j - 1] <= alpha/4, ...
    if stats.binom.cdf(below, n, 1 - fpr) <= quarter:
        below += 1  # ... also where the quantile meets the level exactly
    n_in = s.members.size
    low = float(proportion_lower((s.members > ascending[min(above, n + 1)]).sum(), n_in, quarter))
    high = float(proportion_upper((s.members > ascending[min(below, n + 1)]).sum(), n_in, quarter))
    if not s.clustered:
        return Estimate(value, low, high, n_in, confidence, "order statistics + Clopper-Pearson")
    wide = _bootstrapped(s, value, fpr, confidence, seed)
    return Estimate(
        value,
        min(low, wide[0]),
        max(high, wide[1]),
        s.runs.size,
        confidence,
        "hull with cluster bootstrap by run",
    )


def auc(
    scores_in: ArrayLike, scores_out: ArrayLike, confidence: float = 0.95, clusters: Clusters | None = None
) -> Estimate:
    """Area under the ROC with DeLong's variance (1988), or Obuchowski's (1997) where scores share runs.

    The variance enters as an effective sample size of a Clopper-Pearson interval, so that a perfect attack
    has an interval too.
    """
    s = check_scores(scores_in, scores_out, clusters)
    check_probability(confidence, "confidence")
    a, b = s.members, s.others
    ranks = stats.rankdata(np.concatenate([a, b]))
    wins_in = (ranks[: a.size] - stats.rankdata(a)) / b.size  # share of non-members below each member
    wins_out = 1 - (ranks[a.size :] - stats.rankdata(b)) / a.size  # share of members above each non-member
    value = float(wins_in.mean())
    records = a.size + b.size
    if s.runs_in is None or s.runs_out is None:
        variance = sum(np.var(w, ddof=1) / w.size for w in (wins_in, wins_out) if w.size > 1)
        units = min(a.size, b.size)
        # Birnbaum & Klose 1957: the variance of the area is at most that of `units` coin flips, and a side
        # of one record shows no variance of its own.
        variance = variance if units > 1 else value * (1 - value)
        low, high = korn_graubard(value, float(variance), units, records, units - 1, confidence)
        return Estimate(value, low, high, units, confidence, "DeLong, Clopper-Pearson at the effective size")
    centred = np.concatenate([(wins_in - value) / a.size, (wins_out - value) / b.size])
    totals = np.bincount(np.concatenate([s.runs_in, s.runs_out]), weights=centred)
    runs = s.runs.size
    variance = float((totals**2).sum() * runs / (runs - 1))
    low, high = korn_graubard(value, variance, runs, records, runs - 1, confidence)
    return Estimate(value, low, high, runs, confidence, "Obuchowski by run, Clopper-Pearson at the effective size")


def balanced_accuracy(
    scores_in: ArrayLike,
    scores_out: ArrayLike,
    confidence: float = 0.95,
    threshold: float | None = None,
    clusters: Clusters | None = None,
    seed: int = 0,
) -> Estimate:
    """(TPR + TNR) / 2 at a threshold fixed in advance, else chosen on one half, measured on the other."""
    s = check_scores(scores_in, scores_out, clusters)
    check_probability(confidence, "confidence")
    if threshold is None:
        chosen, s = s.split(0.5, np.random.default_rng(seed))
        thresholds, fn, fp = chosen.sweep()
        threshold = float(thresholds[np.argmin(fn / chosen.members.size + fp / chosen.others.size)])
    hits, rejections = s.members > threshold, s.others <= threshold
    # each of the two rates is missed with at most half the error, so their mean is missed with at most all
    # of it
    each = 1 - (1 - confidence) / 2
    low_in, high_in = _rate(hits, s.runs_in, each)
    low_out, high_out = _rate(rejections, s.runs_out, each)
    value = float(hits.mean() + rejections.mean()) / 2
    n = s.runs.size if s.clustered else min(hits.size, rejections.size)
    return Estimate(value, (low_in + low_out) / 2, (high_in + high_out) / 2, n, confidence, "held-out threshold")


def advantage(
    scores_in: ArrayLike,
    scores_out: ArrayLike,
    confidence: float = 0.95,
    threshold: float | None = None,
    clusters: Clusters | None = None,
    seed: int = 0,
) -> Estimate:
    """Membership advantage TPR - FPR (Yeom et al. 2018), that is 2 balanced accuracy - 1."""
    b = balanced_accuracy(scores_in, scores_out, confidence, threshold, clusters, seed)
    return Estimate(2 * b.value - 1, 2 * b.low - 1, 2 * b.high - 1, b.n, confidence, b.method)


def _rate(hits: np.ndarray, runs: IntArray | None, confidence: float) -> tuple[float, float]:
    if runs is None:
        return clopper_pearson(int(hits.sum()), hits.size, confidence)
    groups = np.unique(runs).size
    variance = cluster_variance(hits.astype(float), runs)
    return korn_graubard(float(hits.mean()), variance, groups, hits.size, groups - 1, confidence)


def _bootstrapped(s: Scores, value: float, fpr: float, confidence: float, seed: int) -> tuple[float, float]:
    """Interval of the TPR at `fpr` from the variance over redrawn runs."""
    assert s.runs_in is not None
    assert s.runs_out is not None
    falling = np.argsort(s.others)[::-1]
    ranked = s.others[falling]

    def statistic(weights_in: IntArray, weights_out: IntArray) -> float:
        seen = np.cumsum(weights_out[falling])
        threshold = ranked[np.searchsorted(seen, fpr * seen[-1] * (1 + 1e-12), side="right")]
        return float(weights_in[s.members > threshold].sum() / weights_in.sum())

    replicates = cluster_bootstrap(statistic, s.runs_in, s.runs_out, seed=seed)
    runs = s.runs.size
    return korn_graubard(value, float(replicates.var(ddof=1)), runs, s.members.size, runs - 1, confidence)
