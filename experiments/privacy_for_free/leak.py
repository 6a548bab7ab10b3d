"""Attacks on a cell, and their rates as flat rows: every rate with its interval and N, every zero with its power."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import norm

from attacks.measure import matrix_metrics
from attacks.report.report import Metrics
from attacks.scores.background import Background
from attacks.shadows.compare import compare
from attacks.shadows.signals import signals
from attacks.statistics import power
from attacks.statistics.power import smallest_tpr, zero_of_n
from experiments.privacy_for_free.part import Series
from experiments.privacy_for_free.shadows import CellResult

RATES = {"1pct": "0.01", "01pct": "0.001"}
SAYS = {
    "loss": "loss threshold (Yeom et al. 2018) on students",
    "lira": "LiRA online (Carlini et al. 2022) on students",
    "lira_offline:student": "one-sided LiRA (offline) on students: steadier where 64 runs cannot tell each record's two means apart",
    "lira_offline:dcr": "one-sided LiRA on the distance to the closest released record",
    "lira_online:mean": "LiRA on the whitened class mean",
    "lira_online:soft_labels": "LiRA on the fit by regression on the released labels",
}


def phi_of(result: CellResult, signal: str, rows: np.ndarray) -> np.ndarray:
    """Score [K, T] of the records `rows` under every release: "student", or a score of the release alone by name."""
    if signal == "student":
        return result.phi[:, rows]
    return signals((signal,), result.pool[rows], result.releases, Background(result.pool), 0, 0)[signal]


def attack_scores(
    result: CellResult, attack: str, rows: np.ndarray, seed: int = 0, runs: np.ndarray | None = None
) -> np.ndarray:
    """Membership scores [K, T]: "loss", "lira" (both on students), or "method:signal" as attacks.shadows.compare names them.

    `runs`, whole pairs of them, are the only ones that an attacker then knows and attacks (booleans [all runs]).
    """
    if attack == "loss":
        return -np.logaddexp(0.0, -result.phi[:, rows])
    method, _, signal = (attack if ":" in attack else f"{attack}_online:student").partition(":")
    phi, member = phi_of(result, signal, rows), result.member[:, rows]
    if runs is not None:
        phi, member = phi[runs], member[runs]
    return compare({signal: phi}, member, [(method, signal)], seed)[f"{method}:{signal}"]


def measure(
    result: CellResult, attack: str, rows: np.ndarray, started: bool = False
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """A flat row of rates, and the ROC curve; `started` sets the records the runs started from against all non-members."""
    scores, member = attack_scores(result, attack, rows), result.member[:, rows]
    positive = result.started[:, rows] if started else member
    found = matrix_metrics(scores, member, positive if started else None)
    row = flat_rates(found, int(positive.sum()), int((~member).sum()))
    return {"attack": attack, "subset_rate": result.subset_rate, **row}, found.curve


def flat_rates(found: Metrics, n_in: int, n_out: int) -> dict[str, Any]:
    """AUC, TPR at FPR 1% and 0.1% and advantage, each with low and high; N; and what N could have seen."""
    row: dict[str, Any] = {"auc": found.auc.value, "auc_low": found.auc.low, "auc_high": found.auc.high}
    for name, fpr in RATES.items():
        tpr = found.tpr[fpr]
        row |= {f"tpr_{name}": tpr.value, f"tpr_{name}_low": tpr.low, f"tpr_{name}_high": tpr.high}
    middle = found.balanced_accuracy
    row |= {
        "advantage": 2 * middle.value - 1,
        "advantage_low": 2 * middle.low - 1,
        "advantage_high": 2 * middle.high - 1,
    }
    return row | {
        "n_in": n_in,
        "n_out": n_out,
        "zero_rules_out": zero_of_n(n_in),
        "smallest_tpr_01pct": smallest_tpr(n_in, 0.001),
    }


def reach(row: dict[str, Any]) -> str:
    """What an audit of this size could have seen at best, in words."""
    return f"If scores were independent: {power(row['n_in'], row['n_out']).sentence}"


def every_other_pair(runs: int) -> np.ndarray:
    """Booleans [runs]: whole pairs of complementary runs, in turn, to choose on; the others are to measure on."""
    return np.asarray((np.arange(runs) // 2) % 2 == 0)


def curve(name: str, roc: dict[str, list[float]]) -> Series:
    """A ROC curve as a series."""
    return Series(name, roc["fpr"], roc["tpr"])


def paired_difference(
    a: np.ndarray, b: np.ndarray, member: np.ndarray, fpr: float | None = 0.01, replicates: int = 200, seed: int = 0
) -> tuple[float, float, float]:
    """TPR at `fpr` (AUC where it is None) of scores a less that of scores b, [K, T] on the same records and coins; 95% interval.

    Pairs of runs and records are redrawn together, the same for both: the paired two-way bootstrap (Owen 2007), conservative.
    """
    rng, (runs, records) = np.random.default_rng(seed), member.shape
    pairs = runs // 2
    sides = [_Ranked(scores, member) for scores in (a, b)]

    def difference(weights: np.ndarray) -> float:
        left, right = (side.auc(weights) if fpr is None else side.tpr(weights, fpr) for side in sides)
        return left - right

    drawn = []
    for _ in range(replicates):
        by_run = np.repeat(rng.multinomial(pairs, np.full(pairs, 1 / pairs)), 2)
        by_record = rng.multinomial(records, np.full(records, 1 / records))
        drawn.append(difference(by_run[:, None] * by_record[None, :].astype(float)))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return difference(np.ones(member.shape)), float(low), float(high)


class _Ranked:
    """Scores in falling order, so that redrawn weights need no sorting. Ties are broken at random."""

    def __init__(self, scores: np.ndarray, member: np.ndarray) -> None:
        shuffled = np.random.default_rng(0).permutation(scores.size)
        self.order = shuffled[np.argsort(-scores.ravel()[shuffled], kind="stable")]
        self.inside = member.ravel()[self.order]

    def tpr(self, weights: np.ndarray, fpr: float) -> float:
        falling = weights.ravel()[self.order]
        passed = np.cumsum(np.where(self.inside, 0.0, falling))
        last = np.searchsorted(passed, fpr * passed[-1], side="right")
        hits = np.where(self.inside, falling, 0.0)
        return float(hits[:last].sum() / hits.sum())

    def auc(self, weights: np.ndarray) -> float:
        falling = weights.ravel()[self.order]
        others, hits = np.where(self.inside, 0.0, falling), np.where(self.inside, falling, 0.0)
        return float((np.cumsum(hits) * others).sum() / (hits.sum() * others.sum()))


def widened(value: float, end: float, looks: int) -> float:
    """An end of a 95% interval, moved out for having looked at so many of them (Bonferroni, by the normal quantile)."""
    return value + (end - value) * float(norm.isf(0.025 / looks) / norm.isf(0.025))
