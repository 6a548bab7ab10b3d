"""Lower bounds of epsilon from membership scores. The lower end is what is reported, never the upper."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from attacks.errors import InputError
from attacks.statistics.intervals import proportion_upper
from attacks.statistics.scores import Clusters, FloatArray, Scores, check_delta, check_probability, check_scores
from attacks.statistics.thresholds import Counts, Ranks, Rule, Split
from attacks.statistics.tradeoff import epsilon_from_mu

Kind = Literal["frequentist", "bayesian", "conditional on Gaussian family"]
GAUSSIAN: Kind = "conditional on Gaussian family"


@dataclass(frozen=True)
class EpsilonBound:
    """epsilon >= value at `confidence`, for the given delta; `mu` where the method bounds that first."""

    value: float
    confidence: float
    delta: float
    method: str
    kind: Kind
    counts: Counts | None = None
    threshold: float | None = None
    rule: str = ""
    mu: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def epsilon_from_rates(fnr: ArrayLike, fpr: ArrayLike, delta: float) -> FloatArray:
    """Smallest epsilon >= 0 that allows these error rates (Kairouz et al. 2015; both orientations)."""
    fnr, fpr = np.asarray(fnr, float), np.asarray(fpr, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.log(np.maximum(1 - fnr - delta, 0)) - np.log(fpr)
        two = np.log(np.maximum(1 - fpr - delta, 0)) - np.log(fnr)
    return np.fmax(np.fmax(one, two), 0.0)


def mu_from_rates(fnr: ArrayLike, fpr: ArrayLike) -> FloatArray:
    """mu of the Gaussian trade-off at these rates, clipped at 0: an attack below chance shows nothing."""
    fnr, fpr = np.asarray(fnr, float), np.asarray(fpr, float)
    with np.errstate(invalid="ignore"):
        mu = special.ndtri(1 - fpr) - special.ndtri(fnr)
    return np.fmax(mu, 0.0)


def epsilon_clopper_pearson(
    scores_in: ArrayLike,
    scores_out: ArrayLike,
    delta: float,
    confidence: float = 0.95,
    rule: Rule | None = None,
    clusters: Clusters | None = None,
) -> EpsilonBound:
    """Clopper-Pearson bound with delta (Nasr et al. 2021), threshold by `rule` (Ranks if none is given).

    Scores [n_in], [n_out] must be independent, one per run; else give the run ids as `clusters`, and the
    bound holds for the average record and asymptotically in the number of runs.
    """
    scores = check_scores(scores_in, scores_out, clusters)
    alpha = 1 - check_probability(confidence, "confidence")
    delta = check_delta(delta)
    b = _rule(rule, scores).lower_bound(scores, lambda fnr, fpr: epsilon_from_rates(fnr, fpr, delta), alpha)
    method = "Clopper-Pearson" if not scores.clustered else "Korn-Graubard by run"
    return EpsilonBound(b.value, confidence, delta, method, "frequentist", b.counts, b.threshold, b.rule)


def epsilon_gdp(
    scores_in: ArrayLike,
    scores_out: ArrayLike,
    delta: float,
    confidence: float = 0.95,
    rule: Rule | None = None,
    clusters: Clusters | None = None,
) -> EpsilonBound:
    """Lower bound of mu, then epsilon(delta), delta > 0: true only if the trade-off is a Gaussian one."""
    scores = check_scores(scores_in, scores_out, clusters)
    alpha = 1 - check_probability(confidence, "confidence")
    check_probability(delta, "delta")  # at delta = 0 a Gaussian trade-off has no finite epsilon
    b = _rule(rule, scores).lower_bound(scores, mu_from_rates, alpha)
    value = epsilon_from_mu(b.value, delta)
    return EpsilonBound(value, confidence, delta, "GDP", GAUSSIAN, b.counts, b.threshold, b.rule, mu=b.value)


def clopper_pearson_counts(counts: Counts, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """The Clopper-Pearson bound of counts at a threshold fixed in advance."""
    value = float(epsilon_from_rates(*_upper_rates(counts, confidence), check_delta(delta)))
    return EpsilonBound(value, confidence, delta, "Clopper-Pearson", "frequentist", counts, rule="fixed in advance")


def gdp_counts(counts: Counts, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """The GDP bound of counts at a threshold fixed in advance."""
    mu = float(mu_from_rates(*_upper_rates(counts, confidence)))
    value = epsilon_from_mu(mu, check_probability(delta, "delta"))
    return EpsilonBound(value, confidence, delta, "GDP", GAUSSIAN, counts, rule="fixed in advance", mu=mu)


def katz_log(counts: Counts, confidence: float = 0.95) -> EpsilonBound:
    """Katz' log interval of TPR/FPR (Katz et al. 1978), delta = 0, asymptotic: needs TP, FP >= 5."""
    tpr, fpr, z = _asymptotic(counts, confidence)
    ratio = tpr / fpr * np.exp(z * np.sqrt((1 - tpr) / counts.tp + (1 - fpr) / counts.fp))
    return EpsilonBound(
        max(float(np.log(ratio)), 0.0),
        confidence,
        0.0,
        "Katz-log",
        "frequentist",
        counts,
        rule="fixed in advance",
    )


def bailey(counts: Counts, confidence: float = 0.95) -> EpsilonBound:
    """Bailey's interval of TPR/FPR (Bailey 1987), delta = 0, asymptotic: needs TP, FP >= 5."""
    tpr, fpr, z = _asymptotic(counts, confidence)
    spread = (1 - tpr) / counts.tp + (1 - fpr) / counts.fp
    spread -= z**2 * (1 - tpr) * (1 - fpr) / (9 * counts.tp * counts.fp)
    root = (1 + z / 3 * np.sqrt(spread)) / (1 - z**2 * (1 - fpr) / (9 * counts.fp))
    value = max(float(np.log(tpr / fpr * max(root, 0.0) ** 3)), 0.0) if root > 0 else 0.0
    return EpsilonBound(value, confidence, 0.0, "Bailey", "frequentist", counts, rule="fixed in advance")


def joint_beta(counts: Counts, delta: float, confidence: float = 0.95) -> EpsilonBound:
    """Lower end of the equal-tailed credible interval (Zanella-Beguelin et al. 2023), Jeffreys priors.

    A belief given a prior, not a frequentist bound: it carries its label and no verdict rests on it.
    """
    check_delta(delta)
    tail = (1 - check_probability(confidence, "confidence")) / 2
    fnr = stats.beta(0.5 + counts.fn, 0.5 + counts.tp)
    fpr = stats.beta(0.5 + counts.fp, 0.5 + counts.tn)
    # equal-probability cells of the FNR; in each, P[epsilon <= e] is the FPR's mass between the two sides of
    # the privacy region, which fall together from (0, 1 - delta) to (1 - delta, 0) and its mirror image
    q = fnr.ppf((np.arange(20_000) + 0.5) / 20_000)

    def below(epsilon: float) -> float:
        e = np.exp(epsilon)
        low = np.maximum(np.maximum(1 - delta - e * q, (1 - delta - q) / e), 0)
        high = 1 - np.maximum(np.maximum(1 - delta - e * (1 - q), (1 - delta - (1 - q)) / e), 0)
        return float((fpr.cdf(high) - fpr.cdf(low)).mean())

    value, top = 0.0, 50.0
    if below(0.0) < tail:
        while top - value > 1e-9:
            middle = (value + top) / 2
            value, top = (middle, top) if below(middle) < tail else (value, middle)
    return EpsilonBound(value, confidence, delta, "joint beta", "bayesian", counts, rule="fixed in advance")


def _rule(rule: Rule | None, scores: Scores) -> Rule:
    """Ranks give the largest bounds of the valid rules; a split by run is what clustered scores allow."""
    return rule or (Split() if scores.clustered else Ranks())


def _upper_rates(counts: Counts, confidence: float) -> tuple[FloatArray, FloatArray]:
    half = (1 - check_probability(confidence, "confidence")) / 2
    return proportion_upper(counts.fn, counts.n_in, half), proportion_upper(counts.fp, counts.n_out, half)


def _asymptotic(counts: Counts, confidence: float) -> tuple[float, float, float]:
    if min(counts.tp, counts.fp) < 5:
        raise InputError(
            f"TP {counts.tp}, FP {counts.fp}: this bound is asymptotic and needs 5 each; use Clopper-Pearson"
        )
    z = float(stats.norm.ppf(1 - check_probability(confidence, "confidence")))
    return counts.tp / counts.n_in, counts.fp / counts.n_out, z
