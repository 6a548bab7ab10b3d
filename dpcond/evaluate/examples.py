"""What training and testing read: anything that has a length and hands out normalised batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from dpcond.errors import InputError


class Examples(Protocol):
    """Labelled examples in batches; ``dpcond.data.Records`` is one, :class:`Arrays` another."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised float32 examples [B, *shape] and labels: int64 [B] or probabilities [B, classes]."""
        ...


@dataclass(frozen=True, eq=False)
class Arrays:
    """Examples already normalised, in memory.

    Attributes:
        x: float32 [N, *shape].
        y: int64 labels [N], or probabilities [N, classes] (soft labels).
    """

    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x) or not self.x.is_floating_point():
            raise InputError(
                f"examples {self.x.dtype} {tuple(self.x.shape)} with {len(self.y)} labels: expected at least one "
                "normalised float example and a label each"
            )

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The chosen examples and their labels."""
        return self.x[indices], self.y[indices]
