"""``--method auto``: the recommended method, chosen by rule from public metadata alone and stated in the plan.

The rules come from measurements on benchmarks (experiments/leaderboard), never from the data at hand. Neither ε nor the
images per class are among them: on Fashion-MNIST ``taught`` is ahead of ``merf`` by 5 to 16 points at every ε from .2 to 10
and at every number from 1 to 100.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dpcond.spec import DataSpec

AUTO = "auto"
FAST = "merf"  # seconds to minutes anywhere
MANY = 10_000  # records from which a teacher and clusters are worth their shares
SMALL = 16  # side of an image below which scattering has too little to look at
RULE = (
    f"taught for {MANY:,} images or more of at least {SMALL}×{SMALL}, if its time fits into --set minutes=… (default: no limit); "
    "merf for tables, and for other images"
)


@dataclass(frozen=True)
class Choice:
    """A method and the reason for it, in words."""

    method: str
    reason: str


def choose(spec: DataSpec, minutes: float | None = None, expected: Callable[[str], float] | None = None) -> Choice:
    """The recommended method for data of this kind, size and shape, if it is expected to end within ``minutes``.

    Args:
        expected: seconds that a method of this name would take here, measured on public noise; asked under a limit only.
    """
    choice = _recommended(spec)
    if minutes is None or expected is None or choice.method == FAST:
        return choice
    needed = expected(choice.method) / 60
    if needed <= minutes:
        return choice
    return Choice(FAST, f"{choice.method} would take about {needed:.0f} minutes here, {minutes:g} are allowed")


def _recommended(spec: DataSpec) -> Choice:
    if spec.kind == "table":
        return Choice(
            "merf", "a table: one release of random Fourier features keeps more of it than random networks do"
        )
    if spec.records < MANY or min(spec.shape[1:]) < SMALL:
        return Choice(
            "merf",
            f"{spec.records:,} images, few or small: one release of random features keeps most of them",
        )
    return Choice("taught", f"{spec.records:,} images: enough for a private teacher and clusters beside the means")
