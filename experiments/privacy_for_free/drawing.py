"""A part's figures as inline SVG, small pictures as PNG: no script, no font and no picture from elsewhere."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np

COLOURS = (
    "#3b6fe0",
    "#e0662f",
    "#1a936f",
    "#a23bb8",
    "#b8901a",
    "#6b7a90",
    "#d6336c",
    "#2aa1b3",
    "#7d5a3c",
    "#8a8f00",
    "#5b4bb0",
    "#e08aa8",
    "#3f7d6b",
    "#c9b23c",
)
INK = "#010203"  # stands for the colour of the page's text, whatever the scheme
LOWEST = 1e-3  # of a ROC's axes
WIDTH, LABEL = 4.5, 32  # inches; letters of a name on an axis


def draw(figure: dict[str, Any], salt: str) -> str:
    """SVG text of a figure given as JSON (see part.Figure); "" for pictures, which are no SVG."""
    if figure["kind"] == "images":
        return ""
    painter = {"roc": _roc, "lines": _lines, "points": _points, "bars": _bars}[figure["kind"]]
    rows = len({place for series in figure["series"] for place in series["x"]}) * len(figure["series"])
    height = 0.9 + (0.2 if rows <= 24 else 0.1) * max(rows, 4) if figure["kind"] == "bars" else 3.0
    height += 0.15 * len(figure["series"])  # of the legend
    canvas, axes = _canvas(height)
    painter(axes, figure)
    if figure["line"] is not None:
        value, name = figure["line"]
        (axes.axvline if figure["kind"] == "bars" else axes.axhline)(value, color=INK, lw=1, ls="--", label=name)
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 0:
        longest = max(len(name) for name in names)
        columns = 1 if longest > 30 else 2 if longest > 14 else 3
        canvas.legend(
            handles, names, loc="outside lower center", ncols=columns, fontsize=8, frameon=False, labelcolor=INK
        )
    return _svg(canvas, salt)


def pictures(figure: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Rows of (label, data: URIs) of a figure of kind "images"."""
    return [(label, [png(np.asarray(image)) for image in images]) for label, images in figure["images"]]


def png(image: np.ndarray) -> str:
    """A grey picture [H, W] in 0..1 as a data: URI."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.uint8(255 * np.clip(image, 0, 1))).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _roc(axes: Any, figure: dict[str, Any]) -> None:
    grid = np.geomspace(LOWEST, 1, 50)
    axes.plot(grid, grid, color=INK, lw=1, ls=":", alpha=0.6, label="guessing")
    for colour, series in zip(_cycle(), figure["series"], strict=False):
        x, y = (np.maximum(series[axis], LOWEST) for axis in ("x", "y"))
        axes.step(x, y, where="post", color=colour, lw=1.5, label=series["name"])
    axes.set(xscale="log", yscale="log", xlim=(LOWEST, 1), ylim=(LOWEST, 1.1))
    _named(axes, figure)


def _lines(axes: Any, figure: dict[str, Any]) -> None:
    for colour, series in zip(_cycle(), figure["series"], strict=False):
        order = np.argsort(series["x"], kind="stable")
        x, y = np.asarray(series["x"])[order], np.asarray(series["y"])[order]
        axes.plot(x, y, "o-" if len(x) < 25 else "-", color=colour, lw=1.4, ms=4, label=series["name"])
        if series["low"] is not None:
            low, high = (np.asarray(series[end])[order] for end in ("low", "high"))
            axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    _scaled(axes, figure)


def _points(axes: Any, figure: dict[str, Any]) -> None:
    names: list[tuple[str, float, float, str]] = []
    for colour, series in zip(_cycle(), figure["series"], strict=False):
        x, y = series["x"], series["y"]
        if figure["log_x"]:
            x = [max(value, LOWEST) for value in x]  # a rate of zero has no place on such an axis
        if series["x"] == y:  # a reference: what equals what
            axes.plot(x, y, color=INK, lw=1, ls="--", alpha=0.7, label=series["name"])
            continue
        if series["low"] is not None:
            axes.vlines(x, series["low"], series["high"], color=colour, lw=2.5, alpha=0.35)
        axes.plot(x, y, "o", color=colour, ms=5, label=series["name"])
        names += [
            (name, place, value, colour) for name, place, value in zip(series["labels"] or [], x, y, strict=False)
        ]
    _scaled(axes, figure)
    _annotate(axes, names)


def _annotate(axes: Any, names: list[tuple[str, float, float, str]]) -> None:
    """Names beside their marks, less those that would lie on one that is there: the data beside the figure has them all."""
    axes.figure.draw_without_rendering()  # so that places on the canvas are known
    taken: list[tuple[float, float, float]] = []
    for name, x, y, colour in names:
        left, bottom = axes.transData.transform((x, y))
        right = left + 5.6 * min(len(name), 22)
        if all(abs(bottom - other) > 11 or right < start or left > end for start, end, other in taken):
            axes.annotate(_cut(name, 22), (x, y), (4, 3), textcoords="offset points", fontsize=7, color=colour)
            taken.append((left, right, bottom))


def _bars(axes: Any, figure: dict[str, Any]) -> None:
    """Horizontal, so that names can be read: one line a place, series below each other."""
    shown = figure["series"]
    names: dict[float, str] = {}
    for row, (colour, series) in enumerate(zip(_cycle(), shown, strict=False)):
        at = np.asarray(series["x"]) + (row - (len(shown) - 1) / 2) * 0.8 / max(len(shown), 1)
        axes.barh(
            at,
            series["y"],
            0.7 / len(shown),
            color=colour,
            alpha=0.75,
            label=series["name"] if len(shown) > 1 else None,
        )
        if series["low"] is not None:
            axes.hlines(at, series["low"], series["high"], color=INK, lw=1.4)
        names |= dict(zip(series["x"], series["labels"] or [f"{x:g}" for x in series["x"]], strict=False))
    axes.set_yticks(list(names), [_cut(name) for name in names.values()])
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set(xlabel=figure["y_label"], ylabel=figure["x_label"])
    if figure["log_y"]:
        axes.set_xscale("log")


def _scaled(axes: Any, figure: dict[str, Any]) -> None:
    if figure["log_x"]:
        axes.set_xscale("log")
    if figure["log_y"]:
        axes.set_yscale("log")
    axes.margins(x=0.12)
    _named(axes, figure)
    for axis, logarithmic in ((axes.xaxis, figure["log_x"]), (axes.yaxis, figure["log_y"])):
        if logarithmic:
            _sparse(axis)


def _sparse(axis: Any) -> None:
    """Few, plain numbers on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    within_a_decade = high / low < 100
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if within_a_decade else (1,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _named(axes: Any, figure: dict[str, Any]) -> None:
    axes.set(xlabel=figure["x_label"], ylabel=figure["y_label"])


def _cycle() -> list[str]:
    return list(COLOURS) * 4


def _cut(name: str, letters: int = LABEL) -> str:
    return name if len(name) <= letters else name[: letters - 1] + "…"


def _canvas(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = canvas.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, which="both", labelsize=8)
    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)
    axes.grid(color="#8a94a6", lw=0.5, alpha=0.35)
    axes.set_axisbelow(True)
    return canvas, axes


def _svg(canvas: Any, salt: str) -> str:
    """SVG text without XML header, dates, indentation or ids that change from run to run; its ink is the page's."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none", "font.family": "sans-serif"}):
        canvas.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = re.sub(r"(\.\d\d)\d{3,}", r"\1", buffer.getvalue())  # coordinates to a hundredth of a point
    return re.sub(r"\s*\n\s*", "\n", text[text.index("<svg") :]).replace(INK, "currentColor")
