"""E16: the same kernel-inducing points released with hard labels and with learnt ones (Behrens 2025 on soft labels)."""

from __future__ import annotations

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import SAYS, attack_scores, paired_difference
from experiments.privacy_for_free.part import Figure, Outcome, Part, Row, Series


def run(frame: Frame) -> Part:
    profile = frame.profile
    ipcs = sorted({cell.ipc for cell in profile.cells() if cell.method == "kip"} & {1, profile.few})
    rows: list[Row] = []
    differences: list[Row] = []
    for ipc in ipcs:
        for steps in (None, 0):
            hard = Cell(profile.focus, "kip", ipc, "noise", steps=steps)
            soft = Cell(profile.focus, "kip", ipc, "noise", soft=True, steps=steps)
            learnt = {"points": "learnt" if steps is None else "noise"}
            labelled: list[tuple[Cell, str, tuple[str, ...]]] = [(soft, "soft", ("lira", "lira_online:soft_labels"))]
            if steps is None:  # noise with hard labels does not depend on the members at all
                labelled.append((hard, "hard", ("lira",)))
            for cell, labels, attacks in labelled:
                rows += [learnt | {"labels": labels} | frame.rates(cell, attack)[0] for attack in attacks]
            if steps is None:
                differences.append(compared(frame, soft, hard))
    main = next(d for d in differences if d["ipc"] == ipcs[-1])
    labels_only = max((row for row in rows if row["points"] == "noise"), key=lambda row: row["auc_low"])
    numbers = {
        "soft_minus_hard_auc": main["difference"],
        "soft_minus_hard_auc_low": main["low"],
        "soft_minus_hard_auc_high": main["high"],
        "labels_only_auc": labels_only["auc"],
        "labels_only_auc_low": labels_only["auc_low"],
    }
    findings = [
        "LiRA on students, AUC with learnt labels less AUC with hard ones: "
        + "; ".join(
            f"{d['ipc']} per class {d['difference']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})"
            for d in reversed(differences)
        )
        + ".",
        f"Labels alone, solved for points of pure noise ({labels_only['attack']}, {labels_only['ipc']} per class): AUC "
        f"{labels_only['auc']:.3f} ({labels_only['auc_low']:.3f} to {labels_only['auc_high']:.3f}).",
    ]
    adds = main["low"] > 0
    outcome: Outcome = "supports Carlini" if adds else "cannot tell"
    return Part(
        "E16",
        "Soft labels",
        "Kernel inducing points from noise; labels by least squares over all members. Points are the same with hard and soft labels. "
        f"{SAYS['lira']}; {SAYS['lira_online:soft_labels']}.",
        rows,
        [
            Figure(
                "auc",
                "AUC with hard labels, with learnt labels, and of learnt labels on points of noise.",
                "bars",
                "setting",
                "AUC",
                [
                    Series(
                        "AUC",
                        [float(i) for i in range(len(rows))],
                        [row["auc"] for row in rows],
                        [row["auc_low"] for row in rows],
                        [row["auc_high"] for row in rows],
                        [
                            f"{row['points']} points, {row['labels']} labels, {row['ipc']}, {row['attack']}"
                            for row in rows
                        ],
                    )
                ],
                line=(0.5, "chance"),
            )
        ],
        findings,
        numbers,
        outcome,
        tables={"Learnt less hard labels, AUC of LiRA on students": differences},
    )


def compared(frame: Frame, soft: Cell, hard: Cell) -> Row:
    """Paired difference in AUC."""
    a, b = frame.cell(soft), frame.cell(hard)
    targets = frame.targets(a)
    left, right = (attack_scores(result, "lira", targets) for result in (a, b))
    value, low, high = paired_difference(left, right, a.member[:, targets], fpr=None)
    return {"ipc": soft.ipc, "difference": value, "low": low, "high": high, "n": int(a.member[:, targets].sum())}
