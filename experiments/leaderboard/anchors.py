"""Published accuracies and the targets, from anchors.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ANCHORS = Path(__file__).parent / "anchors.toml"


@cache
def anchors() -> dict[str, list[dict[str, Any]]]:
    """``target`` (data, epsilon, ipc, must, aim) and ``published`` (system, data, epsilon, ipc, accuracy, public, source).

    A published line without ``epsilon`` is not private; ``ipc`` 0 stands for 60,000 generated images.
    """
    return tomllib.loads(ANCHORS.read_text())


def target(data: str, epsilon: float, ipc: int) -> dict[str, Any] | None:
    """What is to be reached in a setting, if anything was said."""
    wanted = (data, epsilon, ipc)
    return next((t for t in anchors()["target"] if (t["data"], t["epsilon"], t["ipc"]) == wanted), None)


def published(data: str, epsilon: float | None, ipc: int) -> list[dict[str, Any]]:
    """Published lines of a setting, best first; ``epsilon`` None for those without privacy."""
    wanted = (data, epsilon, ipc)
    found = [p for p in anchors()["published"] if (p["data"], p.get("epsilon"), p["ipc"]) == wanted]
    return sorted(found, key=lambda line: -line["accuracy"])


def best(data: str, epsilon: float, ipc: int) -> list[dict[str, Any]]:
    """The best line without public data, and the best of all; of 60,000 images where no small set was published."""
    lines = published(data, epsilon, ipc) or published(data, epsilon, 0)
    free = [line for line in lines if not line["public"]]
    return [*lines[:1], *(free[:1] if lines[:1] != free[:1] else [])]
