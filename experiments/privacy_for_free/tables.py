"""Rows of a part as a table for people: a value and its interval in one cell, shares as percentages, names in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

WORDS = {
    "auc": "AUC",
    "tpr_1pct": "TPR at FPR 1%",
    "tpr_01pct": "TPR at FPR 0.1%",
    "tpr_network": "the same, network alone",
    "subset_rate": "m/n",
    "n_in": "member scores",
    "n_out": "stranger scores",
    "zero_rules_out": "0 hits would leave",
    "smallest_tpr_01pct": "TPR needed at 0.1%",
    "seconds_each": "seconds each",
    "ipc": "per class",
    "init": "started from",
    "epsilon": "ε",
}
PERCENT = (
    "tpr",
    "accuracy",
    "subset_rate",
    "zero_rules_out",
    "smallest_tpr",
    "advantage",
    "TPR",
    "DCR share",
    "NNDR share",
    "own start",
    "closer than",
)
ENDS = (("_low", "_high"), (" low", " high"))


@dataclass(frozen=True)
class Table:
    """Column names and cells, all text."""

    columns: list[str]
    rows: list[list[str]]


def table(rows: list[dict[str, Any]]) -> Table:
    """All columns that occur, in the order of their first appearance; a missing value is an en dash."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    ends = {}
    for name in names:
        for low, high in ENDS:
            if name + low in names and name + high in names:
                ends[name] = (name + low, name + high)
    if "low" in names and "high" in names:  # of the column before them
        ends[names[names.index("low") - 1]] = ("low", "high")
    hidden = {end for pair in ends.values() for end in pair}
    columns = [name for name in names if name not in hidden]
    return Table(
        [heading(name) for name in columns], [[_cell(row, name, ends.get(name)) for name in columns] for row in rows]
    )


def heading(name: str) -> str:
    """A column's name in words."""
    return WORDS.get(name, name.replace("_", " "))


def _cell(row: dict[str, Any], name: str, ends: tuple[str, str] | None) -> str:
    value = shown(row.get(name), name)
    if ends is None or row.get(ends[0]) is None:
        return value
    low, high = (shown(row[end], name).rstrip("%") for end in ends)
    return f"{value} ({low}{' to ' if '-' in low + high else '–'}{high})"


def shown(value: Any, name: str = "") -> str:
    """A number with three or so digits, as a percentage where the name says it is a share."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return {"True": "yes", "False": "no"}.get(str(value), str(value))
    if name.startswith(PERCENT):
        return f"{100 * value:.3g}%" if abs(value) < 0.9995 else f"{100 * value:.4g}%"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
