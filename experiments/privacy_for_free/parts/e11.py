"""E11: what a bound of order m/n is worth: the naive subset's exact privacy beside the theorem's own quantity."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
from scipy.special import logsumexp

from attacks.procedures import Subset
from attacks.records import flat
from attacks.scores.background import Background
from attacks.shadows.engine import run_shadows
from attacks.shadows.membership import membership
from attacks.shadows.signals import signals
from attacks.statistics import clopper_pearson
from dpcond.config import checked
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.profile import Strict

ENUMERATED = ((6, 2), (8, 3), (10, 4), (12, 5))
EXACT = 1e-4  # a distance below this is the record itself
SLOPE = 0.05  # of error, at which two rates count as the same
LEAVERS = 10  # records whose leaving is tried
PUBLISHED = {"CIFAR-10, half": 25_000, "CIFAR-10, full": 50_000, "Fashion-MNIST, half": 30_000}


class Sizes(Strict):
    """parts.E11: sizes of the subsets, of the sets and pools of the theorem's quantity, and random classifiers."""

    subsets: tuple[int, ...] = (100, 500)
    theorem_m: tuple[int, ...] = (10, 50, 100, 500)
    theorem_n: tuple[int, ...] = (250, 500, 1000, 2000, 4000)
    classifiers: int = 20


def run(frame: Frame) -> Part:
    sizes: Sizes = checked(Sizes, frame.profile.part("E11"), "parts.E11")
    exact = [enumerated(n, m) for n, m in ENUMERATED]
    pool = frame.pool(frame.profile.focus).candidates
    measured = [subset_advantage(frame, m) for m in sizes.subsets if 4 * m <= len(pool)]
    rows, slope = theorem(frame, sizes)
    naive = [row["subset over m/n"] for row in rows]
    wrong = float(max(abs(row["error"]) for row in exact))
    inside = all(row["low"] <= row["m/n"] <= row["high"] for row in measured)
    constant = [row["quantity over m/n"] for row in rows]
    return Part(
        id="E11",
        title="What is an O(m/n) bound worth?",
        setting="Releasing a uniform random m-subset of n records as they are. Its δ at ε = 0 by enumeration in exact fractions; the "
        "advantage of the perfect attack, measured; and the theorem's quantity, the expected change of the Gibbs log-density "
        "|Σ ℓ(θ, s) − Σ ℓ(θ, s′)| when one record leaves T, for linear matching from noise and random linear classifiers θ, and the same for the random "
        "subset (the record is in it with probability m/n, and another takes its place). Both leave out the normaliser of the Gibbs density. It is an average "
        "over θ, δ a worst case: the two are not compared with each other.",
        rows=measured,
        figures=[rates(rows, exact)],
        findings=[
            f"By enumeration, δ at ε = 0 equals m/n without any error for all {len(exact)} sizes, under both ways to change one record.",
            f"The theorem's quantity is {min(constant):.2g} to {max(constant):.2g} times m/n, as its form says: its slope in m/n is {slope:.3f} on log axes. That of "
            f"the random subset is {min(naive):.2g} to {max(naive):.2g} times m/n.",
            "So both vanish at the same rate: the rate by itself does not tell condensation from releasing m of the n records as they are, which nobody "
            f"calls private. The factor does: by this average one record moves the subset {np.mean(naive) / np.mean(constant):.2g} times as much."
            if abs(slope - 1) <= SLOPE
            else "At these sizes the slope is not 1.",
        ],
        numbers={"exact_error": wrong, "advantage_inside": float(inside), "slope_error": abs(slope - 1)},
        outcome="supports Carlini" if wrong == 0 and abs(slope - 1) <= SLOPE else "cannot tell",
        tables={
            "δ of the random subset at ε = 0, enumerated": [
                {name: str(value) if isinstance(value, Fraction) else value for name, value in row.items()}
                for row in exact
            ],
            "The theorem's quantity": rows,
            "m/n at the published sizes (10 classes)": [published(name, n) for name, n in PUBLISHED.items()],
        },
    )


def enumerated(n: int, m: int) -> Row:
    """sup over events of P − Q for subsets of neighbours, by listing every subset. Replace one, and remove one."""
    records = frozenset(range(n))
    p = {frozenset(s): Fraction(1, comb(n, m)) for s in combinations(sorted(records), m)}
    replaced = {frozenset(s): Fraction(1, comb(n, m)) for s in combinations([*range(1, n), n], m)}
    removed = {frozenset(s): Fraction(1, comb(n - 1, m)) for s in combinations(range(1, n), m)}
    deltas = [
        sum((max(a.get(s, Fraction(0)) - b.get(s, Fraction(0)), Fraction(0)) for s in a), Fraction(0))
        for a, b in ((p, replaced), (replaced, p), (p, removed), (removed, p))
    ]
    worst = max(deltas)
    return {
        "n": n,
        "m": m,
        "δ replace one": deltas[0],
        "δ remove one": deltas[2],
        "m/n": Fraction(m, n),
        "error": worst - Fraction(m, n),
    }


def subset_advantage(frame: Frame, m: int) -> Row:
    """TPR − FPR of looking each candidate up in the released subset, over shadow runs of the pool; the interval is the TPR's."""
    pool = frame.pool(frame.profile.focus).candidates
    coins = membership(frame.profile.shadows, np.arange(len(pool)), 11)
    releases = run_shadows(Subset(m), pool, coins, list(range(len(coins))))
    found = signals(("dcr",), pool, releases, Background(pool), 0, 0)["dcr"]
    hits, strangers = int((found[coins] > -EXACT).sum()), int((found[~coins] > -EXACT).sum())
    inside, false = int(coins.sum()), strangers / int((~coins).sum())
    low, high = clopper_pearson(hits, inside)
    return {
        "m": m,
        "n": round(inside / len(coins)),
        "shadows": len(coins),
        "m/n": m * len(coins) / inside,
        "advantage": hits / inside - false,
        "low": low - false,
        "high": high - false,
        "members looked up": inside,
        "strangers found": strangers,
    }


def theorem(frame: Frame, sizes: Sizes) -> tuple[list[Row], float]:
    """The change of the Gibbs log-density when one record leaves, averaged over records and classifiers; its log-log slope."""
    pool = frame.pool(frame.profile.focus).candidates
    x, y, classes = flat(pool.x), pool.y, int(pool.y.max()) + 1
    random = np.random.default_rng(14)
    theta = random.standard_normal((sizes.classifiers, x.shape[1], classes)) / x.shape[1] ** 0.5
    order, rows = random.permutation(len(x)), []
    for n in [n for n in sizes.theorem_n if n <= len(x)]:
        members = x[order[:n]]
        shifts = (members.mean(axis=0) - members[:LEAVERS]) / (n - 1)  # of the mean, if that member leaves
        each = losses(theta, members, y[order[:n]])  # [classifiers, n]
        replaced = float(np.abs(each[:, :LEAVERS, None] - each[:, None, LEAVERS:]).mean())  # a leaver by another member
        for m in [m for m in sizes.theorem_m if m < n]:
            start = random.random((m, x.shape[1]))
            released = start + members.mean(axis=0) - start.mean(axis=0)
            labels = np.arange(m) % classes
            before = losses(theta, released, labels).sum(axis=1)
            change = [np.abs(losses(theta, released + shift, labels).sum(axis=1) - before).mean() for shift in shifts]
            quantity = float(np.mean(change))
            rows.append(
                {
                    "m": m,
                    "n": n,
                    "m/n": m / n,
                    "quantity": quantity,
                    "quantity over m/n": quantity * n / m,
                    "of the subset": replaced * m / n,
                    "subset over m/n": replaced,
                }
            )
    slope = float(np.polyfit(np.log([r["m/n"] for r in rows]), np.log([r["quantity"] for r in rows]), 1)[0])
    return rows, slope


def losses(theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cross-entropy [classifiers, m] of linear classifiers theta [classifiers, d, classes]."""
    logits = x @ theta
    return np.asarray(logsumexp(logits, axis=2) - logits[:, np.arange(len(y)), y])


def published(name: str, n: int) -> Row:
    return {"setting": name, "n": n} | {f"{ipc} per class": 10 * ipc / n for ipc in (1, 10, 50)}


def rates(rows: list[Row], exact: list[Row]) -> Figure:
    x = [row["m/n"] for row in rows]
    line = sorted({float(row["m/n"]) for row in exact} | {min(x), max(x)})
    return Figure(
        "rates",
        "All vanish at the same rate. The theorem's average for linear matching and for the naive random subset; and δ of the subset, exactly m/n, a worst case.",
        "points",
        "m/n",
        "influence of one record",
        [
            Series("theorem's quantity, linear matching", x, [row["quantity"] for row in rows]),
            Series("the same, random subset", x, [row["of the subset"] for row in rows]),
            Series("random subset, δ = m/n", line, line),
        ],
        log_x=True,
        log_y=True,
    )
