"""E19: the popular check, the share of synthetic records closer to members than to strangers, beside attacks that succeed."""

from __future__ import annotations

import numpy as np

from attacks import Records
from attacks.records import flat
from attacks.scores.distances import squared_distances
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.shadows import CellResult


def run(frame: Frame) -> Part:
    focus, few = frame.profile.focus, frame.profile.few
    cells = {
        "linear matching, from noise": Cell(focus, "linear_dm", few, "noise"),
        "DM, from noise": Cell(focus, "dm", few, "noise"),
        "DM, from other records": Cell(focus, "dm", few, "nonmember"),
        "DM, from members": Cell(focus, "dm", few, "member"),
        "random subset": Cell(focus, "subset", few, "member"),
    }
    rows = [row_of(frame, what, cell) for what, cell in cells.items()]
    linear, real = rows[0], rows[3]
    blind = linear["DCR share low"] <= 0.5 <= linear["DCR share high"] and linear["mean attack AUC low"] > 0.5
    return Part(
        id="E19",
        title="The popular check: distance to the closest record",
        setting="DCR share: the part of the synthetic records that lie closer (L2) to a member than to any stranger, out of equally many of both; one half "
        "is read as private. NNDR: the same for nearest over second-nearest distance. Beside them, on the same releases, the mean attack and the TPR "
        "on starting records.",
        rows=rows,
        figures=[figure(rows)],
        findings=[
            f"Linear matching from noise: DCR share {linear['DCR share']:.3f} ({linear['DCR share low']:.3f}–{linear['DCR share high']:.3f}), and the "
            f"mean attack has AUC {linear['mean attack AUC']:.3f}."
            + (" The check sees nothing where there is a leak." if blind else " The check is not blind here."),
            f"DM from members: DCR share {real['DCR share']:.3f} ({real['DCR share low']:.3f}–{real['DCR share high']:.3f}); {real['TPR on starting records']:.0%} "
            "of the starting records are found at FPR 1%."
            + (
                " Here the check does raise an alarm." if real["DCR share low"] > 0.5 else " The check raises no alarm."
            ),
        ],
        numbers={
            "linear_noise_share_low": linear["DCR share low"],
            "linear_noise_auc_low": linear["mean attack AUC low"],
            "real_share_low": real["DCR share low"],
            "real_init_tpr_low": real["TPR low"],
        },
        outcome="neither" if blind else "cannot tell",
    )


def row_of(frame: Frame, what: str, cell: Cell) -> Row:
    """Shares with intervals over pairs of runs; attacks from the shadow runs."""
    result = frame.cell(cell)
    shares = np.array([share(result, k) for k in range(len(result.member))])
    row: Row = {"what": what, "shadows": len(shares), "synthetic records": len(result.releases[0])}
    for name, values in (("DCR", shares[:, 0]), ("NNDR", shares[:, 1])):
        pairs = values.reshape(-1, 2).mean(axis=1)
        half = 1.96 * float(pairs.std(ddof=1)) / len(pairs) ** 0.5
        mean = float(values.mean())
        row |= {
            f"{name} share": mean,
            f"{name} share low": max(mean - half, 0.0),
            f"{name} share high": min(mean + half, 1.0),
        }
    mean_attack, _ = frame.rates(cell, "lira_online:mean")
    row |= {
        f"mean attack AUC{end}": mean_attack[f"auc{to}"] for end, to in (("", ""), (" low", "_low"), (" high", "_high"))
    }
    if result.started[:, frame.targets(result)].any():
        found, _ = frame.rates(cell, "lira_offline:dcr", started=True)
        row |= {
            "TPR on starting records": found["tpr_1pct"],
            "TPR low": found["tpr_1pct_low"],
            "TPR high": found["tpr_1pct_high"],
        }
    return row


def share(result: CellResult, k: int) -> tuple[float, float]:
    """DCR and NNDR share of one run; equally many members and strangers, ties count half."""
    random = np.random.default_rng([19, k])
    sides = [random.permutation(np.flatnonzero(result.member[k] == inside)) for inside in (True, False)]
    size = min(len(side) for side in sides)
    released = flat(result.releases[k].x)
    (near_in, ratio_in), (near_out, ratio_out) = (nearest(released, result.pool[side[:size]]) for side in sides)
    return _less(near_in, near_out), _less(ratio_in, ratio_out)


def nearest(released: np.ndarray, records: Records) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each synthetic record to the nearest record, and over that to the second nearest."""
    two = np.sqrt(np.partition(squared_distances(released, flat(records.x)), 1, axis=1)[:, :2])
    return two[:, 0], two[:, 0] / np.maximum(two[:, 1], 1e-12)


def _less(a: np.ndarray, b: np.ndarray) -> float:
    return float((a < b).mean() + (a == b).mean() / 2)


def figure(rows: list[Row]) -> Figure:
    places = [float(i) for i in range(len(rows))]
    names = [row["what"] for row in rows]
    shares = [[row[f"DCR share{end}"] for row in rows] for end in ("", " low", " high")]
    areas = [[row[f"mean attack AUC{end}"] for row in rows] for end in ("", " low", " high")]

    def bars(name: str, columns: list[list[float]]) -> Series:
        return Series(name, places, columns[0], columns[1], columns[2], names)

    return Figure(
        "share",
        "What the check says (one half: private) beside the AUC of the mean attack (one half: nothing found).",
        "bars",
        "",
        "share, or AUC",
        [bars("DCR share", shares), bars("mean attack, AUC", areas)],
        line=(0.5, "one half"),
    )
