"""E3: the naive baseline, a random subset of real images, attacked in the same way (Carlini, Feldman & Nasr 2022)."""

from __future__ import annotations

import numpy as np

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import attack_scores, curve, paired_difference, widened
from experiments.privacy_for_free.part import Figure, Part, Row
from experiments.privacy_for_free.shadows import CellResult

ATTACKS = ("lira", "lira_offline:student")


def run(frame: Frame) -> Part:
    profile = frame.profile
    rows, differences, curves = [], [], []
    real = [cell for cell in profile.cells() if cell.data == profile.focus and cell.init == "member"]
    for ipc in dict.fromkeys(cell.ipc for cell in real):
        subset = Cell(profile.focus, "subset", ipc, "member")
        row, roc = frame.rates(subset, "lira")
        rows.append(row)
        if ipc == profile.many:
            curves.append(curve("random real images", roc))
        for cell in (c for c in real if c.ipc == ipc):
            row, roc = frame.rates(cell, "lira")
            rows.append(row)
            differences += [compared(frame, frame.cell(cell), frame.cell(subset), attack) for attack in ATTACKS]
            if ipc == profile.many:
                curves.append(curve(f"{cell.method} from real images", roc))
    looks = len(differences)
    lows = [widened(d["tpr_difference"], d["tpr_difference_low"], looks) for d in differences]
    most = differences[int(np.argmax(lows))]
    useful = max(differences, key=lambda d: d["accuracy_difference_low"])
    few = [d for d in differences if d["ipc"] == profile.few and d["attack"] == "lira"]
    contains = sum(d["tpr_difference_low"] <= 0 <= d["tpr_difference_high"] for d in differences)
    numbers = {
        "real_minus_subset_tpr": most["tpr_difference"],
        "real_minus_subset_tpr_low": max(lows),
        "real_minus_subset_accuracy": useful["accuracy_difference"],
        "real_minus_subset_accuracy_low": useful["accuracy_difference_low"],
    }
    findings = [
        f"Of {looks} comparisons (settings that start from real images, two forms of LiRA), {contains} have a paired 95% interval "
        f"for the difference in TPR to the very images they started from that contains 0; the highest difference is {most['tpr_difference']:+.2%} "
        f"({most['method']}, {most['ipc']} per class).",
        "Accuracy against these images, "
        + f"{profile.few} per class: "
        + ", ".join(f"{d['method']} {d['accuracy_difference']:+.1%}" for d in few)
        + ".",
    ]
    better = sum(d["tpr_difference_high"] < 0 for d in differences)
    findings.append(f"{better} of {looks} leak clearly less than the subset through a student.")
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
        f"In each run the subset is what the condensers of that run started from; LiRA on students, {profile.shadows} runs, "
        f"{profile.targets} candidates. Differences: paired bootstrap over pairs of runs and records.",
        rows,
        [figure],
        findings,
        numbers,
        "supports Dong" if 2 * better > looks else "supports Carlini",
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
