"""python -m experiments.benchmarks.shadow_engine [--out FILE.json]: 64 shadow condensations as one batch and one by one.

Same procedure (distribution matching, ipc 10, 28×28 images), same seeds, same machine, CPU time on one thread, both in one run. Random pictures:
the time does not depend on the pixels. The ratio grows with the pool, since the batch embeds it once and the separate runs 32 times.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from attacks.procedures import ConvNetDM
from attacks.records import Records
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.shadows.lira import lira_online
from attacks.shadows.membership import membership
from attacks.shadows.moments import left_out
from attacks.shadows.signals import signals

SHADOWS, TARGETS = 64, 200


def measure(records: int, steps: int, ipc: int = 10) -> dict[str, float]:
    """CPU seconds of both engines, and how far their releases and attack scores differ."""
    rng = np.random.default_rng(0)
    y = np.arange(records) % 10
    pool = Records(rng.random((records, 1, 28, 28), dtype=np.float32) * 0.5 + 0.05 * y[:, None, None, None], y)
    coins, seeds = membership(SHADOWS, np.arange(records), 0), list(range(SHADOWS))
    procedure = ConvNetDM(ipc=ipc, steps=steps, init="data")
    together, batched = _timed(lambda: procedure.many(pool.x, pool.y, coins, seeds))
    alone, separate = _timed(lambda: [procedure(pool.x[m], pool.y[m], s) for m, s in zip(coins, seeds, strict=True)])
    return {
        "records": records,
        "steps": steps,
        "batched_cpu_s": round(batched, 2),
        "separate_cpu_s": round(separate, 2),
        "times_faster": round(separate / batched, 2),
        "mean_pixel_difference": float(
            np.mean([np.abs(a.x - b.x).mean() for a, b in zip(together, alone, strict=True)])
        ),
        "largest_pixel_difference": max(float(np.abs(a.x - b.x).max()) for a, b in zip(together, alone, strict=True)),
        "largest_score_difference": _score_difference(together, alone, pool, coins),
    }


def _timed(work: Callable[[], list[ReleaseSet]]) -> tuple[list[ReleaseSet], float]:
    started = time.process_time()
    made = work()
    return made, time.process_time() - started


def _score_difference(one: list[ReleaseSet], two: list[ReleaseSet], pool: Records, coins: np.ndarray) -> float:
    """Largest difference of LiRA scores, in standard deviations of those scores."""
    rows = np.arange(TARGETS)
    background, scores = Background(pool[:1000]), []
    for releases in (one, two):
        phi = signals(("dcr",), pool[rows], releases, background, 0, 0)["dcr"]
        scores.append(lira_online(phi, left_out(phi, coins[:, rows])))
    return float(np.abs(scores[0] - scores[1]).max() / scores[0].std())


def main() -> None:
    """Print the ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--records", type=int, nargs="+", default=[4000, 12000])
    parser.add_argument("--steps", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    result = {"torch": torch.__version__, "shadows": SHADOWS, "runs": [measure(n, given.steps) for n in given.records]}
    text = json.dumps(result, indent=1) + "\n"
    sys.stdout.write(text)
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()
