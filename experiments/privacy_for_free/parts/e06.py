"""E6: the records a run started from, against all non-members, by method and by number of steps."""

from __future__ import annotations

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import SAYS, reach
from experiments.privacy_for_free.part import Figure, Outcome, Part, Series

ATTACKS = ("lira_offline:dcr", "lira")  # on the release itself, and on students


def run(frame: Frame) -> Part:
    profile = frame.profile
    usual = profile.method_options("dm", profile.few)["steps"]
    by_steps = {0: Cell(profile.focus, "subset", profile.few, "member")}
    for steps in sorted({*profile.part("E6")["steps"], usual}):
        by_steps[steps] = Cell(profile.focus, "dm", profile.few, "member", steps=None if steps == usual else steps)
    grid = [cell for cell in profile.cells() if cell.init == "member"]
    cells = list(dict.fromkeys((*by_steps.values(), *grid)))
    found = {(c, a): frame.rates(c, a, started=True)[0] | {"records": "starting"} for c in cells for a in ATTACKS}
    release = ATTACKS[0]
    main = Cell(profile.focus, "dm", profile.few, "member")
    population = frame.rates(main, release)[0] | {"records": "all members"}
    steps = sorted(by_steps)
    rows = [found[by_steps[s], release] for s in steps]
    numbers = {
        "init_tpr": found[main, release]["tpr_01pct"],
        "init_tpr_low": found[main, release]["tpr_01pct_low"],
        "population_tpr": population["tpr_01pct"],
        "population_tpr_high": population["tpr_01pct_high"],
        "init_tpr_few_steps": rows[1]["tpr_01pct"],
        "init_tpr_many_steps": rows[-1]["tpr_01pct"],
        "init_tpr_student": found[main, "lira"]["tpr_01pct"],
    }
    findings = [
        f"DM, {profile.few} per class, attack on the release, TPR at FPR 0.1%: {numbers['init_tpr']:.1%} of the starting images "
        f"({found[main, release]['tpr_01pct_low']:.1%} to {found[main, release]['tpr_01pct_high']:.1%}), "
        f"{population['tpr_01pct']:.2%} of all members.",
        "By steps: " + ", ".join(f"{s}: {row['tpr_01pct']:.1%}" for s, row in zip(steps, rows, strict=True)) + ".",
        f"Through one student: {numbers['init_tpr_student']:.2%}.",
        "By method, on the release: "
        + ", ".join(f"{c.method} {c.data} {c.ipc}: {found[c, release]['tpr_01pct']:.1%}" for c in grid)
        + ".",
        reach(found[main, release]),
    ]
    far = numbers["init_tpr_low"] > numbers["population_tpr_high"]
    outcome: Outcome = "supports Carlini" if far else "cannot tell"
    series = [
        Series(
            SAYS[attack],
            [float(s) for s in steps],
            [found[by_steps[s], attack]["tpr_01pct"] for s in steps],
            [found[by_steps[s], attack]["tpr_01pct_low"] for s in steps],
            [found[by_steps[s], attack]["tpr_01pct_high"] for s in steps],
        )
        for attack in ATTACKS
    ]
    return Part(
        "E6",
        "Only the starting images",
        f"Members that a run started from against all its non-members, among {profile.targets} candidates; {profile.shadows} runs. "
        "0 steps: the starting images as they are.",
        [population, *found.values()],
        [
            Figure(
                "steps",
                f"TPR at FPR 0.1% for starting images, DM, {profile.few} per class, by steps of optimisation.",
                "lines",
                "steps",
                "TPR at FPR 0.1%",
                series,
                line=(0.001, "chance"),
            )
        ],
        findings,
        numbers,
        outcome,
    )
