"""Public state of a long optimisation on disk, so that interrupted work resumes."""

from __future__ import annotations

import os
import time
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from dpcond.methods.base import Run

EVERY_SECONDS = 20.0


class Checkpoint:
    """Saves a synthetic set, its optimiser and a few plain values every 20 seconds; answers only ever shaped it."""

    def __init__(self, run: Run, name: str, module: nn.Module, optimizer: Optimizer) -> None:
        self._path = None if run.checkpoints is None else run.checkpoints / f"{name}.pt"
        self._module, self._optimizer = module, optimizer
        self._saved = time.monotonic()

    def restore(self) -> dict[str, Any]:
        """Load the last state, if any, in place; returns the plain values saved with it."""
        if self._path is None or not self._path.exists():
            return {}
        state = torch.load(self._path, weights_only=True)
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        return state["values"]

    def maybe_save(self, **values: Any) -> None:
        """Save when 20 seconds have passed since the last time."""
        if self._path is None or time.monotonic() - self._saved < EVERY_SECONDS:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        state = {"module": self._module.state_dict(), "optimizer": self._optimizer.state_dict(), "values": values}
        torch.save(state, partial)
        os.replace(partial, self._path)
        self._saved = time.monotonic()
