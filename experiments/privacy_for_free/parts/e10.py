"""E10: linear distribution matching, where everything can be computed: the offset attack and the mean attack against theory."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from attacks import Records
from attacks.procedures import LinearDM
from attacks.records import flat
from attacks.scores.background import Background
from attacks.scores.mean_attack import mean_attack
from attacks.scores.offset_attack import offset_attack
from attacks.statistics import auc, clopper_pearson, tpr_at_fpr
from attacks.statistics.power import zero_of_n
from dpcond.config import checked
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.profile import Strict

MARGIN = np.log(
    100.0
)  # fixed in advance: flagged if 100 times closer to one released record than any other candidate is
FPR = 0.001


class Sizes(Strict):
    """parts.E10; means: dimension, members and runs of each Gaussian case."""

    offset_runs: int = 20
    image_runs: int = 8
    means: tuple[tuple[int, int, int], ...] = ((60, 300, 200), (300, 300, 200), (1000, 2500, 40))


def run(frame: Frame) -> Part:
    sizes: Sizes = checked(Sizes, frame.profile.part("E10"), "parts.E10")
    offset = [gaussian_offset(60, 300, 10, sizes.offset_runs), images_offset(frame, sizes.image_runs)]
    means = [gaussian_mean(d, n, runs) for d, n, runs in sizes.means]
    images = images_mean(frame, sizes.image_runs)
    found = sum(row["found"] for row in offset) / sum(row["starting records"] for row in offset)
    others = sum(row["others"] for row in offset)
    flagged = sum(row["others flagged"] for row in offset)
    error = max(abs(row["AUC"] - row["theory"]) for row in means)
    return Part(
        id="E10",
        title="The theory's own case, computed exactly",
        setting="Linear distribution matching at its exact optimum (attacks.procedures.LinearDM): each class of the set is its start plus "
        "one common shift, so that its mean is the mean of the members. Gaussian records, and the images of the pool (pixels, per class).",
        rows=offset,
        figures=[agreement([*means, images])],
        findings=[
            f"From real records, the offset attack found {found:.0%} of the starting records and flagged {flagged} of {others:,} others "
            f"({'0 of N bounds the rate by ' + format(zero_of_n(others), '.2g') if flagged == 0 else 'see the table'}).",
            f"From noise, the mean attack's AUC lies within {error:.4f} of Φ(μ/√2) at every size: the set's mean is the members' mean, however many images are released.",
            f"On images the same formula, with the effective dimension of the whitened pixels (d = {images['d']:.0f}), predicts an AUC of "
            f"{images['theory']:.3f}; measured {images['AUC']:.3f} ({images['low']:.3f}–{images['high']:.3f}).",
        ],
        numbers={"offset_found": found, "offset_false": flagged / others, "mean_auc_error": error},
        outcome="supports Carlini" if found > 0.99 and error <= 0.01 else "cannot tell",
        tables={"The mean attack against theory, μ = √(d/n)": [*means, images]},
    )


def gaussian_offset(d: int, n: int, m: int, runs: int) -> Row:
    """Members, and as many strangers, standard normal; m of the members start the set."""
    hits = flagged = 0
    for seed in range(runs):
        x = np.random.default_rng([10, seed]).standard_normal((2 * n, d))
        released = LinearDM(m, "data")(x[:n], np.zeros(n, dtype=int), seed)
        start = np.random.default_rng(seed).choice(n, m, replace=False)
        score = offset_attack(
            x, np.zeros(2 * n, dtype=int), released, Background(Records(x, np.zeros(2 * n, dtype=int)))
        )
        hits += int((score[start] > MARGIN).sum())
        flagged += int((np.delete(score, start) > MARGIN).sum())
    return _offset_row(f"Gaussian, d = {d}, n = {n}, m = {m}", runs, runs * m, hits, runs * (2 * n - m), flagged)


def images_offset(frame: Frame, runs: int) -> Row:
    """Random halves of the pool, started from a few members a class."""
    pool = frame.pool(frame.profile.focus).candidates
    each = frame.profile.few
    hits = flagged = starting = others = 0
    for seed in range(runs):
        inside = np.random.default_rng([11, seed]).random(len(pool)) < 0.5
        members = pool[np.flatnonzero(inside)]
        released = LinearDM(each, "data")(members.x, members.y, seed)
        started = np.zeros(len(pool), dtype=bool)
        random = np.random.default_rng(seed)
        for label in np.unique(members.y):
            mine = np.flatnonzero(inside & (pool.y == label))
            started[mine[random.choice(len(mine), each, replace=False)]] = True
        score = offset_attack(pool.x, pool.y, released, Background(pool))
        hits, flagged = hits + int((score[started] > MARGIN).sum()), flagged + int((score[~started] > MARGIN).sum())
        starting, others = starting + int(started.sum()), others + int((~started).sum())
    return _offset_row(f"images of {frame.profile.focus}, {each} per class", runs, starting, hits, others, flagged)


def _offset_row(case: str, runs: int, starting: int, found: int, others: int, flagged: int) -> Row:
    low, high = clopper_pearson(found, starting)
    return {
        "case": case,
        "runs": runs,
        "starting records": starting,
        "found": found,
        "TPR": found / starting,
        "low": low,
        "high": high,
        "others": others,
        "others flagged": flagged,
        "FPR at most": clopper_pearson(flagged, others, 0.9)[1],
    }


def gaussian_mean(d: int, n: int, runs: int) -> Row:
    """The score ⟨x, mean(S)⟩ on sets matched from noise; AUC and TPR averaged over independent runs."""
    aucs, scores = np.empty(runs), []
    for seed in range(runs):
        x = np.random.default_rng([12, d, n, seed]).standard_normal((2 * n, d))
        released = LinearDM(3, "noise")(x[:n], np.zeros(n, dtype=int), seed)
        mean = flat(released.x).mean(axis=0)
        scores.append(x @ mean / np.linalg.norm(mean))  # of unit variance among strangers, so that runs can be pooled
        aucs[seed] = auc(scores[-1][:n], scores[-1][n:]).value
    pooled = np.stack(scores)
    return _mean_row("Gaussian", d, n, aucs, pooled[:, :n], pooled[:, n:])


def images_mean(frame: Frame, runs: int) -> Row:
    """The whitened mean attack on the pool; the covariance comes from auxiliary records, the effective dimension from both."""
    pool, background = frame.pool(frame.profile.focus), Background(frame.pool(frame.profile.focus).auxiliary)
    candidates, aucs, hits, misses = pool.candidates, np.empty(runs), [], []
    for seed in range(runs):
        inside = np.random.default_rng([13, seed]).random(len(candidates)) < 0.5
        members = candidates[np.flatnonzero(inside)]
        released = LinearDM(3, "noise")(members.x, members.y, seed)
        score = mean_attack(candidates.x, candidates.y, released, background)
        areas = []
        for label in np.unique(candidates.y):
            mine = candidates.y == label
            scaled, member = score[mine] / score[mine].std(), inside[mine]
            areas.append(auc(scaled[member], scaled[~member]).value)
            hits.append(scaled[member])
            misses.append(scaled[~member])
        aucs[seed] = np.mean(areas)
    n = len(candidates) / len(np.unique(candidates.y)) / 2
    d = effective_dimension(candidates, background)
    return _mean_row(
        f"images of {frame.profile.focus}, whitened", d, round(n), aucs, np.concatenate(hits), np.concatenate(misses)
    )


def effective_dimension(records: Records, background: Background) -> float:
    """(tr A)² / tr A² of A = Σ̂⁻¹ Σ: how many independent directions the whitened mean averages over."""
    rows, dimensions = flat(records.x), []
    for label in np.unique(records.y):
        covariance = np.cov(rows[records.y == label], rowvar=False)
        whitened = background.whiten(covariance)
        dimensions.append(np.trace(whitened) ** 2 / np.trace(whitened @ whitened))
    return float(np.mean(dimensions))


def _mean_row(case: str, d: float, n: int, aucs: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> Row:
    runs, mu = len(aucs), (d / n) ** 0.5
    half = 1.96 * aucs.std(ddof=1) / runs**0.5
    tpr = tpr_at_fpr(inside.ravel(), outside.ravel(), FPR)
    return {
        "case": case,
        "d": d,
        "n": n,
        "runs": runs,
        "AUC": float(aucs.mean()),
        "low": float(aucs.mean() - half),
        "high": float(aucs.mean() + half),
        "theory": float(norm.cdf(mu / 2**0.5)),
        "TPR at FPR 0.1%": tpr.value,
        "TPR at FPR 0.1% low": tpr.low,
        "TPR at FPR 0.1% high": tpr.high,
        "theory of the TPR": float(norm.cdf(mu + norm.ppf(FPR))),
    }


def agreement(rows: list[Row]) -> Figure:
    """Measured against predicted AUC."""
    x = [row["theory"] for row in rows]
    span = [min(x) - 0.02, max(x) + 0.02]
    names = [f"{row['case'].split()[0]}, d {row['d']:.0f}, n {row['n']}" for row in rows]
    low, high = [row["low"] for row in rows], [row["high"] for row in rows]
    marks = Series("measured", x, [row["AUC"] for row in rows], low, high, names)
    return Figure(
        "mean-attack",
        "AUC of the mean attack on sets matched from noise, against theory. Bars: 95% intervals over independent runs.",
        "points",
        "Φ(μ/√2), computed",
        "AUC, measured",
        [marks, Series("theory", span, span)],
    )
