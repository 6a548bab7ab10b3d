"""Faults to plant in the running wall, each as a context manager that takes it out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import torch

from dpcond.privacy.noise import GaussianNoise
from dpcond.privacy.queries import ClassSums, Query


@contextmanager
def none() -> Iterator[None]:
    """The honest wall."""
    yield


@contextmanager
def noise_off() -> Iterator[None]:
    """No noise is added."""
    with mock.patch.object(GaussianNoise, "draw", lambda self, shape, std: torch.zeros(shape, dtype=torch.float64)):
        yield


@contextmanager
def noise_halved() -> Iterator[None]:
    """Half of the planned standard deviation."""
    draw = GaussianNoise.draw
    with mock.patch.object(GaussianNoise, "draw", lambda self, shape, std: draw(self, shape, std / 2)):
        yield


@contextmanager
def record_counted_twice() -> Iterator[None]:
    """The last record of every batch is summed twice."""
    clean = ClassSums.sum

    def twice(self: ClassSums, x: torch.Tensor, y: torch.Tensor, **how: Any) -> torch.Tensor:
        return clean(self, torch.cat([x, x[-1:]]), torch.cat([y, y[-1:]]), **how)

    with mock.patch.object(ClassSums, "sum", twice):
        yield


@contextmanager
def replace_one_as_add() -> Iterator[None]:
    """Replace-one with the sensitivity of add/remove."""
    with mock.patch.object(Query, "sensitivity", lambda self, adjacency: self.record_norm()):
        yield


FAULTS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    fault.__name__: fault for fault in (noise_off, noise_halved, record_counted_twice, replace_one_as_add)
}
