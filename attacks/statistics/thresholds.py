"""Valid choices of the threshold for a lower bound. An uncorrected maximum does not exist here.

Every rule bounds the two error rates of "member if score > t" from above, with total error alpha (alpha/2
each), and hands them to a measure: `measure(fnr_u, fpr_u) -> lower bound`, falling in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from attacks.errors import InputError
from attacks.statistics.intervals import cluster_variance, dkw_width, effective_size, proportion_upper
from attacks.statistics.scores import FloatArray, IntArray, Scores, check_probability

CANDIDATES = 2000  # thresholds that a split looks at
HALVINGS = tuple(0.5**i for i in range(1, 21)) + tuple(1 - 0.5**i for i in range(2, 21))
Measure = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Counts:
    """Confusion counts of "member if score > t"."""

    tp: int
    fn: int
    fp: int
    tn: int

    def __post_init__(self) -> None:
        if min(self.tp, self.fn, self.fp, self.tn) < 0 or self.n_in == 0 or self.n_out == 0:
            raise InputError(f"{self} is no confusion matrix: counts are >= 0 and each side holds a record")

    @property
    def n_in(self) -> int:
        return self.tp + self.fn

    @property
    def n_out(self) -> int:
        return self.fp + self.tn

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class LowerBound:
    """A valid lower bound of a measure, where it was read, and on which counts."""

    value: float
    threshold: float | None
    counts: Counts | None
    rule: str


class Rule(Protocol):
    """How the threshold is chosen."""

    def lower_bound(self, scores: Scores, measure: Measure, alpha: float) -> LowerBound: ...


@dataclass(frozen=True)
class Fixed:
    """A threshold known before the scores were seen."""

    threshold: float

    def lower_bound(self, scores: Scores, measure: Measure, alpha: float) -> LowerBound:
        return _measured(scores, self.threshold, measure, alpha, "fixed in advance")


@dataclass(frozen=True)
class Split:
    """The best threshold of a random `fraction` of the scores (or runs), measured on the rest."""

    fraction: float = 0.5
    seed: int = 0

    def lower_bound(self, scores: Scores, measure: Measure, alpha: float) -> LowerBound:
        first, rest = scores.split(self.fraction, np.random.default_rng(self.seed))
        return _measured(rest, _best(first, measure, alpha), measure, alpha, f"split {self.fraction:g}")


@dataclass(frozen=True)
class MultiSplit:
    """Median of an odd number of splits, each at alpha/2: valid by Markov (Meinshausen et al. 2009)."""

    splits: int = 11
    fraction: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.splits < 1 or self.splits % 2 == 0:
            raise InputError(f"splits is {self.splits}: give an odd number, so that the median is one of the bounds")

    def lower_bound(self, scores: Scores, measure: Measure, alpha: float) -> LowerBound:
        bounds = [
            Split(self.fraction, self.seed + i).lower_bound(scores, measure, alpha / 2) for i in range(self.splits)
        ]
        median = sorted(bounds, key=lambda b: b.value)[self.splits // 2]
        return LowerBound(median.value, median.threshold, median.counts, f"median of {self.splits} splits at alpha/2")


@dataclass(frozen=True)
class Bonferroni:
    """Every score as a threshold, each at alpha/(n_in + n_out).

    The score that sets a threshold is left out of its own side's counts: given it, the others are still
    independent.
    """

    def lower_bound(self, scores: Scores, measure: Measure, alpha: float) -> LowerBound:
        _refuse_runs(scores, "Bonferroni")
        a, b = np.sort(scores.members), np.sort(scores.others)
        if min(a.size, b.size) < 2:
            raise InputError(f"Bonferroni leaves one score out, sides are {a.size} and {b.size}: give two or more each")
        thresholds = np.concatenate([a, b])
        own_in = np.arange(thresholds.size) < a.size
        n_in, n_out = a.size - own_in, b.size - ~own_in
        fn = np.searchsorted(a, thresholds, side="right") - own_in
        fp = b.size - np.searchsorted(b, thresholds, side="right")
        each = alpha / (2 * thresholds.size)
        values = measure(proportion_upper(fn, n_in, each), proportion_upper(fp, n_out, each))
        i = int(np.argmax(values))
        counts = Counts(int(n_in[i] - fn[i]), int(fn[i]), int(fp[i]), int(n_out[i] - fp[i]))
        return LowerBound(
            float(values[i]), float(thresholds[i]), counts, f"Bonferroni over {thresholds.size} thresholds"
        )


@dataclass(frozen=True)
class Ranks:
    """Thresholds at a few ranks of the non-members fixed in advance, Bonferroni over these, on all the scores.

    `shares` are the shares of non-members above each threshold. The FPR at an order statistic follows a Beta law
    whatever the distribution, and its quantile is the Clopper-Pearson bound; the members are independent of it.
    """

    shares: tuple[float, ...] = HALVINGS

    def lower_bound(self, scores: Scores, measure: Measure, alpha: float) -> LowerBound:
        _refuse_runs(scores, "Ranks")
        a, b = np.sort(scores.members), np.sort(scores.others)
        fp = np.unique([int(check_probability(s, "share") * b.size) for s in self.shares])
        thresholds = b[b.size - 1 - fp]
        fn = np.searchsorted(a, thresholds, side="right")
        each = alpha / (2 * fp.size)
        values = measure(proportion_upper(fn, a.size, each), proportion_upper(fp, b.size, each))
        i = int(np.argmax(values))
        counts = Counts(int(a.size - fn[i]), int(fn[i]), int(fp[i]), int(b.size - fp[i]))
        return LowerBound(float(values[i]), float(thresholds[i]), counts, f"Bonferroni over {fp.size} fixed ranks")


@dataclass(frozen=True)
class DKW:
    """All thresholds at once, inside the bands of both distributions (alpha/2 each)."""

    def lower_bound(self, scores: Scores, measure: Measure, alpha: float) -> LowerBound:
        _refuse_runs(scores, "DKW")
        thresholds, fn, fp = scores.sweep()
        n_in, n_out = scores.members.size, scores.others.size
        values = measure(
            np.minimum(1, fn / n_in + dkw_width(n_in, alpha / 2)),
            np.minimum(1, fp / n_out + dkw_width(n_out, alpha / 2)),
        )
        i = int(np.argmax(values))
        counts = Counts(int(n_in - fn[i]), int(fn[i]), int(fp[i]), int(n_out - fp[i]))
        return LowerBound(float(values[i]), float(thresholds[i]), counts, "DKW band")


def _measured(scores: Scores, threshold: float, measure: Measure, alpha: float, rule: str) -> LowerBound:
    """The bound at a threshold that does not depend on these scores."""
    missed, flagged = scores.members <= threshold, scores.others > threshold
    fnr_u, fpr_u = _upper(missed, scores.runs_in, alpha / 2), _upper(flagged, scores.runs_out, alpha / 2)
    fn, fp = int(missed.sum()), int(flagged.sum())
    counts = Counts(missed.size - fn, fn, fp, flagged.size - fp)
    value = float(measure(np.asarray(fnr_u), np.asarray(fpr_u)))
    return LowerBound(value, float(threshold), counts, rule + (", clustered by run" if scores.clustered else ""))


def _best(scores: Scores, measure: Measure, alpha: float) -> float:
    """Threshold with the largest bound; among equals (all 0, say) the one with the largest TPR - FPR."""
    thresholds, fn, fp = scores.sweep()
    if thresholds.size > CANDIDATES:  # any choice is valid here: look closely at both tails, thinly between
        ranks = np.unique(np.geomspace(1, thresholds.size / 2, CANDIDATES // 2).astype(int)) - 1
        kept = np.concatenate([ranks, thresholds.size - 1 - ranks])
        thresholds, fn, fp = thresholds[kept], fn[kept], fp[kept]
    n_in, n_out = scores.members.size, scores.others.size
    # a tenth of alpha, so that a lucky tail of the first part is not mistaken for a good threshold
    values = measure(proportion_upper(fn, n_in, alpha / 20), proportion_upper(fp, n_out, alpha / 20))
    gap = np.where(values >= values.max(), 1 - fn / n_in - fp / n_out, -np.inf)
    return float(thresholds[np.argmax(gap)])


def _upper(errors: np.ndarray, runs: IntArray | None, alpha: float) -> float:
    """Upper bound of an error rate; with runs, at the effective sample size (asymptotic in runs)."""
    if runs is None:
        return float(proportion_upper(errors.sum(), errors.size, alpha))
    rate, groups = float(errors.mean()), int(np.unique(runs).size)
    variance = cluster_variance(errors.astype(float), runs)
    n = effective_size(rate, variance, groups, errors.size, groups - 1, 1 - 2 * alpha)
    return float(proportion_upper(min(rate * n, n), n, alpha))


def _refuse_runs(scores: Scores, rule: str) -> None:
    if scores.clustered:
        raise InputError(f"{rule} needs independent scores, these share runs: use Split, MultiSplit or Fixed")
