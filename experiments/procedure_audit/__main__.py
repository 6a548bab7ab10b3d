"""Audit non-private distribution matching on Fashion-MNIST: 64 shadow condensations of random halves of 4,000 records."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

import attacks
from attacks.procedures import ConvNetDM


def fashion_mnist(root: str, records: int) -> attacks.Records:
    """The first training records, images [1, 28, 28] in 0..1."""
    from torchvision.datasets import FashionMNIST

    data = FashionMNIST(root, train=True, download=False)
    return attacks.Records(data.data[:records, None].numpy(), data.targets[:records].numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="folder that holds FashionMNIST/raw")
    parser.add_argument("--out", required=True)
    parser.add_argument("--shadows", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--init", choices=["noise", "data"], default="data")
    parser.add_argument("--canaries", type=int, default=0)
    parser.add_argument("--students", type=int, default=1)
    given = parser.parse_args()

    def progress(done: int, of: int, seconds: float) -> None:
        sys.stderr.write(f"\r{done} of {of} shadows, {seconds:.0f} s to go ")
        sys.stderr.flush()

    started, cpu = time.monotonic(), time.process_time()
    report = attacks.audit_procedure(
        ConvNetDM(ipc=given.ipc, steps=given.steps, init=given.init),
        fashion_mnist(given.data_root, given.records),
        shadows=given.shadows,
        canaries=given.canaries,
        students=given.students,
        claimed_epsilon=1.0,
        out=given.out,
        progress=progress,
        batch=given.shadows,
    )
    report.settings["seconds"], report.settings["cpu_seconds"] = time.monotonic() - started, time.process_time() - cpu
    folder = report.save(given.out)
    best = max(report.attacks.values(), key=lambda attack: attack.metrics.auc.value)
    top = {fpr: round(float(np.float64(tpr.value)), 4) for fpr, tpr in best.metrics.tpr.items()}
    sys.stdout.write(
        json.dumps(
            {
                "folder": str(Path(folder)),
                "seconds": round(report.settings["seconds"]),
                "verdict": report.verdict.sentence,
                "best": best.name,
                "auc": round(best.metrics.auc.value, 4),
                "tpr": top,
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
