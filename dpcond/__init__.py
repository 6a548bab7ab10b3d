"""Condense a private dataset into a tiny synthetic one that is provably differentially private.

>>> import dpcond
>>> data = dpcond.load("digits")
>>> release = dpcond.condense(data, method="dm", epsilon=1.0, delta=1e-5, ipc=10)
>>> release.save("my-release")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dpcond.data import load as load
    from dpcond.pipeline import condense as condense
    from dpcond.release import Release as Release
    from dpcond.release import verify as verify

_HOMES = {
    "load": "dpcond.data",
    "condense": "dpcond.pipeline",
    "Release": "dpcond.release",
    "verify": "dpcond.release",
}

__all__ = ["Release", "__version__", "condense", "load", "verify"]


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that importing dpcond costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dpcond' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
