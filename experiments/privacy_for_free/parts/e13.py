"""E13: record by record. The worst records are chosen on half of the runs and measured on the other half."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from attacks.shadows.exposure import record_auc
from attacks.statistics import clopper_pearson
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame, cell_row
from experiments.privacy_for_free.leak import attack_scores
from experiments.privacy_for_free.part import Figure, Part, Row, Series

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
    undefended, real = rows[0], rows[2]
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
            ("Trained on all members", f"DM from real images, {profile.many} per class"),
            (undefended, real),
            strict=True,
        )
    ]
    tail = real["top_tpr_low"] > real["population_tpr"]
    findings.append(
        f"DM from real images {'has' if tail else 'shows no'} upper tail on runs that did not choose it; to stand out alone among "
        f"{real['records']} a record's AUC must pass {real['smallest_auc_seen']:.2f}, the largest is {real['largest_auc']:.2f}. The start is drawn anew "
        "in every run, so the exposure of E6 falls on other records each time; what is left here are records that leak whenever they are in."
    )
    heavy = real["records_beyond_chance"] > 0 and real["top_tpr_low"] > real["population_tpr"]
    return Part(
        "E13",
        "Record by record",
        f"All candidates, {profile.shadows} runs, each record in half of them; its AUC is over its own runs with and without it.",
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
    everyone = np.arange(len(result.pool))
    scores, member = attack_scores(result, attack, everyone), result.member
    choose = (np.arange(len(member)) // 2) % 2 == 0  # pairs of runs, in turn
    chosen = np.argsort(-record_auc(scores[choose], member[choose]), kind="stable")[
        : max(round(TOP * len(everyone)), 1)
    ]
    rest, inside = scores[~choose], member[~choose]
    threshold = np.quantile(rest[~inside], 1 - FPR)
    hits = (rest > threshold) & inside
    top, of = int(hits[:, chosen].sum()), int(inside[:, chosen].sum())
    low, high = clopper_pearson(top, of)
    aucs = record_auc(scores, member)
    half = len(member) // 2
    deviation = np.sqrt((2 * half + 1) / (12 * half * half))  # Mann-Whitney, under no leak
    beyond = int((len(aucs) * norm.sf((aucs - 0.5) / deviation) < 0.05).sum())
    row = cell_row(result) | {
        "attack": attack,
        "top_tpr": top / of,
        "top_tpr_low": low,
        "top_tpr_high": high,
        "n_in": of,
        "population_tpr": float(hits.sum() / inside.sum()),
        "largest_auc": float(aucs.max()),
        "records_beyond_chance": beyond,
        "records": len(aucs),
        "smallest_auc_seen": float(0.5 + deviation * norm.isf(0.05 / len(aucs))),
    }
    return row, aucs
