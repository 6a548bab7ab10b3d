"""E5: only the starting images change: members, non-members, another dataset, noise, class means."""

from __future__ import annotations

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import SAYS, curve
from experiments.privacy_for_free.part import Figure, Part, Series

ATTACKS = ("lira_offline:dcr", "lira")  # on the release itself, and on students


def run(frame: Frame) -> Part:
    profile = frame.profile
    cells = [cell for cell in profile.cells() if cell.data == profile.focus and cell.ipc == profile.few]
    found = {(cell, attack): frame.rates(cell, attack) for cell in cells for attack in ATTACKS}
    release, student = ATTACKS

    def of(init: str, attack: str = release) -> dict[str, float]:
        return found[Cell(profile.focus, "dm", profile.few, init), attack][0]  # type: ignore[arg-type]

    member, noise, public = of("member"), of("noise"), of("public")
    numbers = {
        "member_tpr": member["tpr_1pct"],
        "member_tpr_low": member["tpr_1pct_low"],
        "noise_tpr_high": noise["tpr_1pct_high"],
        "public_tpr": public["tpr_1pct"],
        "public_tpr_low": public["tpr_1pct_low"],
        "member_minus_public_accuracy": member["accuracy"] - public["accuracy"],
    }
    others = [row for (cell, attack), (row, _) in found.items() if cell.init != "member" and attack == release]
    findings = [
        f"DM, {profile.few} per class, attack on the release, TPR at FPR 1%: "
        + ", ".join(
            f"{init} {of(init)['tpr_1pct']:.2%} ({of(init)['tpr_1pct_low']:.2%} to {of(init)['tpr_1pct_high']:.2%})"
            for init in ("member", "nonmember", "public", "noise", "mean")
        )
        + f"; m/n is {member['subset_rate']:.1%}.",
        "From members and from other records: "
        + ", ".join(
            f"{method} {m['tpr_1pct']:.2%} and {o['tpr_1pct']:.2%}"
            for method in dict.fromkeys(cell.method for cell in cells)
            for m, o in [
                [found[Cell(profile.focus, method, profile.few, i), release][0] for i in ("member", "nonmember")]
            ]  # type: ignore[arg-type]
        )
        + ".",
        f"Through a student: member {of('member', student)['tpr_1pct']:.2%}, public {of('public', student)['tpr_1pct']:.2%}.",
        f"Of {len(others)} settings that do not start from members, {sum(row['tpr_1pct_low'] > 0.01 for row in others)} "
        "have a 95% interval above 1%.",
        f"Accuracy of DM: member {member['accuracy']:.1%}, public {public['accuracy']:.1%}, noise {noise['accuracy']:.1%}.",
    ]
    inits = ("member", "nonmember", "public", "noise", "mean")
    methods = dict.fromkeys(cell.method for cell in cells)
    bars = [
        Series(
            method,
            [float(i) for i in range(len(mine))],
            [row["tpr_1pct"] for row in mine],
            [row["tpr_1pct_low"] for row in mine],
            [row["tpr_1pct_high"] for row in mine],
            [row["init"] for row in mine],
        )
        for method in methods
        for mine in [[found[c, release][0] for i in inits for c in cells if c.method == method and c.init == i]]
    ]
    follows = numbers["member_tpr_low"] > numbers["noise_tpr_high"]
    return Part(
        "E5",
        "Where the condensation starts",
        f"{profile.few} images per class, {profile.shadows} runs, {profile.targets} candidates. {SAYS[release]}; {SAYS[student]}.",
        [row for row, _ in found.values()],
        [
            Figure(
                "starts",
                "TPR at FPR 1% of the attack on the release, by start and method.",
                "bars",
                "start",
                "TPR at FPR 1%",
                bars,
                line=(0.01, "chance"),
            ),
            Figure(
                "roc",
                f"DM, {profile.few} images per class: the attack on the release, by start.",
                "roc",
                "false-positive rate",
                "true-positive rate",
                [curve(i, found[Cell(profile.focus, "dm", profile.few, i), release][1]) for i in inits],  # type: ignore[arg-type]
            ),
        ],
        findings,
        numbers,
        "supports Carlini" if follows else "supports Dong",
    )
