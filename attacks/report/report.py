"""The result of an audit, everything in it."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attacks.errors import InputError
from attacks.statistics import EpsilonBound, Estimate, Power, Verdict

FPRS = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class Metrics:
    """How well scores tell members from non-members; `tpr` is keyed by the false-positive rate."""

    auc: Estimate
    tpr: dict[str, Estimate]
    balanced_accuracy: Estimate
    curve: dict[str, list[float]]  # fpr and tpr of the step curve, thinned


@dataclass(frozen=True)
class AttackResult:
    """One attack: what it says, how well it did, its epsilon bounds, and the same attack on the controls."""

    name: str
    says: str
    metrics: Metrics
    bounds: tuple[EpsilonBound, ...]
    controls: dict[str, Metrics]


@dataclass(frozen=True)
class Report:
    """An audit. `subset_line` is m/n: TPR ≤ FPR + m/n for the naive release of m of n members, whatever the attack."""

    threat: str
    sees: str
    shows: str
    verdict: Verdict
    attacks: dict[str, AttackResult]
    power: Power
    members: int
    nonmembers: int
    released: int
    subset_line: float
    exposed: list[dict[str, Any]]
    claimed_epsilon: float | None = None
    delta: float = 1e-5
    families: dict[str, dict[str, Metrics]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries."""
        return asdict(self)

    def save(self, out: str | Path, images: list[str] | None = None) -> Path:
        """Write audit.json and audit.html to the folder; `images` (data: URIs of exposed records) only if asked for.

        Raises InputError if an audit lies there already, or nothing can be written.
        """
        from attacks.report.html import render

        folder = Path(out)
        check_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "audit.html").write_text(render(self, images or []), encoding="utf-8")
        (folder / "audit.json").write_text(json.dumps(self.to_json(), indent=1, default=_plain), encoding="utf-8")
        return folder


def check_free(folder: Path) -> None:
    """Raise InputError if an audit lies there already, or nothing can be written: asked before an audit, not only after it."""
    if (folder / "audit.json").exists():
        raise InputError(f"{folder}: holds an audit already; give another folder (--out)")
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InputError(f"cannot write {folder}: {there} is no folder that can be written; give another (--out)")


def _plain(value: Any) -> Any:
    """Numpy numbers and paths as JSON."""
    return value.item() if hasattr(value, "item") else str(value)
