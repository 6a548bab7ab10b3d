"""Is this installation fit to make a promise? Versions, device, randomness, and accountants against known values."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

LIBRARIES = ("torch", "torchvision", "opacus", "dp-accounting", "numpy", "scipy", "scikit-learn")

# One-shot Gaussian, noise multiplier 5, delta 1e-5: 0.72552175 exactly (Balle & Wang 2018).
# 1000 steps at rate 0.01, noise multiplier 1.1: 1.5154 by privacy loss distributions.
KNOWN = (((5.0, 1.0, 1), 0.7255, 0.7256), ((1.1, 0.01, 1000), 1.515, 1.516))


def diagnose() -> list[dict[str, Any]]:
    """Rows of (check, ok, found)."""
    import torch

    from dpcond.data import data_root
    from dpcond.privacy.adjacency import Adjacency
    from dpcond.privacy.certificate import certify
    from dpcond.privacy.events import Event
    from dpcond.privacy.noise import GaussianNoise

    rows: list[dict[str, Any]] = []
    for name in LIBRARIES:
        try:
            rows.append({"check": name, "ok": True, "found": version(name)})
        except PackageNotFoundError:
            rows.append({"check": name, "ok": False, "found": "not installed"})
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, computing on the CPU"
    rows.append({"check": "accelerator", "ok": True, "found": cuda})
    root = data_root()
    rows.append({"check": "data folder", "ok": True, "found": f"{root}{'' if root.exists() else ' (not there yet)'}"})
    draws = [GaussianNoise().draw((1000,), 1.0) for _ in range(2)]
    fresh = not torch.equal(*draws) and 0.8 < draws[0].std().item() < 1.2
    rows.append({"check": "secure noise", "ok": fresh, "found": "fresh on every draw" if fresh else "repeats itself"})
    for event, low, high in KNOWN:
        found = certify([Event(*event)], 1e-5, Adjacency.ADD_REMOVE).epsilon
        rows.append({"check": f"epsilon of {event}", "ok": low <= found <= high, "found": f"{found:.6g}"})
    return rows
