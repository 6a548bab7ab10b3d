"""E9: every way to share, on one plane: accuracy of what can be trained, and what a calibrated attacker learns of the members."""

from __future__ import annotations

import math

import numpy as np

from attacks.measure import matrix_metrics
from attacks.shadows.compare import compare
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame, Rates, cell_row
from experiments.privacy_for_free.leak import curve, flat_rates, measure
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.private_runs import DELTA, noisy_models, plane_sizes, private_releases, public_side

RELEASE, MODEL = "lira_offline:dcr", "lira"
PLAIN_RATE = 8.0  # of the linear classifier without noise


def run(frame: Frame) -> Part:
    sizes = plane_sizes(frame)
    plane = [*condensed(frame), *models(frame), *private(frame)]
    rows = [row for row, _ in plane]
    by_name = {row["what"]: row for row in rows}
    best_dp = by_name[f"DP-SGD, ε = {sizes.epsilons[-1]:g}"]
    real = by_name[f"DM, {frame.profile.few} per class, from members"]
    ours = [row for row in rows if row["group"] == "private release"]
    private_low = max(row["tpr_1pct_low"] for row in ours)
    return Part(
        id="E9",
        title="Accuracy and leak in one picture, DP-SGD included",
        setting=f"{rows[0]['shadows']} shadow runs on random halves of the same {len(public_side(frame)[1].pool)} images. Accuracy: of a small "
        "perceptron trained on what is shared, or of the shared model itself. Leak: TPR at FPR 1% of the stronger of two attacks, LiRA on that "
        "network and the one-sided test of the distance to the closest released record (sets only). DP-SGD: a linear classifier, full batch. "
        f"Private releases: dpcond's {sizes.method}, made through its wall with fresh noise each time. δ = {DELTA:g}.",
        rows=rows,
        figures=[plane_figure(rows), roc_figure(plane, frame.profile.few)],
        findings=findings(rows, frame.profile.few),
        numbers={
            "dpsgd_accuracy": best_dp["accuracy"],
            "dm_real_accuracy": real["accuracy"],
            "dpsgd_tpr_low": best_dp["tpr_1pct_low"],
            "private_tpr_low": private_low,
        },
        outcome="supports Carlini" if above_left(best_dp, real) else "neither",
    )


def findings(rows: list[Row], few: int) -> list[str]:
    """Sentences computed from the rows."""
    best_dp = [row for row in rows if row["group"] == "DP-SGD"][-1]
    real = next(row for row in rows if row["what"] == f"DM, {few} per class, from members")
    ours = [row for row in rows if row["group"] == "private release"]
    said = [
        f"{best_dp['what']} reaches {best_dp['accuracy']:.1%} with a TPR of {best_dp['tpr_1pct']:.2%} ({best_dp['tpr_1pct_low']:.2%}–{best_dp['tpr_1pct_high']:.2%}) at "
        f"FPR 1%; DM from members reaches {real['accuracy']:.1%} with {real['tpr_1pct']:.2%} ({real['tpr_1pct_low']:.2%}–{real['tpr_1pct_high']:.2%}). "
        + (
            "DP-SGD lies up and to the left."
            if above_left(best_dp, real)
            else "DP-SGD does not lie up and to the left here."
        )
    ]
    if best_dp["tpr_1pct_low"] > 0.01:
        said.append(f"Yet at ε = {best_dp['epsilon']:g} a leak can be seen: a large ε allows it.")
    quiet = [row for row in rows if row["epsilon"] == "none" and row["tpr_1pct_low"] <= 0.01]
    safe = [row for row in rows if row["group"] == "DP-SGD" and row["tpr_1pct_low"] <= 0.01]
    if quiet and safe:
        best_quiet, best_safe = (max(group, key=lambda row: row["accuracy"]) for group in (quiet, safe))
        said.append(
            f"Of the sets without a guarantee whose TPR is at chance, the most accurate is {best_quiet['what']} ({best_quiet['accuracy']:.1%}); of the DP-SGD "
            f"models whose TPR is at chance, {best_safe['what']} ({best_safe['accuracy']:.1%})."
        )
    return [
        *said,
        f"Private releases reach {min(r['accuracy'] for r in ours):.1%} to {max(r['accuracy'] for r in ours):.1%} here, with TPRs at FPR 1% of "
        f"{min(r['tpr_1pct'] for r in ours):.2%} to {max(r['tpr_1pct'] for r in ours):.2%}: at {real['n']:,} records their cost is accuracy. "
        "E8 shows what they reach with all records.",
    ]


def above_left(one: Row, other: Row) -> bool:
    """More accurate beyond the intervals, and no more leak."""
    return bool(one["accuracy_low"] > other["accuracy_high"] and one["tpr_1pct"] <= other["tpr_1pct"])


def condensed(frame: Frame) -> list[Rates]:
    """Everything that has no guarantee: all members, subsets, condensed sets of each start."""
    few, many, focus = frame.profile.few, frame.profile.many, frame.profile.focus
    starts = {
        "member": "members",
        "nonmember": "other records",
        "public": "another dataset",
        "noise": "noise",
        "mean": "class means",
    }
    cells = {
        "all members, perceptron": (Cell(focus, "full", 0), "full data"),
        f"random subset, {few} per class": (Cell(focus, "subset", few, "member"), "random subset"),
        f"random subset, {many} per class": (Cell(focus, "subset", many, "member"), "random subset"),
    }
    for method in ("dm", "dc", "dsa", "kip"):
        for init, words in starts.items():
            cell = Cell(focus, method, few, init)  # type: ignore[arg-type]
            if cell in frame.profile.cells() and (method == "dm" or init in ("member", "noise")):
                cells[f"{method.upper()}, {few} per class, from {words}"] = (cell, method.upper())
    found = []
    for what, (cell, group) in cells.items():
        attacks = (MODEL,) if group == "full data" else (MODEL, RELEASE)
        row, roc = max((frame.rates(cell, attack) for attack in attacks), key=lambda rates: rates[0]["tpr_1pct"])
        result = frame.cell(cell)
        found.append((_named(row, what, group, math.inf, sum(result.seconds.values()), result.member), roc))
    return found


def models(frame: Frame) -> list[Rates]:
    """Linear classifiers on the members: without noise, and by DP-SGD."""
    sizes, (cell, public) = plane_sizes(frame), public_side(frame)
    targets = frame.targets(frame.cell(cell))
    found = []
    for epsilon, rate in [(None, PLAIN_RATE), *zip(sizes.epsilons, sizes.rates, strict=True)]:
        made = noisy_models(frame, epsilon, rate)
        member = public.member[:, targets]
        score = compare({"student": made.phi[:, targets]}, member, [("lira_online", "student")], 0)[
            "lira_online:student"
        ]
        metrics = matrix_metrics(score, member)
        row = (
            _accuracy(made.accuracy) | {"attack": MODEL} | flat_rates(metrics, int(member.sum()), int((~member).sum()))
        )
        what, group = (
            ("all members, linear", "full data") if epsilon is None else (f"DP-SGD, ε = {epsilon:g}", "DP-SGD")
        )
        named = _named(row | {"shadows": len(member)}, what, group, made.epsilon, made.seconds, public.member)
        found.append((named | {"noise_multiplier": made.noise_multiplier}, metrics.curve))
        frame.say(f"{what}: {made.seconds:.0f} s")
    return found


def private(frame: Frame) -> list[Rates]:
    """dpcond's releases."""
    found = []
    for epsilon in plane_sizes(frame).epsilons:
        result = private_releases(frame, epsilon)
        targets = frame.targets(result)
        row, roc = max(
            (measure(result, attack, targets) for attack in (MODEL, RELEASE)), key=lambda r: r[0]["tpr_1pct"]
        )
        what, seconds = f"private release, ε = {epsilon:g}", sum(result.seconds.values())
        found.append((_named(cell_row(result) | row, what, "private release", epsilon, seconds, result.member), roc))
    return found


def _accuracy(accuracy: np.ndarray) -> Row:
    pairs = accuracy.reshape(-1, 2).mean(axis=1)
    half = 1.96 * float(pairs.std(ddof=1)) / len(pairs) ** 0.5
    mean = float(accuracy.mean())
    return {"accuracy": mean, "accuracy_low": mean - half, "accuracy_high": mean + half}


def _named(row: Row, what: str, group: str, epsilon: float, seconds: float, member: np.ndarray) -> Row:
    """A row of the plane; ε is text where there is none."""
    guarantee = {"epsilon": "none" if math.isinf(epsilon) else epsilon}
    front = {"what": what, "group": group, **guarantee, "n": round(float(member.sum(axis=1).mean()))}
    kept = {name: value for name, value in row.items() if name not in ("data", "method", "ipc", "init")}
    return front | kept | {"seconds_each": seconds / len(member)}


def plane_figure(rows: list[Row]) -> Figure:
    """Accuracy against leak, one colour a group."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    series = []
    for group in groups:
        mine = [row for row in rows if row["group"] == group]
        series.append(
            Series(
                group,
                [row["tpr_1pct"] for row in mine],
                [row["accuracy"] for row in mine],
                [row["accuracy_low"] for row in mine],
                [row["accuracy_high"] for row in mine],
                [_short(row["what"]) for row in mine],
            )
        )
    return Figure(
        "plane",
        "Up is more accurate, left leaks less. Chance is a TPR of 1%. Only DP-SGD and the private releases have a guarantee.",
        "points",
        "leak: TPR at FPR 1%",
        "accuracy",
        series,
        log_x=True,
    )


def _short(what: str) -> str:
    """The part of a name that its group does not say already."""
    return what.split(", from ")[-1] if ", from " in what else what.split(", ")[-1]


def roc_figure(plane: list[Rates], few: int) -> Figure:
    wanted = ("all members, perceptron", f"random subset, {few} per class", f"DM, {few} per class, from members")
    shown = [(row, roc) for row, roc in plane if row["what"] in wanted or row["group"] in ("private release", "DP-SGD")]
    shown = [(row, roc) for row, roc in shown if row["epsilon"] in ("none", 1.0, 10.0)]
    return Figure(
        "roc",
        "ROC of the stronger attack on a selection, both axes logarithmic. The dotted diagonal is guessing.",
        "roc",
        "false-positive rate",
        "true-positive rate",
        [curve(row["what"], roc) for row, roc in shown],
    )
