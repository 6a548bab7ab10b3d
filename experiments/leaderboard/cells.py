"""Cells of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dpcond.evaluate import DC, DC_BF16
from experiments.leaderboard.anchors import best, target
from experiments.leaderboard.row import Row

NAMES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "adult": "Adult"}
FIELD = (DC.name, DC_BF16.name)  # what stands beside published numbers
Result = dict[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def accuracy(found: dict[str, Any] | None, asked: int, digits: int = 1, scale: float = 100.0) -> str:
    """``80.6 ± 0.2``; with fewer seeds than asked, how many of them."""
    if found is None:
        return "–"
    values = found["values"]
    spread = f" ± {scale * found['std']:.{digits}f}" if len(values) > 1 else ""
    partial = f" ({len(values)} of {asked} seeds)" if len(values) < asked else ""
    return f"{scale * found['mean']:.{digits}f}{spread}{partial}"


def labels(row: Row, result: Result | None) -> tuple[str, str]:
    """Accuracy in % on hard and on soft labels; of what was not run, that it was not."""
    if result is None:
        return "not run", "–"
    asked = len(row.seeds)
    return accuracy(result["accuracy"], asked), accuracy(result["accuracy_soft"], asked)


def protocol(name: str) -> str:
    """The field's protocol plainly, any other one in italics."""
    return name if name in FIELD else f"*{name}*"


def tuned(row: Row) -> bool:
    """Whether something was tuned on a benchmark's evaluation data."""
    return row.tuned_on not in ("", "nothing")


def method(row: Row, result: Result | None) -> str:
    """The method, with a dagger where it was tuned on evaluation data; a measured row has to say so or deny it."""
    return f"`{row.method}`" + (" †" if tuned(row) else " (tuning not stated)" if result and not row.tuned_on else "")


def targets(row: Row, result: Result | None) -> tuple[str, str]:
    """Must reach and aim, with the verdict where a whole row by the field's protocol allows one."""
    wanted = target(row.data, row.epsilon, row.ipc)
    if wanted is None or not _comparable(row, result):
        return "–", "–"
    reached = None
    if result is not None and len(result["seeds"]) >= len(row.seeds):
        reached = 100 * max(found["mean"] for found in (result["accuracy"], result["accuracy_soft"]) if found)
    return _verdict(wanted["must"], reached), _verdict(wanted["aim"], reached)


def _verdict(wanted: float, reached: float | None) -> str:
    if reached is None:
        return f"{wanted:.1f}"
    short = wanted - reached
    return f"{wanted:.1f}: " + ("**reached**" if short <= 0 else f"short by {short:.1f}")


def _comparable(row: Row, result: Result | None) -> bool:
    """Only accuracies by the field's protocol stand beside published ones."""
    return (result["protocol"] if result else row.protocol) in FIELD


def beside(row: Row, result: Result | None) -> str:
    """The best published lines of a row's setting."""
    if not _comparable(row, result):
        return "–"
    return "; ".join(line(found) for found in best(row.data, row.epsilon, row.ipc)) or "–"


def line(found: dict[str, Any]) -> str:
    """``81.6 Dosser (public images)``."""
    remarks = [*(["60,000 images"] if not found["ipc"] else []), *(["with public images"] if found["public"] else [])]
    return f"{found['accuracy']:.1f} {found['system']}" + (f" ({', '.join(remarks)})" if remarks else "")


def seconds(value: float | None, at_least: bool = False) -> str:
    """Seconds or minutes."""
    if value is None:
        return "–"
    return ("≥ " if at_least else "") + (f"{value:.0f} s" if value < 100 else f"{value / 60:.0f} min")


def budget(row: Row) -> str:
    """ε, or ∞."""
    return f"{row.epsilon:g}" if row.private else "∞"
