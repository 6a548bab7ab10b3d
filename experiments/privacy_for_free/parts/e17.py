"""E17: the method and the start, inferred from a released set alone by one who can run the methods on data of his own."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from attacks import Records
from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.distances import closest
from attacks.statistics import clopper_pearson
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.part import Figure, Outcome, Part, Row, Series


def run(frame: Frame) -> Part:
    profile = frame.profile
    cells = [c for c in profile.cells() if c.data == profile.focus and c.ipc == profile.few]
    auxiliary = frame.pool(profile.focus).auxiliary
    features = np.concatenate(
        [np.stack([describe(release, auxiliary) for release in frame.cell(cell).releases]) for cell in cells]
    )
    runs = np.tile(np.arange(profile.shadows), len(cells))
    test = (runs // 2) % 2 == 1  # pairs of runs, in turn
    found = {}
    for what in ("method", "init"):
        truth = np.repeat([getattr(cell, what) for cell in cells], profile.shadows)
        forest = RandomForestClassifier(200, random_state=profile.seed, n_jobs=1).fit(features[~test], truth[~test])
        found[what] = (truth[test], forest.predict(features[test]))
    rows = [verdict(what, *pair) for what, pair in found.items()]
    numbers: dict[str, float] = {}
    for row in rows:
        numbers |= {f"{row['inferred']}_{k}": row[k] for k in ("accuracy", "accuracy_low", "chance")}
    findings = [
        f"The {row['inferred']} is told right for {row['accuracy']:.1%} of {row['n']} releases "
        f"({row['accuracy_low']:.1%} to {row['accuracy_high']:.1%}); always naming the commonest would give {row['chance']:.1%}."
        for row in rows
    ]
    told = all(row["accuracy_low"] > row["chance"] for row in rows)
    outcome: Outcome = "neither" if told else "cannot tell"
    return Part(
        "E17",
        "What the set says of its making",
        f"A random forest on {features.shape[1]} pixel statistics of a release, trained on half of the pairs of runs, tested on the "
        f"others; {len(cells)} settings with {profile.few} images per class. Attacker and target draw from one pool.",
        rows,
        [confusion(what, *pair) for what, pair in found.items()],
        findings,
        numbers,
        outcome,
    )


def describe(release: ReleaseSet, auxiliary: Records) -> np.ndarray:
    """Roughness, contrast, saturation, spread within classes, and distance to real images."""
    images = release.x
    rows, real = flat(images), flat(auxiliary.x)
    steps = np.concatenate([np.abs(np.diff(images, axis=axis)).ravel() for axis in (-1, -2)])
    near = closest(rows, real)
    means = np.stack([rows[release.y == c].mean(axis=0) for c in np.unique(release.y)])
    centres = np.stack([real[auxiliary.y == c].mean(axis=0) for c in np.unique(release.y)])
    spread = rows - means[np.searchsorted(np.unique(release.y), release.y)]
    border = np.concatenate([images[..., 0, :].ravel(), images[..., -1, :].ravel()])
    return np.array(
        [
            *(steps.mean(), steps.std()),
            *np.quantile(rows, [0.05, 0.25, 0.5, 0.75, 0.95]),
            *((rows <= 0).mean(), (rows >= 1).mean(), rows.mean(), rows.std()),
            *(near.mean(), near.std(), near.min()),
            *(np.linalg.norm(means - centres, axis=1).mean(), spread.std()),
            *(border.mean(), border.std()),
        ]
    )


def verdict(what: str, truth: np.ndarray, told: np.ndarray) -> Row:
    """Accuracy with its interval, and that of always naming the commonest."""
    right, n = int((truth == told).sum()), len(truth)
    low, high = clopper_pearson(right, n)
    chance = float(np.unique(truth, return_counts=True)[1].max() / n)
    return {
        "inferred": what,
        "accuracy": right / n,
        "accuracy_low": low,
        "accuracy_high": high,
        "chance": chance,
        "n": n,
    }


def confusion(what: str, truth: np.ndarray, told: np.ndarray) -> Figure:
    """Share told right, by what is true."""
    names = np.unique(truth).tolist()
    counts = [(int(((truth == name) & (told == name)).sum()), int((truth == name).sum())) for name in names]
    ends = [clopper_pearson(*pair) for pair in counts]
    series = Series(
        "told right",
        [float(i) for i in range(len(names))],
        [right / of for right, of in counts],
        [low for low, _ in ends],
        [high for _, high in ends],
        names,
    )
    return Figure(what, f"Share of releases whose {what} is told right.", "bars", what, "share", [series])
