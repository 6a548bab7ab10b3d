"""Measured lower bound over claimed epsilon on a reference Gaussian mechanism, honest and broken.

python -m experiments.audit_tightness --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from attacks.mechanism import GaussianSum, audit_mechanism, audit_one_run
from attacks.statistics import mu_from_epsilon

DELTA = 1e-5
EPSILONS = (1.0, 4.0, 10.0)
RUNS = (20_000, 100_000, 1_000_000)
CANARIES = (1000, 5000)
FAULTS = {"honest": 1.0, "noise halved": 0.5, "noise off": 0.0}  # factor on the calibrated noise


def mean_and_range(values: list[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}


def tightness(repeats: int, confidence: float) -> list[dict[str, Any]]:
    """Rows (audit, size, claimed epsilon) with bound / claim over independent repeats."""
    rows: list[dict[str, Any]] = []
    for epsilon in EPSILONS:
        noise = 1 / mu_from_epsilon(epsilon, DELTA)
        for runs in RUNS:
            start = time.perf_counter()
            many = [
                audit_mechanism(
                    GaussianSum(noise, np.eye(1), seed=i), epsilon, DELTA, runs=runs, confidence=confidence, seed=i
                )
                for i in range(repeats)
            ]
            rows.append(
                {
                    "audit": "multi-run",
                    "size": runs,
                    "claimed": epsilon,
                    "gdp (conditional)": mean_and_range([a.gaussian.value / epsilon for a in many]),
                    "guesses": mean_and_range([a.guesses.value / epsilon for a in many]),
                    "clopper-pearson": mean_and_range([a.clopper_pearson.value / epsilon for a in many]),
                    "seconds each": (time.perf_counter() - start) / repeats,
                }
            )
        for canaries in CANARIES:
            start = time.perf_counter()
            one = [
                audit_one_run(
                    GaussianSum(noise, np.eye(canaries), seed=i), epsilon, DELTA, confidence=confidence, seed=i
                )
                for i in range(repeats)
            ]
            rows.append(
                {
                    "audit": "one-run",
                    "size": canaries,
                    "claimed": epsilon,
                    "f-dp (conditional)": mean_and_range([a.f_dp.value / epsilon for a in one]),
                    "steinke": mean_and_range([a.steinke.value / epsilon for a in one]),
                    "seconds each": (time.perf_counter() - start) / repeats,
                }
            )
    return rows


def faults() -> list[dict[str, Any]]:
    """Verdicts on claimed epsilon 1 at the default size and confidence."""
    noise = 1 / mu_from_epsilon(1.0, DELTA)
    rows = []
    for name, factor in FAULTS.items():
        report = audit_mechanism(GaussianSum(noise * factor, np.eye(1)), 1.0, DELTA)
        rows.append({"wall": name, "verdict": report.verdict.to_json(), "gaussian": report.gaussian_verdict.to_json()})
    return rows


def lines(result: dict[str, Any]) -> list[str]:
    """The table for reading."""
    out = ["audit      size     claimed  bound: mean of bound / claim (range)"]
    for row in result["tightness"]:
        parts = [
            f"{name} {cell['mean']:.2f} ({cell['min']:.2f}-{cell['max']:.2f})"
            for name, cell in row.items()
            if isinstance(cell, dict)
        ]
        out.append(
            f"{row['audit']:10} {row['size']:<8} {row['claimed']:<8g} {'; '.join(parts)}  [{row['seconds each']:.1f} s]"
        )
    return out + [f"{row['wall']}: {row['verdict']['sentence']}" for row in result["faults"]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.audit_tightness", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--repeats", type=int, default=5, help="independent audits per row")
    parser.add_argument("--confidence", type=float, default=0.95)
    given = parser.parse_args()
    settings = {"delta": DELTA, "repeats": given.repeats, "confidence": given.confidence}
    result = {
        "settings": settings,
        "tightness": tightness(given.repeats, given.confidence),
        "faults": faults(),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(lines(result)))


if __name__ == "__main__":
    main()
