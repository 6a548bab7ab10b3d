"""E18: lower bounds on ε, from attacks, beside the ε that is claimed: of the wall, of whole releases, and with a fault planted."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from attacks.shadows.pooled_bound import pooled_bounds, pooled_ceiling
from dpcond.config import checked
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.leak import phi_of
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.private_runs import DELTA, plane_sizes, private_releases
from experiments.privacy_for_free.profile import Strict
from experiments.privacy_for_free.shadows import CellResult
from experiments.wall_audit.__main__ import row as wall_audit
from experiments.wall_audit.faults import FAULTS, none


class Sizes(Strict):
    """parts.E18: runs of the wall with and without the canary, and the ε at which faults are planted."""

    wall_runs: int = Field(20_000, ge=100)
    fault_epsilon: float = 1.0
    faults: tuple[str, ...] = ("noise_off", "noise_halved")


def run(frame: Frame) -> Part:
    sizes: Sizes = checked(Sizes, frame.profile.part("E18"), "parts.E18")
    epsilons = plane_sizes(frame).epsilons
    walls = [wall("wall, honest", epsilon, sizes, none) for epsilon in epsilons]
    walls += [
        wall(f"wall, {name.replace('_', ' ')}", sizes.fault_epsilon, sizes, FAULTS[name]) for name in sizes.faults
    ]
    releases = [procedure(frame, "releases, honest", epsilon, private_releases(frame, epsilon)) for epsilon in epsilons]
    broken = private_releases(frame, sizes.fault_epsilon, "noise_off")
    control = procedure(frame, "releases, noise off", sizes.fault_epsilon, broken)
    releases = [tested(row, control["ε at least"]) for row in releases] + [control]
    for init in ("member", "noise"):
        result = frame.cell(Cell(frame.profile.focus, "dm", frame.profile.few, init))
        releases.append(
            procedure(frame, f"DM, not private, from {'members' if init == 'member' else 'noise'}", None, result)
        )
    rows = [*walls, *releases]
    honest = max(row["ε at least"] - row["claimed ε"] for row in rows if row["what"].endswith("honest"))
    faulty = min(row["ε at least"] - row["claimed ε"] for row in walls if row["what"] == "wall, noise off")
    real = next(row for row in releases if row["what"].endswith("from members"))
    share = real["ε at least"] / real["ceiling"]
    return Part(
        id="E18",
        title="Do private condensers keep their ε?",
        setting=f"Wall: dpcond's curator asked {sizes.wall_runs:,} times with and without one worst-case record. Releases: whole sets of half "
        f"the pool, {frame.profile.shadows} shadow runs; half of them choose the attack, on the others every coin is guessed (one-run bound, pooled). "
        f"δ = {DELTA:g}, 95% confidence for releases, 99.9% for the wall. Ceiling: what a perfect attack would show. A claim holds where the same attacks "
        "would break it if the noise were off.",
        rows=rows,
        figures=[figure(rows)],
        findings=findings(rows, honest),
        numbers={"honest_excess": honest, "faulty_excess": faulty, "real_share_of_ceiling": share},
        outcome="neither" if honest <= 0 < faulty else "cannot tell",
    )


def findings(rows: list[Row], honest: float) -> list[str]:
    """Sentences computed from the rows; `honest` is the largest honest bound less its claim."""
    named = {row["what"]: row for row in rows}
    wall_off, off, real = (
        named[name] for name in ("wall, noise off", "releases, noise off", "DM, not private, from members")
    )
    claim = off["claimed ε"]
    said = [
        f"Every honest lower bound stays below its claim (closest: {-honest:.2f} below)."
        if honest <= 0
        else "An honest bound passed its claim.",
        f"With the noise switched off, the wall audit shows ε ≥ {wall_off['ε at least']:.1f} against a claim of {claim:g}; attacks on whole releases show "
        f"ε ≥ {off['ε at least']:.2f}"
        + (
            ", which also breaks it, by far less: larger claims are beyond these attacks on whole releases, noise or none."
            if off["ε at least"] > claim
            else ": faults are found at the wall, not in the pictures."
        ),
    ]
    if (halved := named.get("wall, noise halved")) is not None:
        outcome = "is caught" if halved["ε at least"] > halved["claimed ε"] else "is not caught with so few runs"
        said.append(f"Noise at half its size {outcome} at the wall: ε ≥ {halved['ε at least']:.2f}.")
    return [
        *said,
        f"DM from members, which claims nothing, shows ε ≥ {real['ε at least']:.2f}; a perfect attack would show {real['ceiling']:.2f}. Only one in "
        "so many members starts the set, and the pooled bound averages over all of them.",
    ]


def wall(what: str, epsilon: float, sizes: Sizes, fault: Any) -> Row:
    found = wall_audit(what, fault, epsilon, "add_remove", sizes.wall_runs)
    return {
        "what": what,
        "claimed ε": epsilon,
        "ε at least": found["lower bound (no assumption)"],
        "if Gaussian": found["lower bound (Gaussian)"],
        "verdict": found["verdict"],
        "runs": sizes.wall_runs,
    }


def procedure(frame: Frame, what: str, claimed: float | None, result: CellResult) -> Row:
    """The pooled one-run bound of the best of LiRA on students and on the closest record."""
    targets = frame.targets(result)
    phis = {signal: phi_of(result, signal, targets) for signal in ("student", "dcr", "mean")}
    wanted = [("lira_online", signal) for signal in phis] + [("lira_offline", "dcr")]
    attack, bounds = pooled_bounds(phis, result.member[:, targets], wanted, DELTA, frame.profile.seed)
    ceiling = pooled_ceiling(len(targets), len(result.member), DELTA)
    value = bounds[0].value
    if claimed is None:
        verdict = "nothing claimed"
    else:
        verdict = "violated" if value > claimed else "holds" if ceiling > claimed else "cannot tell"
    return {
        "what": what,
        "claimed ε": "none" if claimed is None else claimed,
        "ε at least": value,
        "if Gaussian": bounds[1].value,
        "verdict": verdict,
        "runs": len(result.member),
        "ceiling": ceiling,
        "attack": attack,
    }


def tested(row: Row, shown_without_noise: float) -> Row:
    """An honest row whose claim is beyond what the same attacks show with the noise off cannot be told from a false one."""
    return (
        row | {"verdict": "cannot tell"}
        if row["verdict"] == "holds" and row["claimed ε"] >= shown_without_noise
        else row
    )


def figure(rows: list[Row]) -> Figure:
    """Lower bounds against claims; above the line a claim is broken."""
    series = []
    for kind in ("wall", "releases"):
        for sort in ("honest", "fault"):
            mine = [
                r for r in rows if r["what"].startswith(kind) and r["what"].endswith("honest") == (sort == "honest")
            ]
            if mine:
                series.append(
                    Series(f"{kind}, {sort}", [r["claimed ε"] for r in mine], [r["ε at least"] for r in mine])
                )
    top = max(row["claimed ε"] for row in rows if row["claimed ε"] != "none")
    return Figure(
        "bounds",
        "What attacks prove against what is claimed. Above the line a claim is broken.",
        "points",
        "claimed ε",
        "ε at least",
        [*series, Series("claim kept exactly", [0.3, top], [0.3, top])],
        log_x=True,
    )
