"""bfloat16 for public work: convolutions in half the time, float32 weights and sums. The wall always computes in float32."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def computing(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which networks compute in ``precision``; weights, losses and optimisers stay in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def fastest(device: torch.device) -> Precision:
    """bfloat16 where the processor multiplies it natively (elsewhere it is emulated, and slow)."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # absent in older versions
    return "bfloat16" if known.get("avx512_bf16") or known.get("amx_bf16") else "float32"
