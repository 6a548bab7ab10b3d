"""Where tensors live: ``auto`` is CUDA when there is one, else the CPU."""

from __future__ import annotations

import torch

from dpcond.errors import InputError


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The torch device that ``device`` (``auto``, ``cpu``, ``cuda``, ``cuda:1``…) stands for; InputError when it is not here."""
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise InputError(f"device {device!r}: expected 'auto', 'cpu', 'cuda' or 'cuda:N'") from None
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r}: {torch.cuda.device_count()} CUDA devices here; use 'auto' or 'cpu'")
    return resolved
