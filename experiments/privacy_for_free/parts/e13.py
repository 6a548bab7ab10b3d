"""E13: record by record. The worst records are chosen on half of the runs and measured on the other half, each half calibrated by itself."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from attacks.shadows.exposure import record_auc
from attacks.statistics.intervals import cluster_variance, korn_graubard
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame, cell_row
from experiments.privacy_for_free.leak import attack_scores, every_other_pair
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.shadows import CellResult

FPR, TOP = 0.01, 0.01
QUANTILES = np.linspace(0, 1, 101)


def run(frame: Frame) -> Part:
    profile = frame.profile
    settings = [
        (Cell(profile.focus, "full", 0), "lira"),
        (Cell(profile.focus, "subset", profile.many, "member"), "lira"),
        (Cell(profile.focus, "dm", profile.many, "member"), "lira"),
        (Cell(profile.focus, "dm", profile.many, "member"), "lira_offline:dcr"),
        (Cell(profile.focus, "dm", profile.few, "noise"), "lira"),
        (Cell(profile.focus, "dc", profile.few, "noise"), "lira"),
        (Cell(profile.focus, "kip", profile.few, "noise"), "lira"),
    ]
    rows, series = [], []
    for cell, attack in settings:
        row, aucs = by_record(frame, cell, attack)
        rows.append(row)
        name = f"{cell.method} from {cell.init}" if cell.ipc else "all members"
        ends = np.quantile(aucs, QUANTILES)
        series.append(Series(f"{name} ({attack})", QUANTILES.tolist(), ends.tolist()))
    undefended, real, release = rows[0], rows[2], rows[3]
    numbers = {
        "top_percent_tpr": real["top_tpr"],
        "population_tpr": real["population_tpr"],
        "records_beyond_chance": float(real["records_beyond_chance"]),
        "undefended_top_percent_tpr": undefended["top_tpr"],
        "undefended_population_tpr": undefended["population_tpr"],
        "undefended_records_beyond_chance": float(undefended["records_beyond_chance"]),
    }
    findings = [
        f"{told}: the top percent of records, chosen on other runs, is found {row['top_tpr']:.1%} of the time "
        f"({row['top_tpr_low']:.1%} to {row['top_tpr_high']:.1%}) at an FPR of 1%, the average record {row['population_tpr']:.1%}; "
        f"{row['records_beyond_chance']} of {row['records']} records beyond chance (5% level, corrected)."
        for told, row in zip(
            (
                "Trained on all members",
                f"DM from members drawn at random, {profile.many} per class, through a student",
                "The same, on the release",
            ),
            (undefended, real, release),
            strict=True,
        )
    ]
    findings.append(
        f"To stand out alone among {real['records']} a record's AUC must pass {real['smallest_auc_seen']:.2f}, the largest is {real['largest_auc']:.2f} through a student and {release['largest_auc']:.2f} on the release. The start is drawn anew "
        "in every run, so the exposure of E6 falls on other records each time; what is left here are records that leak whenever they are in."
    )
    noises = [row for row in rows if row["init"] == "noise"]
    findings.append(
        "From noise, through a student, the top percent is found "
        + ", ".join(
            f"{row['top_tpr']:.1%} ({row['top_tpr_low']:.1%} to {row['top_tpr_high']:.1%}; {row['method']})"
            for row in noises
        )
        + f"; records beyond chance: {', '.join(str(row['records_beyond_chance']) for row in noises)}."
    )
    heavy = any(
        row["records_beyond_chance"] > 0 and row["top_tpr_low"] > row["population_tpr"] for row in (real, release)
    )
    return Part(
        "E13",
        "Record by record",
        f"All candidates, {profile.shadows} runs, each record in half of them; its AUC is over its own runs with and without it. The top percent is chosen on "
        "half of the pairs of runs and measured on the others; neither half knows the other's scores. Its interval is clustered by pair and by record.",
        rows,
        [
            Figure(
                "tail",
                "Quantiles over records of each record's own AUC.",
                "lines",
                "share of records",
                "AUC of the record",
                series,
                line=(0.5, "chance"),
            )
        ],
        findings,
        numbers,
        "supports Carlini" if heavy else "cannot tell",
    )


def by_record(frame: Frame, cell: Cell, attack: str) -> tuple[Row, np.ndarray]:
    """Rates of the top percent of records and of all, and each record's AUC [n]."""
    result = frame.cell(cell)
    member, everyone = result.member, np.arange(len(result.pool))
    (top, low, high, of), population = top_percent(result, attack)
    aucs = record_auc(attack_scores(result, attack, everyone), member)
    half = len(member) // 2
    deviation = np.sqrt((2 * half + 1) / (12 * half * half))  # Mann-Whitney, under no leak
    beyond = int((len(aucs) * norm.sf((aucs - 0.5) / deviation) < 0.05).sum())
    row = cell_row(result) | {
        "attack": attack,
        "top_tpr": top,
        "top_tpr_low": low,
        "top_tpr_high": high,
        "n_in": of,
        "population_tpr": population,
        "largest_auc": float(aucs.max()),
        "records_beyond_chance": beyond,
        "records": len(aucs),
        "smallest_auc_seen": float(0.5 + deviation * norm.isf(0.05 / len(aucs))),
    }
    return row, aucs


def top_percent(result: CellResult, attack: str) -> tuple[tuple[float, float, float, int], float]:
    """How often the top percent of records is found at FPR 1% in runs that did not choose it, with its interval; and the average record."""
    everyone, member = np.arange(len(result.pool)), result.member
    choose = every_other_pair(len(member))
    first = attack_scores(result, attack, everyone, runs=choose)
    chosen = np.argsort(-record_auc(first, member[choose]), kind="stable")[: max(round(TOP * len(everyone)), 1)]
    rest, inside = attack_scores(result, attack, everyone, runs=~choose), member[~choose]
    hits = (rest > np.quantile(rest[~inside], 1 - FPR)) & inside
    return found(hits[:, chosen], inside[:, chosen]), float(hits.sum() / inside.sum())


def found(hits: np.ndarray, inside: np.ndarray) -> tuple[float, float, float, int]:
    """Share of the memberships inside [K, T] that hits [K, T] name, its 95% interval, by pair of runs and by record, and their number."""
    values = hits[inside].astype(float)
    pairs = np.broadcast_to((np.arange(len(inside)) // 2)[:, None], inside.shape)[inside]
    records = np.broadcast_to(np.arange(inside.shape[1]), inside.shape)[inside]
    variance = cluster_variance(values, pairs) + cluster_variance(values, records)
    units = min(len(inside) // 2, inside.shape[1])
    low, high = korn_graubard(float(values.mean()), variance, units, len(values), max(units - 1, 1))
    return float(values.mean()), low, high, len(values)
