"""E12: planted canaries, family by family, for models trained on the members and for condensed sets (Aerni et al. 2024; Zhao & Zhang 2025)."""

from __future__ import annotations

import numpy as np

from attacks.measure import matrix_metrics
from attacks.shadows.canaries import COPIES
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame, cell_row
from experiments.privacy_for_free.leak import attack_scores, flat_rates, widened
from experiments.privacy_for_free.part import Figure, Outcome, Part, Row, Series

ATTACKS = ("lira", "lira_offline:dcr")
GROUP = "duplicated"  # a record and its copies: no single record, so the verdict does not rest on it


def run(frame: Frame) -> Part:
    profile, sizes = frame.profile, frame.profile.part("E12")
    common = {"pool": sizes["pool"], "canaries": sizes["canaries"]}
    few = profile.few
    full = Cell(profile.focus, "full", 0, **common)
    condensed = [Cell(profile.focus, ipc=few, **setting, **common) for setting in sizes["condensed"]]
    cells = [full, Cell(profile.focus, "subset", few, "member", **common), *condensed]
    rows = [
        row
        for cell in cells
        for attack in (ATTACKS[:1] if cell == full else ATTACKS)
        for row in family_rows(frame, cell, attack)
    ]
    undefended = [row for row in rows if row["method"] == "full"]
    released = [row for row in rows if row["method"] not in ("full", "subset")]
    planted = [row for row in released if row["family"] not in ("population", GROUP)]
    group = max((row for row in released if row["family"] == GROUP), key=lambda row: row["tpr_1pct"])
    populations = {(row["cell"], row["attack"]): row for row in released if row["family"] == "population"}
    lows = [widened(row["tpr_1pct"], row["tpr_1pct_low"], len(planted)) for row in planted]
    beyond = [
        low - populations[row["cell"], row["attack"]]["tpr_1pct_high"] for row, low in zip(planted, lows, strict=True)
    ]
    place = int(np.argmax(beyond))
    worst, beside = planted[place], populations[planted[place]["cell"], planted[place]["attack"]]
    worst_full = max((row for row in undefended if row["family"] != "population"), key=lambda row: row["tpr_1pct"])
    population_full = next(row for row in undefended if row["family"] == "population")
    numbers = {
        "undefended_canary_tpr": worst_full["tpr_1pct"],
        "undefended_population_tpr": population_full["tpr_1pct"],
        "release_canary_tpr": worst["tpr_1pct"],
        "release_canary_tpr_low": lows[place],
        "release_canary_tpr_high": worst["tpr_1pct_high"],
        "release_population_tpr": beside["tpr_1pct"],
        "release_population_tpr_high": beside["tpr_1pct_high"],
    }
    findings = [
        f"Trained on all members: {population_full['tpr_1pct']:.1%} of the population at FPR 1%, {worst_full['tpr_1pct']:.1%} of the "
        f"{worst_full['family']} canaries.",
        f"Condensed: the family most clearly above its population is {worst['family']} ({worst['cell']}, {worst['attack']}): {worst['tpr_1pct']:.1%} "
        f"({worst['tpr_1pct_low']:.1%} to {worst['tpr_1pct_high']:.1%}) beside {beside['tpr_1pct']:.1%} ({beside['tpr_1pct_low']:.1%} to "
        f"{beside['tpr_1pct_high']:.1%}) of the population; after correction for {len(planted)} looks at least {lows[place]:.1%}.",
        f"A duplicated canary, its {1 + COPIES} equal records in or out together, is found up to {group['tpr_1pct']:.1%} of the time ({group['cell']}, "
        f"{group['attack']}): that is a group, and no part of the verdict.",
        f"{sizes['canaries']} canaries in {profile.shadows} runs: {planted[0]['n_out']:,} non-members a family, enough for FPR 1% and "
        "too few for 0.1%.",
    ]
    outcome: Outcome = "supports Carlini" if beyond[place] > 0 else "cannot tell"
    return Part(
        "E12",
        "Canaries",
        f"{sizes['pool']} candidates and {sizes['canaries']} canaries of each family, each in half of {profile.shadows} runs; {few} images per "
        "class. Each family's own ROC: its canaries in against the same canaries out.",
        rows,
        [bars(rows)],
        findings,
        numbers,
        outcome,
    )


def family_rows(frame: Frame, cell: Cell, attack: str) -> list[Row]:
    """Rates of the population's targets and of each family."""
    result = frame.cell(cell)
    groups = {"population": frame.targets(result), **result.families}
    everyone = np.unique(np.concatenate(list(groups.values())))
    scores, member = attack_scores(result, attack, everyone), result.member[:, everyone]
    rows = []
    for family, indices in groups.items():
        at = np.isin(everyone, indices)
        found = matrix_metrics(scores[:, at], member[:, at])
        inside = int(member[:, at].sum())
        rates = flat_rates(found, inside, member[:, at].size - inside)
        rows.append(
            cell_row(result)
            | {"cell": short(cell), "family": family, "attack": attack, "subset_rate": result.subset_rate}
            | rates
        )
    return rows


def short(cell: Cell) -> str:
    """A cell in few words."""
    if cell.method == "full":
        return "all members"
    return f"{cell.method} from {cell.init}{', soft labels' if cell.soft else ''}"


def bars(rows: list[Row]) -> Figure:
    """TPR by family, one colour per cell."""
    families = list(dict.fromkeys(row["family"] for row in rows))
    series = []
    for cell, attack in dict.fromkeys((row["cell"], row["attack"]) for row in rows):
        mine = [row for row in rows if (row["cell"], row["attack"]) == (cell, attack)]
        series.append(
            Series(
                f"{cell} ({'students' if attack == 'lira' else 'release'})",
                [float(families.index(row["family"])) for row in mine],
                [row["tpr_1pct"] for row in mine],
                [row["tpr_1pct_low"] for row in mine],
                [row["tpr_1pct_high"] for row in mine],
                [row["family"] for row in mine],
            )
        )
    return Figure(
        "families",
        "TPR at FPR 1% by canary family; LiRA on students, and on the distance to the closest released record.",
        "bars",
        "family",
        "TPR at FPR 1%",
        series,
        line=(0.01, "chance"),
    )
