"""python -m experiments.first_numbers --data-root DIR [--methods dm,dc,merf] [--seeds 3] [--out RESULTS]

Fashion-MNIST at ε = 1, δ = 1e-5, ten images per class, public balanced counts: each method condensed with several public
seeds, every release verified, and judged by the field's protocol (ConvNet D3 W128, 1000 epochs with DSA, last iterate).
Finished seeds are kept, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import dpcond
from dpcond.config import load_config
from dpcond.evaluate.comparison import compare
from dpcond.pipeline import run
from dpcond.release import Release, verify

HERE = Path(__file__).parent


def one(data: Any, method: str, seed: int, protocol: str, folder: Path, networks: int) -> dict[str, Any]:
    """Condense, verify, judge; what came out of it."""
    done = folder / f"{method}-{seed}-{protocol}.json"
    if done.exists():
        return json.loads(done.read_text())
    config = load_config(given={"method": method, "seed": seed, "ipc": 10, "privacy.epsilon": 1.0})
    target = folder / f"{method}-{seed}"
    start = time.monotonic()
    seconds = None
    if not (target / "release").exists():
        run(data, config, target, resume=True)
        seconds = time.monotonic() - start
    report = verify(target / "release")
    assert report.ok, report.checks
    release = Release.load(target / "release")
    metrics = compare(release, data, protocol, seeds=networks, baselines=False)["release"]
    found = {
        "data": data.spec.name,
        "method": method,
        "epsilon": release.epsilon,
        "accountants": release.privacy["accountants"],
        "delta": release.privacy["delta"],
        "ipc": 10,
        "seed": seed,
        "protocol": protocol,
        "accuracies": metrics["models"]["convnet"]["accuracies"],
        "condense_seconds": seconds,
        "evaluate_seconds": metrics["models"]["convnet"]["train_seconds"],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "options": release.options,
    }
    done.write_text(json.dumps(found, indent=1) + "\n")
    return found


def main() -> None:
    """All methods and seeds, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--methods", default="dm,dc,merf")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=1, help="networks trained per release")
    parser.add_argument("--protocol", default="dc")
    parser.add_argument("--runs", type=Path, default=Path("runs/first_numbers"))
    parser.add_argument("--out", type=Path, default=HERE / "results.json", help="rows of these methods are replaced")
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    data = dpcond.load("fashion-mnist", given.data_root, public_counts=True)
    rows = json.loads(given.out.read_text()) if given.out.exists() else []
    for method in given.methods.split(","):
        found = [one(data, method, s, given.protocol, given.runs, given.networks) for s in range(given.seeds)]
        per_seed = [statistics.fmean(f["accuracies"]) for f in found]
        seconds = [f["condense_seconds"] for f in found if f["condense_seconds"] is not None]
        rows = [row for row in rows if (row["method"], row["protocol"]) != (method, given.protocol)]
        rows.append(
            {
                k: found[0][k]
                for k in ("data", "method", "epsilon", "accountants", "delta", "ipc", "protocol", "options")
            }
            | {
                "seeds": given.seeds,
                "networks_per_seed": given.networks,
                "accuracy": {
                    "mean": statistics.fmean(per_seed),
                    "std": statistics.stdev(per_seed) if len(per_seed) > 1 else 0.0,
                },
                "per_seed": per_seed,
                "condense_seconds": max(seconds, default=None),
                "peak_mib": max(f["peak_mib"] for f in found),
            }
        )
        given.out.write_text(json.dumps(rows, indent=1) + "\n")
        print(method, rows[-1]["accuracy"], "condensed in", rows[-1]["condense_seconds"], "s", flush=True)


if __name__ == "__main__":
    main()
