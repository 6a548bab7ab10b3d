"""E15: how the leak scales with m/n, and with the number of classes at equal m/n (Chen et al. 2023)."""

from __future__ import annotations

from scipy.stats import spearmanr

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import SAYS
from experiments.privacy_for_free.part import Figure, Outcome, Part, Series

ATTACKS = ("lira_offline:dcr", "lira")  # on the release itself, and on students


def run(frame: Frame) -> Part:
    profile, sizes = frame.profile, frame.profile.part("E15")
    grid = [
        c for c in profile.cells() if c.data == profile.focus and c.method == "dm" and c.init in ("member", "noise")
    ]
    pools = [
        Cell(profile.focus, "dm", profile.few, init, pool=pool)
        for pool in sizes["pools"]
        for init in ("member", "noise")
    ]
    classes = [Cell(profile.focus, "dm", profile.few, "member", classes=number) for number in sizes["classes"]]
    found = {
        (cell, attack): frame.rates(cell, attack)[0] | {"classes": cell.classes, "pool": cell.pool}
        for cell in (*grid, *pools, *classes)
        for attack in ATTACKS
    }
    scaled = [*grid, *pools]
    release, student = ATTACKS

    def correlation(attack: str, init: str) -> float:
        mine = [found[cell, attack] for cell in scaled if cell.init == init]
        return float(spearmanr([row["subset_rate"] for row in mine], [row["tpr_1pct"] for row in mine]).statistic)

    numbers = {
        "rate_rank_correlation": correlation(release, "member"),
        "rate_rank_correlation_student": correlation(student, "member"),
        "rate_rank_correlation_noise": correlation(student, "noise"),
        "few_classes_tpr_high": found[classes[0], release]["tpr_1pct_high"],
        "many_classes_tpr_low": found[Cell(profile.focus, "dm", profile.few, "member"), release]["tpr_1pct_low"],
    }
    few, many = found[classes[0], release], found[Cell(profile.focus, "dm", profile.few, "member"), release]
    findings = [
        f"Rank correlation of the TPR at FPR 1% with m/n, DM from real images: {numbers['rate_rank_correlation']:+.2f} on the release, "
        f"{numbers['rate_rank_correlation_student']:+.2f} through a student ({sum(c.init == 'member' for c in scaled)} settings).",
        f"At equal m/n, {sizes['classes'][0]} classes: {few['tpr_1pct']:.2%} ({few['tpr_1pct_low']:.2%} to {few['tpr_1pct_high']:.2%}); "
        f"all classes: {many['tpr_1pct']:.2%} ({many['tpr_1pct_low']:.2%} to {many['tpr_1pct_high']:.2%}).",
        "As it falls with n/m for the naive baseline too, this speaks for both sides or neither. Steps and learning rates differ between numbers of "
        "images (see the profile), so they share in the slope.",
    ]
    series = [
        Series(
            f"{init}, {'release' if attack == release else 'students'}",
            [row["subset_rate"] for row in mine],
            [row["tpr_1pct"] for row in mine],
            [row["tpr_1pct_low"] for row in mine],
            [row["tpr_1pct_high"] for row in mine],
        )
        for attack in ATTACKS
        for init in ("member", "noise")
        for mine in [[found[cell, attack] for cell in scaled if cell.init == init]]
    ]
    outcome: Outcome = "neither" if numbers["rate_rank_correlation"] > 0.5 else "cannot tell"
    return Part(
        "E15",
        "How the leak scales",
        f"DM; pools of {', '.join(map(str, sizes['pools']))} and all candidates, the profile's images per class; class subsets keep their "
        f"records and so m/n. {SAYS[release]}; {SAYS[student]}.",
        list(found.values()),
        [
            Figure(
                "scaling",
                "TPR at FPR 1% against m/n, DM.",
                "points",
                "m/n",
                "TPR at FPR 1%",
                series,
                log_x=True,
                log_y=True,
            )
        ],
        findings,
        numbers,
        outcome,
    )
