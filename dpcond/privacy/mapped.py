"""Private records behind a public per-record map that many releases share: computed once, and kept inside the wall."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dpcond.privacy.curator import PrivateRecords

KEEP_BYTES = 2**32  # mapped records over this size are computed anew in every release


class MappedRecords:
    """Records as a public map makes them. As private as the records: only a curator holds one.

    The map treats every record on its own, so a clipped statistic of a mapped record is one of the record. Whether its
    values are kept or computed anew changes speed and memory only; a network that serves as a map must not be changed.

    Args:
        records: the private records.
        mapping: records [B, *shape] -> [B, ...], a fixed public function; the curator probes that it keeps records apart.
        device: where it is computed, and its values kept.
        batch: records mapped at once.
    """

    def __init__(
        self, records: PrivateRecords, mapping: Callable[[Tensor], Tensor], device: torch.device, batch: int
    ) -> None:
        self.mapping, self._records, self._device = mapping, records, device
        self._kept: tuple[Tensor, Tensor] | None = None
        if len(records) and self._bytes() <= KEEP_BYTES:
            parts = [self._read(slice(i, i + batch)) for i in range(0, len(records), batch)]
            self._kept = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])

    def _bytes(self) -> int:
        return len(self._records) * self._read(slice(0, 1))[0].nbytes

    @torch.no_grad()
    def _read(self, indices: Any) -> tuple[Tensor, Tensor]:
        x, y = self._records.batch(indices)
        return self.mapping(x.to(self._device)), y.to(self._device)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return "MappedRecords(private)"

    def batch(self, indices: Any) -> tuple[Tensor, Tensor]:
        """Mapped records [B, ...] and labels [B] at an int64 array of indices."""
        if self._kept is None:
            return self._read(indices)
        x, y = self._kept
        return x[indices], y[indices]
