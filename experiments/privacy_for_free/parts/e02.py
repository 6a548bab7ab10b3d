"""E2: LiRA at low false-positive rates over the same grid (Dong et al. 2022; Carlini et al. on what an average hides)."""

from __future__ import annotations

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import SAYS, curve, reach, widened
from experiments.privacy_for_free.part import Figure, Outcome, Part


def run(frame: Frame) -> Part:
    profile = frame.profile
    full = Cell(profile.focus, "full", 0)
    shown = {
        "DM from noise": Cell(profile.focus, "dm", profile.many, "noise"),
        "DM from real images": Cell(profile.focus, "dm", profile.many, "member"),
        "random real images": Cell(profile.focus, "subset", profile.many, "member"),
        "all members": full,
    }
    cells = list(dict.fromkeys((*profile.cells(), *shown.values())))
    found = {cell: frame.rates(cell, "lira") for cell in cells}
    one_sided = {cell: frame.rates(cell, "lira_offline:student")[0] for cell in cells}
    rows = [row for row, _ in found.values()] + list(one_sided.values())
    at_noise = [cell for cell in cells if cell.init == "noise" and cell != full]
    noise = [found[cell][0] for cell in at_noise] + [one_sided[cell] for cell in at_noise]
    worst = max(noise, key=lambda row: widened(row["tpr_1pct"], row["tpr_1pct_low"], len(noise)))
    real = found[shown["DM from real images"]][0]
    numbers = {
        "noise_tpr": worst["tpr_1pct"],
        "noise_tpr_low": widened(worst["tpr_1pct"], worst["tpr_1pct_low"], len(noise)),
        "real_tpr": real["tpr_1pct"],
        "real_tpr_low": real["tpr_1pct_low"],
        "real_tpr_high": real["tpr_1pct_high"],
        "real_line": 0.01 + 0.99 * real["subset_rate"],
        "undefended_tpr": found[full][0]["tpr_1pct"],
    }
    above = sum(row["tpr_1pct_low"] > 0.01 for row in noise)
    findings = [
        f"From noise, the TPR at an FPR of 1% is at most {worst['tpr_1pct']:.2%} over {len(at_noise)} settings and "
        f"both forms of LiRA ({worst['attack']}: {worst['method']}, {worst['data']}, {worst['ipc']} per class); {above} of the {len(noise)} "
        "95% intervals lie above 1%.",
        f"Area under the curve from noise, one-sided: {min(one_sided[c]['auc'] for c in at_noise):.3f} to "
        f"{max(one_sided[c]['auc'] for c in at_noise):.3f}; {sum(one_sided[c]['auc_low'] > 0.5 for c in at_noise)} of "
        f"{len(at_noise)} 95% intervals lie above one half.",
        f"DM from real images, {profile.many} per class: {real['tpr_1pct']:.2%} "
        f"({real['tpr_1pct_low']:.2%} to {real['tpr_1pct_high']:.2%}); finding every starting image would give {numbers['real_line']:.2%}.",
        f"Students trained on all the members: {found[full][0]['tpr_1pct']:.2%} at 1%, {found[full][0]['tpr_01pct']:.2%} at 0.1%.",
        reach(real),
    ]
    figure = Figure(
        "roc",
        f"LiRA on students, {profile.focus}, {profile.many} images per class.",
        "roc",
        "false-positive rate",
        "true-positive rate",
        [curve(name, found[cell][1]) for name, cell in shown.items()],
    )
    outcome: Outcome = "supports Carlini" if numbers["noise_tpr_low"] > 0.01 else "supports Dong"
    return Part(
        "E2",
        "LiRA at low false-positive rates",
        f"{SAYS['lira']}, and {SAYS['lira_offline:student']}. Each of {profile.shadows} runs is attacked by the others; "
        f"{profile.targets} candidates.",
        rows,
        [figure],
        findings,
        numbers,
        outcome,
    )
