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

RELEASE, NETWORK = "lira_offline:dcr", ("lira", "lira_offline:student")
SETS = ("dm", "dc", "dsa", "kip")
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
    below, above = dominated(rows)
    return Part(
        id="E9",
        title="Accuracy and leak in one picture, DP-SGD included",
        setting=f"{rows[0]['shadows']} shadow runs on random halves of the same {len(public_side(frame)[1].pool)} images. Accuracy: of a small "
        "perceptron trained on what is shared, or of the shared model itself. Leak: TPR at FPR 1% of the strongest attack on what is shared: two forms of "
        "LiRA on that network and, of a set, the one-sided test of the distance to the closest released record. Whoever shares only the network is to be compared "
        "by the attacks on the network alone. DP-SGD: a linear classifier, full batch. Steps and rates of the condensers differ with the images per class. "
        f"Private releases: dpcond's {sizes.method}, made through its wall with fresh noise each time. δ = {DELTA:g}.",
        rows=rows,
        figures=[
            plane_figure(rows, "plane", "tpr_1pct", "The strongest attack on what is shared."),
            plane_figure(
                rows, "networks", "tpr_network", "The attacks on the network alone, as if no set were shared."
            ),
            roc_figure(plane, frame.profile.few),
        ],
        findings=findings(rows, frame.profile.few),
        numbers={
            "dpsgd_accuracy": best_dp["accuracy"],
            "dm_real_accuracy": real["accuracy"],
            "dpsgd_tpr_low": best_dp["tpr_1pct_low"],
            "private_tpr_low": private_low,
        },
        outcome="supports Carlini" if not above else "neither" if below else "supports Dong",
    )


def findings(rows: list[Row], few: int) -> list[str]:
    """Sentences computed from the rows."""
    best_dp = [row for row in rows if row["group"] == "DP-SGD"][-1]
    real = next(row for row in rows if row["what"] == f"DM, {few} per class, from members")
    ours = [row for row in rows if row["group"] == "private release"]
    below, above = dominated(rows)
    said = [
        f"By the attacks on the network alone, {len(below)} of {len(below) + len(above)} condensed sets are less accurate than a DP-SGD model that is not told to leak "
        + (
            "more."
            if not above
            else "more; not so " + ", ".join(f"{r['what']} ({r['accuracy']:.1%})" for r in above) + "."
        ),
        f"{best_dp['what']} reaches {best_dp['accuracy']:.1%} with a TPR of {best_dp['tpr_network']:.2%} ({best_dp['tpr_network_low']:.2%}–"
        f"{best_dp['tpr_network_high']:.2%}) at FPR 1%; DM, {few} per class, from members {real['accuracy']:.1%} with {real['tpr_network']:.2%} "
        f"({real['tpr_network_low']:.2%}–{real['tpr_network_high']:.2%}) through the network and {real['tpr_1pct']:.2%} ({real['tpr_1pct_low']:.2%}–"
        f"{real['tpr_1pct_high']:.2%}) once the set itself is shared.",
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


def dominated(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Condensed sets that lie below a DP-SGD model, and those that do not, by the attacks on the network alone.

    Below: less accurate beyond the intervals, while the model's leak is not above theirs beyond the intervals.
    """
    models = [row for row in rows if row["group"] == "DP-SGD"]
    sets = [row for row in rows if row["group"] in ("DM", "DC", "DSA", "KIP")]

    def is_below(row: Row) -> bool:
        return any(
            model["accuracy_low"] > row["accuracy_high"] and model["tpr_network_low"] <= row["tpr_network_high"]
            for model in models
        )

    below = [row for row in sets if is_below(row)]
    return below, [row for row in sets if row not in below]


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
    for ipc, method in [(few, name) for name in SETS] + [(many, name) for name in SETS]:
        for init, words in starts.items():
            cell = Cell(focus, method, ipc, init)  # type: ignore[arg-type]
            shown = init in ("member", "noise") or (ipc == few and (method == "dm" or init == "nonmember"))
            if cell in frame.profile.cells() and shown:
                cells[f"{method.upper()}, {ipc} per class, from {words}"] = (cell, method.upper())
    found = []
    for what, (cell, group) in cells.items():
        network = [frame.rates(cell, attack) for attack in NETWORK]
        row, roc = _strongest(network, [] if group == "full data" else [frame.rates(cell, RELEASE)])
        result = frame.cell(cell)
        found.append((_named(row, what, group, math.inf, sum(result.seconds.values()), result.member), roc))
    return found


def _strongest(network: list[Rates], release: list[Rates]) -> Rates:
    """Of attacks on the network and on the released set the one of largest TPR, and beside it that of the network alone."""
    (alone, _), (row, roc) = (
        max(some, key=lambda rates: rates[0]["tpr_1pct"]) for some in (network, network + release)
    )
    return row | {f"tpr_network{end}": alone[f"tpr_1pct{end}"] for end in ("", "_low", "_high")}, roc


def models(frame: Frame) -> list[Rates]:
    """Linear classifiers on the members: without noise, and by DP-SGD."""
    sizes, (cell, public) = plane_sizes(frame), public_side(frame)
    targets = frame.targets(frame.cell(cell))
    found = []
    for epsilon, rate in [(None, PLAIN_RATE), *zip(sizes.epsilons, sizes.rates, strict=True)]:
        made = noisy_models(frame, epsilon, rate)
        member = public.member[:, targets]
        forms = [("lira_online", "student"), ("lira_offline", "student")]
        scores = compare({"student": made.phi[:, targets]}, member, forms, 0)
        network: list[Rates] = []
        for attack, score in zip(NETWORK, scores.values(), strict=True):
            metrics = matrix_metrics(score, member)
            rates = flat_rates(metrics, int(member.sum()), int((~member).sum()))
            network.append(({"attack": attack, **rates}, metrics.curve))
        row, roc = _strongest(network, [])
        row = _accuracy(made.accuracy) | row
        what, group = (
            ("all members, linear", "full data") if epsilon is None else (f"DP-SGD, ε = {epsilon:g}", "DP-SGD")
        )
        named = _named(row | {"shadows": len(member)}, what, group, made.epsilon, made.seconds, public.member)
        found.append((named | {"noise_multiplier": made.noise_multiplier}, roc))
        frame.say(f"{what}: {made.seconds:.0f} s")
    return found


def private(frame: Frame) -> list[Rates]:
    """dpcond's releases."""
    found = []
    for epsilon in plane_sizes(frame).epsilons:
        result = private_releases(frame, epsilon)
        targets = frame.targets(result)
        network = [measure(result, attack, targets) for attack in NETWORK]
        row, roc = _strongest(network, [measure(result, RELEASE, targets)])
        method = plane_sizes(frame).method
        what, seconds = f"private release ({method}), ε = {epsilon:g}", sum(result.seconds.values())
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


def plane_figure(rows: list[Row], name: str, leak: str, says: str) -> Figure:
    """Accuracy against one of the leaks, one colour a group."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    series = []
    for group in groups:
        mine = [row for row in rows if row["group"] == group]
        series.append(
            Series(
                group,
                [row[leak] for row in mine],
                [row["accuracy"] for row in mine],
                [row["accuracy_low"] for row in mine],
                [row["accuracy_high"] for row in mine],
                [_short(row["what"]) for row in mine],
            )
        )
    return Figure(
        name,
        f"{says} Up is more accurate, left leaks less. Chance is a TPR of 1%. Only DP-SGD and the private releases have a guarantee.",
        "points",
        "leak: TPR at FPR 1%",
        "accuracy",
        series,
        log_x=True,
    )


def _short(what: str) -> str:
    """The part of a name that its group does not say already."""
    return what.split(", ", 1)[-1].replace(" per class, from", ",")


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
