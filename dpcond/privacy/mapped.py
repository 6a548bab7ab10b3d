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
        mapping: records [B, *shape] -> [B, ...], a fixed public function; the curator has probed that it keeps records
            apart.
        device: where it is computed, and its values are kept.
        batch: records mapped at once.
    """

    def __init__(
        self, records: PrivateRecords, mapping: Callable[[Tensor], Tensor], device: torch.device, batch: int
    ) -> None:
        self._mapping, self._records, self._device = mapping, records, device
        self._kept: tuple[Tensor, Tensor] | None = None
        if len(records):
            self._keep(batch)

    def _keep(self, batch: int) -> None:
        count, (first, _) = len(self._records), self._map(slice(0, 1))
        if count * first.nbytes > KEEP_BYTES:
            return
        values = torch.empty(count, *first.shape[1:], dtype=first.dtype, device=self._device)
        labels = torch.empty(count, dtype=torch.int64, device=self._device)
        for start in range(0, count, batch):
            part = slice(start, start + batch)
            values[part], labels[part] = self._map(part)
        self._kept = values, labels

    def made_by(self, mapping: Callable[[Tensor], Tensor]) -> bool:
        """Whether these are the records as ``mapping`` makes them."""
        return self._mapping == mapping

    @torch.no_grad()
    def _map(self, indices: Any) -> tuple[Tensor, Tensor]:
        x, y = self._records.batch(indices)
        return self._mapping(x.to(self._device)), y.to(self._device)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return "MappedRecords(private)"

    def batch(self, indices: Any) -> tuple[Tensor, Tensor]:
        """Mapped records [B, ...] and labels [B] at an int64 array of indices."""
        if self._kept is None:
            return self._map(indices)
        values, labels = self._kept
        return values[indices], labels[indices]
