"""Clipping in closed form: what bounds one record's influence on a sum."""

from __future__ import annotations

import torch
from torch import Tensor

HAIR = 2.0**-13  # clip this fraction under the bound, so that no rounding can carry a record over it


def clip_scales(norms: Tensor, bound: float) -> Tensor:
    """Factor per record that brings its norm to at most ``bound``, float64 [B]; 0 where it is not finite."""
    norms = norms.double()
    scales = (bound * (1 - HAIR) / norms.clamp_min(torch.finfo(torch.float64).tiny)).clamp_max(1.0)
    return torch.where(torch.isfinite(norms), scales, torch.zeros_like(scales))


def clip_rows(rows: Tensor, bound: float, *, grid: float | None = None) -> Tensor:
    """Clip every row of ``rows`` [B, k] to L2 norm ``bound``; float64, a hair under the bound.

    Args:
        rows: one statistic per record.
        bound: largest L2 norm a record may contribute.
        grid: round every value to a multiple of this step; the room rounding needs is taken off the bound first.

    A row with a NaN or an infinity becomes zero: one record must not be able to spoil a sum.
    """
    rows = rows.double()
    norms = torch.linalg.vector_norm(rows, dim=1)
    if grid is not None:
        bound = max(bound - grid * rows.shape[1] ** 0.5 / 2, 0.0)
    scales = clip_scales(norms, bound)
    clipped = torch.where(scales[:, None] > 0, rows, torch.zeros((), dtype=rows.dtype, device=rows.device))
    clipped = clipped * scales[:, None]
    return clipped if grid is None else torch.round(clipped / grid) * grid
