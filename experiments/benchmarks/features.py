"""Speed of the teacher's public features, in CPU time on one thread."""

from __future__ import annotations

from typing import Any

import torch

from dpcond.models.scattering import Scattering
from experiments.benchmarks.wall import BATCH, SHAPE, inputs, ratios

RECORDS = 60_000


def scattering() -> dict[str, Any]:
    """Scattering of one batch of 28×28 images beside a forward pass of the field's ConvNet."""
    net, x, _ = inputs()
    maps = Scattering(1, SHAPE[1:])
    with torch.no_grad():
        found = ratios({"scattering": lambda: maps(x), "ConvNet forward": lambda: net(x)})
    return {
        "seconds": found,
        "over the ConvNet's forward": found["scattering"] / found["ConvNet forward"],
        f"seconds on two cores for {RECORDS:,} images (goal ≤ 60)": found["scattering"] * RECORDS / BATCH / 2,
    }
