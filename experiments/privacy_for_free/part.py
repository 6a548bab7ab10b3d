"""What a part of the debate hands back: tables, figures with their data, sentences computed from the numbers, and a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Outcome = Literal["supports Dong", "supports Carlini", "neither", "cannot tell"]
Kind = Literal["roc", "lines", "points", "bars", "images"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Series:
    """One curve or one group of marks; low and high are 95% intervals of y; labels name single marks or bars."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float] | None = None
    high: list[float] | None = None
    labels: list[str] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure as data: the page draws it, and prints the data beside it.

    kind "roc": log-log, with the diagonal; "lines"; "points": scatter with intervals; "bars": x is the place, labels its names;
    "images": no series, but `images`, rows of (label, pictures [H][W] in 0..1).
    """

    name: str  # unique within the part, fit for a file name
    caption: str
    kind: Kind
    x_label: str = ""
    y_label: str = ""
    series: list[Series] = field(default_factory=list)
    images: list[tuple[str, list[list[list[float]]]]] = field(default_factory=list)
    log_x: bool = False
    log_y: bool = False
    line: tuple[float, str] | None = None  # a horizontal reference and what it is


@dataclass(frozen=True)
class Part:
    """One point of the checklist. `numbers` are the named results that expected.toml compares with what was expected."""

    id: str
    title: str
    setting: str
    rows: list[Row]
    figures: list[Figure]
    findings: list[str]
    numbers: dict[str, float]
    outcome: Outcome
    seconds: float = 0.0
    tables: dict[str, list[Row]] = field(default_factory=dict)  # further tables by caption

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
