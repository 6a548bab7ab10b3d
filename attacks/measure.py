"""From scores to metrics, with intervals, and the one-run bound over several attacks."""

from dataclasses import replace

import numpy as np

from attacks.errors import InputError
from attacks.report.report import FPRS, Metrics
from attacks.statistics import (
    EpsilonBound,
    Estimate,
    auc,
    balanced_accuracy,
    guess_by_split,
    one_run_fdp,
    roc,
    steinke,
    tpr_at_fpr,
)
from attacks.statistics.guessing import GuessBound, perfect_scores
from attacks.statistics.scores import Clusters

POINTS = 200  # of a stored curve


def metrics(scores_in: np.ndarray, scores_out: np.ndarray, clusters: Clusters | None = None) -> Metrics:
    """AUC, TPR at fixed FPRs and balanced accuracy with 95% intervals, clustered by run where `clusters` are given."""
    curve = roc(scores_in, scores_out)
    keep = _thin(curve.fpr, curve.tpr)
    return Metrics(
        auc(scores_in, scores_out, clusters=clusters),
        {f"{fpr:g}": tpr_at_fpr(scores_in, scores_out, fpr, clusters=clusters) for fpr in FPRS},
        balanced_accuracy(scores_in, scores_out, clusters=clusters),
        {"fpr": curve.fpr[keep].round(6).tolist(), "tpr": curve.tpr[keep].round(6).tolist()},
    )


def matrix_metrics(scores: np.ndarray, member: np.ndarray, positive: np.ndarray | None = None) -> Metrics:
    """The same for scores [K, T] of runs 2j, 2j + 1 that are complements, with intervals that own up to both dependences.

    Scores of one run share its release, and scores of one record share the other runs' coins. The squared half-widths of the two
    clustered intervals are added: Var ≤ Var_run + Var_record in two-way clustering (Cameron, Gelbach & Miller 2011).
    `positive` [K, T], a part of the members, is set against all non-members: the records a run started from, say.
    """
    inside, outside = member if positive is None else positive, ~member
    if (inside & outside).any():
        raise InputError("positive: it names records that are no members of their run")
    runs = np.broadcast_to((np.arange(len(member)) // 2)[:, None], member.shape)
    records = np.broadcast_to(np.arange(member.shape[1]), member.shape)
    by_run, by_record = (
        metrics(scores[inside], scores[outside], clusters=(ids[inside], ids[outside])) for ids in (runs, records)
    )
    return Metrics(
        _both(by_run.auc, by_record.auc),
        {fpr: _both(by_run.tpr[fpr], by_record.tpr[fpr]) for fpr in by_run.tpr},
        _both(by_run.balanced_accuracy, by_record.balanced_accuracy),
        by_run.curve,
    )


def _both(run: Estimate, record: Estimate) -> Estimate:
    centre = (run.value + record.value) / 2  # balanced accuracy is measured on different halves
    below = np.hypot(centre - min(run.low, centre), centre - min(record.low, centre))
    above = np.hypot(max(run.high, centre) - centre, max(record.high, centre) - centre)
    return replace(
        run,
        value=centre,
        low=max(0.0, float(centre - below)),
        high=min(1.0, float(centre + above)),
        method=f"{run.method}; two-way, by run and by record",
    )


def _thin(fpr: np.ndarray, tpr: np.ndarray) -> np.ndarray:
    """Corners of the curve, log-spaced in FPR, so that a page stays light."""
    wanted = np.concatenate([[0.0], np.geomspace(max(fpr[fpr > 0].min(), 1e-6), 1.0, POINTS)])
    return np.unique(np.searchsorted(fpr, wanted * (1 + 1e-9), side="right") - 1)


def one_run_bounds(
    scores: np.ndarray, included: np.ndarray, delta: float, attacks: int, confidence: float = 0.95, seed: int = 0
) -> tuple[EpsilonBound, ...]:
    """Steinke's bound and, if delta > 0, the f-DP bound of one of `attacks` attacks, each valid at `confidence` for the best of them (Bonferroni).

    The number of guesses is chosen on a fifth of the canaries. Equal sides are drawn at random, so that coins look fair.
    """
    each = 1 - (1 - confidence) / attacks
    rows = balanced(included, seed)
    methods: list[GuessBound] = [steinke, one_run_fdp] if delta > 0 else [steinke]
    bounds = [guess_by_split(scores[rows], included[rows], method, delta, each, seed=seed) for method in methods]
    return tuple(_told(bound, attacks, confidence) for bound in bounds)


def best(bounds: list[EpsilonBound]) -> EpsilonBound:
    """The largest of bounds that hold together."""
    return max(bounds, key=lambda bound: bound.value)


def one_run_ceiling(included: np.ndarray, delta: float, attacks: int, confidence: float = 0.95, seed: int = 0) -> float:
    """What :func:`one_run_bounds` would show of an attack that knows every coin."""
    return one_run_bounds(perfect_scores(included), included, delta, attacks, confidence, seed)[0].value


def balanced(included: np.ndarray, seed: int) -> np.ndarray:
    """Row numbers of equally many members and non-members, in random order (ties must not follow the order)."""
    rng = np.random.default_rng(seed)
    inside, outside = np.flatnonzero(included), np.flatnonzero(~included)
    size = min(len(inside), len(outside))
    return rng.permutation(np.concatenate([rng.permutation(inside)[:size], rng.permutation(outside)[:size]]))


def _told(bound: EpsilonBound, attacks: int, confidence: float) -> EpsilonBound:
    more = f"; Bonferroni over {attacks} attacks" if attacks > 1 else ""
    return replace(bound, confidence=confidence, rule=bound.rule + more)
