"""python -m experiments.benchmarks [--out FILE.json]: every speed ratio of the wall and the features, one thread, CPU time."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import torch

from experiments.benchmarks import features, wall


def main() -> None:
    """Run all and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    result = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "gradients": wall.gradients(),
        "class_sums": wall.class_sums(),
        "noise": wall.noise(),
        "memory": wall.memory(),
        "scattering": features.scattering(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if out:
        out.write_text(text + "\n")


if __name__ == "__main__":
    main()
