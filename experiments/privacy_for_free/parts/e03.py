"""E3: the naive baseline, a random subset of real images, attacked in the same way (Carlini, Feldman & Nasr 2022)."""

from __future__ import annotations

import numpy as np

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import attack_scores, curve, paired_difference, widened
from experiments.privacy_for_free.part import Figure, Outcome, Part, Row
from experiments.privacy_for_free.shadows import CellResult

STUDENT = ("lira", "lira_offline:student")
RELEASE = "lira_offline:dcr"


def run(frame: Frame) -> Part:
    profile = frame.profile
    rows, differences, curves, subsets = [], [], [], {}
    real = [cell for cell in profile.cells() if cell.data == profile.focus and cell.init == "member"]
    for ipc in dict.fromkeys(cell.ipc for cell in real):
        subset = Cell(profile.focus, "subset", ipc, "member")
        subsets[ipc], roc = frame.rates(subset, "lira")
        rows += [subsets[ipc], frame.rates(subset, RELEASE)[0]]
        if ipc == profile.many:
            curves.append(curve("random real images", roc))
        for cell in (c for c in real if c.ipc == ipc):
            row, roc = frame.rates(cell, "lira")
            rows += [row, frame.rates(cell, RELEASE)[0]]
            differences += [
                compared(frame, frame.cell(cell), frame.cell(subset), attack) for attack in (*STUDENT, RELEASE)
            ]
            if ipc == profile.many:
                curves.append(curve(f"{cell.method} from real images", roc))
    looks = len(differences)
    lows = [widened(d["tpr_difference"], d["tpr_difference_low"], looks) for d in differences]
    most = differences[int(np.argmax(lows))]
    useful = max(differences, key=lambda d: d["accuracy_difference_low"])
    few = [d for d in differences if d["ipc"] == profile.few and d["attack"] == "lira"]
    through = [d for d in differences if d["attack"] in STUDENT]
    released = [d for d in differences if d["attack"] == RELEASE]
    contains = sum(d["tpr_difference_low"] <= 0 <= d["tpr_difference_high"] for d in through)
    less = {
        what: [d for d in group if widened(d["tpr_difference"], d["tpr_difference_high"], looks) < 0]
        for what, group in (("student", through), ("release", released))
    }
    numbers = {
        "real_minus_subset_tpr": most["tpr_difference"],
        "real_minus_subset_tpr_low": max(lows),
        "real_minus_subset_accuracy": useful["accuracy_difference"],
        "real_minus_subset_accuracy_low": useful["accuracy_difference_low"],
    }
    own = subsets[profile.few]
    findings = [
        f"Through a student, {contains} of {len(through)} paired 95% intervals (settings that start from real images, two forms of LiRA) for the "
        f"difference in TPR to the very images they started from contain 0. On the release itself {len(less['release'])} of {len(released)} "
        "settings leak clearly less than these images do.",
        f"A student is a weak witness: of the subset itself, {profile.few} per class, it shows {own['tpr_1pct']:.2%} ({own['tpr_1pct_low']:.2%} to "
        f"{own['tpr_1pct_high']:.2%}), where finding every released image would give {0.01 + 0.99 * own['subset_rate']:.2%}.",
        f"On the release, {profile.few} per class, TPR less that of the subset: "
        + ", ".join(
            f"{d['method']} {d['tpr_difference']:+.2%} ({d['tpr_difference_low']:+.2%} to {d['tpr_difference_high']:+.2%})"
            for d in released
            if d["ipc"] == profile.few
        )
        + ".",
        "Accuracy against these images, "
        + f"{profile.few} per class: "
        + ", ".join(f"{d['method']} {d['accuracy_difference']:+.1%}" for d in few)
        + ".",
        f"Nowhere more than the subset, after {looks} looks."
        if max(lows) <= 0
        else f"More than the subset: {most['method']}, {most['ipc']} per class, {most['attack']}, {most['tpr_difference']:+.2%}.",
    ]
    outcome: Outcome = "neither"
    if not less["student"] and not less["release"]:
        outcome = "supports Carlini"
    elif 2 * len(less["student"]) > len(through) and 2 * len(less["release"]) > len(released):
        outcome = "supports Dong"
    figure = Figure(
        "roc",
        f"LiRA on students, {profile.many} images per class: condensed from real images, and these images themselves.",
        "roc",
        "false-positive rate",
        "true-positive rate",
        curves,
    )
    return Part(
        "E3",
        "A random subset of real images",
        f"In each run the subset is what the condensers of that run started from; LiRA on students, and on the distance to the closest released "
        f"record; {profile.shadows} runs, {profile.targets} candidates. Differences: paired bootstrap over pairs of runs and records; clearly: "
        "after correction for all comparisons.",
        rows,
        [figure],
        findings,
        numbers,
        outcome,
        tables={"Condensed less subset, at a false-positive rate of 1%": differences},
    )


def compared(frame: Frame, condensed: CellResult, subset: CellResult, attack: str) -> Row:
    """Paired differences in TPR at 1% and in accuracy."""
    targets = frame.targets(condensed)
    a, b = (attack_scores(result, attack, targets) for result in (condensed, subset))
    tpr, low, high = paired_difference(a, b, condensed.member[:, targets])
    by_pair = (condensed.accuracy - subset.accuracy).reshape(-1, 2).mean(axis=1)
    spread = 1.96 * by_pair.std(ddof=1) / np.sqrt(len(by_pair))
    return {
        "method": condensed.cell.method,
        "ipc": condensed.cell.ipc,
        "attack": attack,
        "subset_rate": condensed.subset_rate,
        "tpr_difference": tpr,
        "tpr_difference_low": low,
        "tpr_difference_high": high,
        "accuracy_difference": float(by_pair.mean()),
        "accuracy_difference_low": float(by_pair.mean() - spread),
        "accuracy_difference_high": float(by_pair.mean() + spread),
        "n": int(condensed.member[:, targets].sum()),
    }
