"""What a method is: public stages stated before any record is read, and a condensation that sees answers only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from dpcond.errors import AnswerLost, InputError
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.privacy.queries import ClassCounts
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

CPU = torch.device("cpu")
COUNTS = "counts"
COUNTS_SHARE = 0.02  # of the squared-signal budget; a histogram needs little


class Options(BaseModel):
    """Options of a method: typed, strict, every one with a default that works."""

    model_config = ConfigDict(extra="forbid", frozen=True)


#: Called with (done, total, message) as work advances.
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, message: str) -> None:
    """No progress."""


@dataclass(frozen=True)
class Run:
    """How a condensation is carried out; nothing here changes what is asked of the records.

    Attributes:
        ipc: records per class to synthesise.
        seed: public seed of networks, initialisation and augmentation (never of noise or sampling).
        device: where public computation happens.
        progress: callback.
        checkpoints: folder for the public state of long optimisations, or ``None``.
    """

    ipc: int
    seed: int = 0
    device: torch.device = CPU
    progress: Progress = silent
    checkpoints: Path | None = None

    def public_seed(self, index: int) -> int:
        """The public seed of the ``index``-th random network or feature."""
        return self.seed * 1_000_003 + index


@dataclass(frozen=True)
class Cost:
    """What a run is expected to take, measured on public noise.

    Attributes:
        asking: seconds of reading records and computing statistics.
        condensing: seconds of public optimisation.
        kept: bytes of answers and networks held at once.
    """

    asking: float
    condensing: float
    kept: int


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        stages: (spec, ipc, options) -> planned stages; reads public things only.
        condense: (curator, options, run) -> the synthetic set, from answers only.
        rehearse: (spec, options, run) -> expected cost, from one query and one step on public noise.
        kinds: kinds of data it works on.
        smallest: least side of an image that it works on.
        settle: (spec, ipc, options) -> options, with the defaults filled in that depend on the spec and ipc and that a
            reader of the release has to know.
    """

    name: str
    summary: str
    source: str
    options: type[Options]
    stages: Callable[[DataSpec, int, Any], tuple[Stage, ...]]
    condense: Callable[[Curator, Any, Run], SyntheticSet]
    rehearse: Callable[[DataSpec, Any, Run], Cost]
    kinds: tuple[str, ...] = ("image", "table")
    smallest: int = 1
    settle: Callable[[DataSpec, int, Any], Any] = lambda spec, ipc, options: options


def seconds(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes, after one warm-up."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def nothing_survived(stage: str) -> InputError:
    """The error of a stage of which a crash has lost every answer."""
    return InputError(
        f"stage {stage!r}: every release was spent before a crash and no answer survived; "
        "this budget is gone, start again in a new folder with what is left of the allowance"
    )


def with_counts(spec: DataSpec, *stages: Stage) -> tuple[Stage, ...]:
    """Put a charged noisy histogram first when the class counts are private; scale the other shares to the rest."""
    if spec.class_counts is not None:
        return stages
    counts = Stage(COUNTS, 1, spec.num_classes, COUNTS_SHARE, purpose="noisy number of records per class")
    return (counts, *(replace(s, share=s.share * (1 - COUNTS_SHARE)) for s in stages))


def class_sizes(curator: Curator) -> Tensor:
    """Records per class [classes], float32: the declared counts, or the charged noisy histogram.

    A noisy count is kept above a tenth of an even share, so that dividing by it stays sane; a histogram that a crash has
    lost is replaced by even shares of the declared number of records.
    """
    spec = curator.spec
    if spec.class_counts is not None:
        return torch.tensor(spec.class_counts, dtype=torch.float32)
    even = spec.records / spec.num_classes
    try:
        noisy = curator.ask(COUNTS, 0, ClassCounts(spec.num_classes)).flatten()
    except AnswerLost:
        return torch.full((spec.num_classes,), even)
    return noisy.clamp_min(max(1.0, 0.1 * even))
