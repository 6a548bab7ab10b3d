"""E20: an audit with the release and held-out records alone: no generator, no shadow runs."""

from __future__ import annotations

import numpy as np

from attacks.measure import matrix_metrics
from attacks.procedures import Subset
from attacks.scores import get
from attacks.scores.background import Background
from attacks.students import log_odds, train
from attacks.students.attacks import lira_offline
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import flat_rates
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.shadows import CellResult

SCORES = ("dcr", "dcr_calibrated", "density_ratio", "offset")
REFERENCES = 8  # students on subsets of the held-out records: the world without the members
SHADOW = ("lira", "lira_offline:dcr", "lira_offline:offset")


def run(frame: Frame) -> Part:
    focus, few = frame.profile.focus, frame.profile.few
    rows: list[Row] = []
    for what, cell in {
        "DM, from members": Cell(focus, "dm", few, "member"),
        "DM, from noise": Cell(focus, "dm", few, "noise"),
    }.items():
        result = frame.cell(cell)
        targets = frame.targets(result)
        member = result.member[:, targets]
        for name, scores in alone(frame, result, targets).items():
            rates = flat_rates(matrix_metrics(scores, member), int(member.sum()), int((~member).sum()))
            rows.append({"release": what, "attacker has": "release and held-out records", "attack": name, **rates})
        for attack in SHADOW:
            row, _ = frame.rates(cell, attack)
            kept = {name: value for name, value in row.items() if name in rows[0]}
            rows.append({"release": what, "attacker has": "shadow runs of the procedure", **kept, "attack": attack})
    best = {
        (release, has): max(
            (row for row in rows if row["release"] == release and row["attacker has"] == has),
            key=lambda r: r["tpr_1pct"],
        )
        for release in dict.fromkeys(row["release"] for row in rows)
        for has in dict.fromkeys(row["attacker has"] for row in rows)
    }
    weak, strong = (best["DM, from members", has] for has in dict.fromkeys(row["attacker has"] for row in rows))
    seen = weak["tpr_1pct_low"] > 0.01
    return Part(
        id="E20",
        title="Auditing without the generator",
        setting=f"The same {len(frame.cell(Cell(focus, 'dm', few, 'member')).member)} releases, one at a time. Without the generator, a record's score is turned into its rank among "
        f"held-out records of the same population; students of the release are set against {REFERENCES} students of held-out subsets. Beside it the shadow "
        "attacks on the same releases.",
        rows=rows,
        figures=[figure(rows)],
        findings=[
            f"From members: without the generator the best attack ({weak['attack']}) has a TPR of {weak['tpr_1pct']:.2%} ({weak['tpr_1pct_low']:.2%}–"
            f"{weak['tpr_1pct_high']:.2%}) at FPR 1%; with shadow runs ({strong['attack']}) {strong['tpr_1pct']:.2%} ({strong['tpr_1pct_low']:.2%}–"
            f"{strong['tpr_1pct_high']:.2%}). Each is the best of those tried.",
            "So a leak of this kind is visible to anybody who holds the release and other records of the population."
            if seen
            else "A leak that shadow runs show is not visible from the release and held-out records alone: a clean result there is no proof.",
        ],
        numbers={"alone_tpr": weak["tpr_1pct"], "shadow_tpr": strong["tpr_1pct"], "ran": 1.0},
        outcome="neither",
    )


def alone(frame: Frame, result: CellResult, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Scores [K, T] by attack, each run by itself."""
    heldout = frame.pool(result.cell.data).auxiliary
    half = len(heldout) // 2
    known, population = heldout[:half], heldout[half:]
    background, candidates = Background(known), result.pool[targets]
    both_x, both_y = np.concatenate([candidates.x, population.x]), np.concatenate([candidates.y, population.y])
    found = {}
    for name in SCORES:
        scores = np.stack([get(name).run(both_x, both_y, release, background) for release in result.releases])
        found[name] = rank(scores[:, : len(targets)], scores[:, len(targets) :])
    sets = [Subset(min(len(result.releases[0]), half))(known.x, known.y, seed) for seed in range(REFERENCES)]
    outside = log_odds(train(sets, 1, frame.profile.seed + 20, frame.profile.students.steps), candidates)
    found["student against held-out students"] = np.stack(
        [lira_offline(phi[None], outside, phi[None], phi[None]) for phi in result.phi[:, targets]]
    )
    return found


def rank(scores: np.ndarray, heldout: np.ndarray) -> np.ndarray:
    """Share of the held-out records that score lower, run by run; ties are broken by the score itself."""
    shares = np.stack([np.searchsorted(np.sort(h), s) / len(h) for s, h in zip(scores, heldout, strict=True)])
    squashed = np.arctan(scores - np.median(heldout, axis=1, keepdims=True)) / np.pi
    return np.asarray(shares + 1e-6 * squashed)


def figure(rows: list[Row]) -> Figure:
    names = list(dict.fromkeys(row["attack"] for row in rows))
    series = []
    for release in dict.fromkeys(row["release"] for row in rows):
        mine = {row["attack"]: row for row in rows if row["release"] == release}
        columns = [[mine[name][f"tpr_1pct{end}"] for name in names] for end in ("", "_low", "_high")]
        series.append(Series(release, [float(i) for i in range(len(names))], columns[0], columns[1], columns[2], names))
    return Figure(
        "tpr",
        "TPR at FPR 1%. The three attacks at the right have shadow runs of the procedure; the others the release and held-out records.",
        "bars",
        "",
        "TPR at FPR 1%",
        series,
        line=(0.01, "chance"),
    )
