"""E1: the loss-threshold attack over methods, images per class and starts (Dong et al. 2022, claim on average membership inference)."""

from __future__ import annotations

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import SAYS, reach, widened
from experiments.privacy_for_free.part import Figure, Outcome, Part, Row, Series

INITS = ("noise", "public", "nonmember", "mean", "member")


def run(frame: Frame) -> Part:
    profile = frame.profile
    cells = profile.cells()
    full = Cell(profile.focus, "full", 0)
    rows = [frame.rates(cell, "loss")[0] for cell in (*cells, full)]
    by_cell = dict(zip((*cells, full), rows, strict=True))
    noise = [row for cell, row in by_cell.items() if cell.init == "noise" and cell != full]
    worst = max(noise, key=lambda row: widened(row["auc"], row["auc_low"], len(noise)))
    real, undefended = by_cell[Cell(profile.focus, "dm", profile.many, "member")], by_cell[full]
    above = [row for row in noise if row["auc_low"] > 0.5]
    numbers = {
        "noise_auc_low": widened(worst["auc"], worst["auc_low"], len(noise)),
        "noise_auc": worst["auc"],
        "real_advantage": real["advantage"],
        "real_advantage_low": real["advantage_low"],
        "real_advantage_high": real["advantage_high"],
        "real_subset_rate": real["subset_rate"],
        "real_auc_high": real["auc_high"],
        "undefended_auc": undefended["auc"],
        "undefended_auc_low": undefended["auc_low"],
    }
    findings = [
        f"From noise, the AUC of the loss attack is at most {worst['auc']:.3f} over {len(noise)} settings "
        f"({worst['method']}, {worst['data']}, {worst['ipc']} per class); {len(above)} of their 95% intervals lie above one half.",
        f"DM from real images, {profile.many} per class: advantage {real['advantage']:.3f} "
        f"({real['advantage_low']:.3f} to {real['advantage_high']:.3f}), where m/n is {real['subset_rate']:.3f}.",
        f"Students trained on all the members: AUC {undefended['auc']:.3f} "
        f"({undefended['auc_low']:.3f} to {undefended['auc_high']:.3f}).",
        reach(real),
    ]
    leaks = numbers["noise_auc_low"] > 0.5
    outcome: Outcome = "supports Carlini" if leaks else "supports Dong"
    return Part(
        "E1",
        "Loss threshold",
        f"{SAYS['loss']}; {profile.shadows} condensations of random halves of each pool, {profile.targets} candidates.",
        rows,
        [figure(profile.focus, rows, undefended)],
        findings,
        numbers,
        outcome,
    )


def figure(data: str, rows: list[Row], undefended: Row) -> Figure:
    """AUC against m/n, one colour per start."""
    series = []
    for init in INITS:
        mine = [row for row in rows if row["data"] == data and row["init"] == init and row["method"] != "full"]
        if mine:
            series.append(
                Series(
                    init,
                    [row["subset_rate"] for row in mine],
                    [row["auc"] for row in mine],
                    [row["auc_low"] for row in mine],
                    [row["auc_high"] for row in mine],
                    [f"{row['method']}, {row['ipc']}" for row in mine],
                )
            )
    return Figure(
        "auc",
        f"AUC of the loss attack by start, {data}; every method and number of images per class. Trained on all members: "
        f"{undefended['auc']:.3f}.",
        "points",
        "m/n",
        "AUC",
        series,
        log_x=True,
        line=(0.5, "chance"),
    )
