"""python -m experiments.wall_audit [--runs 100000] [--out FILE.json]

Does the code keep the ε it claims? The wall itself, through Curator.ask, with and without a worst-case canary: honest at
ε of 0.5, 1 and 4 under both adjacencies, and at ε = 1 with each fault planted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from attacks import audit_mechanism
from dpcond.auditing import CuratorMechanism
from experiments.wall_audit.faults import FAULTS, none

DELTA = 1e-5


def row(what: str, fault: Any, epsilon: float, adjacency: str, runs: int) -> dict[str, Any]:
    """One audit."""
    start = time.process_time()
    wall = CuratorMechanism(epsilon, DELTA, adjacency)
    marks = wall.canaries  # the canary's mark is what an auditor knows of the honest mechanism

    class Marked:
        canaries = marks
        release = staticmethod(wall.release)

    with fault():
        found = audit_mechanism(Marked(), epsilon, DELTA, runs=runs)
    return {
        "wall": what,
        "adjacency": adjacency,
        "claimed": epsilon,
        "lower bound (no assumption)": round(found.guesses.value, 3),
        "lower bound (Gaussian)": round(found.gaussian.value, 3),
        "verdict": found.verdict.outcome,
        "verdict (Gaussian)": found.gaussian_verdict.outcome,
        "runs": runs,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    """All rows, one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "measured.json")
    given = parser.parse_args()
    rows = []
    cases: list[tuple[str, Any, float, str]] = [
        ("honest", none, e, a) for a in ("add_remove", "replace_one") for e in (0.5, 1.0, 4.0)
    ]
    for name, fault in FAULTS.items():
        cases.append((name, fault, 1.0, "replace_one" if name.startswith("replace") else "add_remove"))
    for case in cases:
        rows.append(row(*case, given.runs))
        print(rows[-1], flush=True)
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
