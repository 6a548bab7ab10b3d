"""The curves: accuracy against ε and against images per class, as SVG with their data beside."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.leaderboard import tables
from experiments.leaderboard.results import read_results
from experiments.leaderboard.row import Row, read_rows

FIGURES = Path(__file__).parent / "figures"

#: Colour, dash and mark of a method: apart in grey too.
STYLES = {
    "auto": ("#1d4ed8", "-", "o"),
    "dm": ("#c2410c", "--", "s"),
    "merf": ("#6b7280", ":", "^"),
    "teacher": ("#111827", "-.", "D"),
}
LABELS = {"auto": "auto", "dm": "dm", "merf": "DP-MERF", "teacher": "private teacher"}


@dataclass(frozen=True)
class Curve:
    """One figure: accuracy of Fashion-MNIST rows over one of their fields, the others fixed."""

    name: str
    title: str
    over: str
    axis: str
    ticks: tuple[float, ...]
    methods: tuple[str, ...]
    fixed: Mapping[str, Any]
    protocol: str = "quick"

    def rows(self, rows: Mapping[str, Row]) -> Iterator[Row]:
        """Its points: one row per method and tick."""
        for row in rows.values():
            judged = row.protocol == ("direct" if row.method == "teacher" else self.protocol)
            here = all(getattr(row, key) == value for key, value in self.fixed.items() if row.condenses or key != "ipc")
            place = row.section in ("curve", "ceiling") and row.data == "fashion-mnist" and row.private
            if place and judged and here and row.method in self.methods and getattr(row, self.over) in self.ticks:
                yield row


CURVES = (
    Curve(
        "accuracy-epsilon",
        "Fashion-MNIST, 10 images per class",
        "epsilon",
        "ε (δ = 1e-5)",
        (0.2, 0.5, 1.0, 2.0, 4.0, 10.0),
        ("auto", "dm", "merf", "teacher"),
        {"ipc": 10},
    ),
    Curve(
        "accuracy-ipc",
        "Fashion-MNIST, ε = 1",
        "ipc",
        "images per class",
        (1, 10, 20, 50, 100),
        ("auto", "merf"),
        {"epsilon": 1.0},
    ),
)


def points(curve: Curve, rows: Mapping[str, Row], results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a figure draws, in order; a point that was not run has no accuracy."""
    found = []
    for row in curve.rows(rows):
        result = tables.same_setting(row, results)
        for labels, key in (("hard", "accuracy"), ("soft", "accuracy_soft")):
            summary = result[key] if result else None
            if summary is not None or labels == "hard":
                found.append(
                    {
                        "row": row.name,
                        "method": row.method,
                        "labels": labels,
                        curve.over: getattr(row, curve.over),
                        "protocol": row.protocol,
                        "seeds": len(summary["values"]) if summary else 0,
                        "mean": summary["mean"] if summary else None,
                        "std": summary["std"] if summary else None,
                    }
                )
    order = {method: place for place, method in enumerate(curve.methods)}
    return sorted(found, key=lambda point: (order[point["method"]], point["labels"], point[curve.over]))


def drawable(data: list[dict[str, Any]]) -> bool:
    """Whether some method has a line, not only a point."""
    lines = Counter((point["method"], point["labels"]) for point in data if point["mean"] is not None)
    return max(lines.values(), default=0) > 1


def write(folder: Path = FIGURES) -> list[str]:
    """Write data and figure of every curve; says what was written."""
    rows, results = read_rows(), read_results()
    folder.mkdir(parents=True, exist_ok=True)
    said = []
    for curve in CURVES:
        data = points(curve, rows, results)
        (folder / f"{curve.name}.json").write_text(json.dumps(data, indent=1) + "\n")
        measured = [point for point in data if point["mean"] is not None]
        if drawable(measured):
            (folder / f"{curve.name}.svg").write_text(draw(curve, measured))
        said.append(f"{folder / curve.name}: {len(measured)} of {len(data)} points measured")
    return said


def section(rows: Mapping[str, Row], results: Mapping[str, Any]) -> str:
    """The figures in the README, how much of them is measured, and the commands for the rest."""
    parts = []
    for curve in CURVES:
        data = points(curve, rows, results)
        measured = sum(point["mean"] is not None for point in data)
        picture = f"![{curve.title}](figures/{curve.name}.svg)\n\n" if drawable(data) else ""
        teacher = ", the teacher by its own predictions" if "teacher" in curve.methods else ""
        versions = (
            "; points of `auto` are of [several versions](#which-version-a-row-is-of)"
            if "auto" in curve.methods
            else ""
        )
        parts.append(
            f"{picture}{curve.title}, accuracy over {curve.axis}: {measured} of {len(data)} points measured, protocol "
            f"*{curve.protocol}*{teacher}; a point without a bar is one seed's{versions} ([data](figures/{curve.name}.json))."
        )
    return "\n\n".join(parts) + tables.missing(rows, results, "curve")


def draw(curve: Curve, data: list[dict[str, Any]]) -> str:
    """The figure as SVG text: lines named at their ends, readable in grey and on a small screen."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {"svg.hashsalt": curve.name, "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 13}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(5.2, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e7eb", lw=0.8)
        axes.set_axisbelow(True)
        for method in curve.methods:
            for labels in ("hard", "soft"):
                own = [point for point in data if (point["method"], point["labels"]) == (method, labels)]
                if own:
                    _line(axes, curve, method, labels, own)
        axes.set(xscale="log", xlabel=curve.axis, ylabel="test accuracy, %", title=curve.title)
        axes.set_xticks(curve.ticks, [f"{tick:g}" for tick in curve.ticks])
        axes.set_xlim(curve.ticks[0] / 1.15, curve.ticks[-1] * 1.15)
        axes.minorticks_off()
        figure.legend(frameon=False, fontsize=12, handlelength=2.6, ncols=2, loc="outside lower center")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="white")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _line(axes: Any, curve: Curve, method: str, labels: str, own: list[dict[str, Any]]) -> None:
    colour, dash, mark = STYLES[method]
    x = [point[curve.over] for point in own]
    y = [100 * point["mean"] for point in own]
    spread = [100 * point["std"] for point in own]
    name = LABELS[method] + (", soft labels" if labels == "soft" else "")
    face = "white" if labels == "soft" else colour
    axes.errorbar(x, y, spread, color=colour, ls=dash, marker=mark, mfc=face, ms=6, lw=2, capsize=2, label=name)
