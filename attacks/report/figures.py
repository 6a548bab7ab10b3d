"""Figures of an audit as inline SVG."""

import io
from typing import Any

import numpy as np

from attacks.report.report import Report
from attacks.statistics import epsilon_delta_tradeoff

LOWEST = 1e-4
CURVES = 6  # attacks drawn
COLOURS = ("#2f5bea", "#e0662f", "#1a936f", "#a23bb8", "#c2a21b", "#5c6a7d")


def roc_figure(report: Report) -> str:
    """Log-log ROC of the strongest attacks with 95% intervals, the m/n line, chance, and what the claim allows."""
    figure, axes = _square()
    fpr = np.geomspace(LOWEST, 1, 200)
    axes.plot(fpr, fpr, color="#9aa3af", lw=1, ls=":", label="chance")
    line = np.minimum(fpr + report.subset_line, 1)
    axes.plot(
        fpr, line, color="#111827", lw=1.4, ls="--", zorder=5, label=f"random subset, m/n = {report.subset_line:.2g}"
    )
    if report.claimed_epsilon is not None and np.isfinite(report.claimed_epsilon):
        allowed = 1 - epsilon_delta_tradeoff(report.claimed_epsilon, report.delta, fpr)
        axes.fill_between(fpr, allowed, 1, color="#d64545", alpha=0.07, lw=0)
        axes.plot(fpr, allowed, color="#d64545", lw=1.4, label=f"most that ε = {report.claimed_epsilon:g} allows")
    for colour, name in zip(COLOURS, strongest(report)[:CURVES], strict=False):
        metrics = report.attacks[name].metrics
        x, y = (np.maximum(metrics.curve[axis], LOWEST) for axis in ("fpr", "tpr"))
        axes.step(x, y, where="post", color=colour, lw=1.6, label=name)
        for rate, tpr in metrics.tpr.items():
            axes.plot([float(rate)] * 2, np.maximum([tpr.low, tpr.high], LOWEST), color=colour, lw=3, alpha=0.35)
    axes.set(xscale="log", yscale="log", xlim=(LOWEST, 1), ylim=(LOWEST, 1.05))
    axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
    axes.legend(fontsize=7.5, frameon=False, loc="lower right")
    return _svg(figure)


def auc_figure(report: Report) -> str:
    """AUC of every attack with its interval, above those of its controls."""
    names = strongest(report)[::-1]
    figure, axes = _square(height=0.9 + 0.27 * len(names))
    marks = {"null": ("o", "#9aa3af"), "subset": ("|", "#111827"), "verbatim": ("D", "#1a936f")}
    for row, name in enumerate(names):
        result = report.attacks[name]
        for control, (mark, colour) in marks.items():
            if control in result.controls:
                axes.plot(result.controls[control].auc.value, row, mark, color=colour, ms=5, alpha=0.8)
        auc = result.metrics.auc
        axes.plot([auc.low, auc.high], [row, row], color=COLOURS[0], lw=4, alpha=0.4, solid_capstyle="round")
        axes.plot(auc.value, row, "o", color=COLOURS[0], ms=5)
    for control, (mark, colour) in marks.items():
        axes.plot([], [], mark, color=colour, label=f"control: {control}")
    axes.plot([], [], "o", color=COLOURS[0], label="this audit")
    axes.axvline(0.5, color="#9aa3af", lw=1, ls=":")
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    axes.set(xlabel="AUC", xlim=(min(0.4, axes.get_xlim()[0]), 1.02), ylim=(-0.7, len(names) - 0.3))
    axes.legend(fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4, handletextpad=0.2)
    return _svg(figure)


def strongest(report: Report) -> list[str]:
    """Attacks by TPR at 1% FPR, then AUC."""
    return sorted(
        report.attacks,
        key=lambda name: (report.attacks[name].metrics.tpr["0.01"].value, report.attacks[name].metrics.auc.value),
        reverse=True,
    )


def _square(height: float = 4.6) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e7eb", lw=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any) -> str:
    """SVG text without XML header, dates or ids that change from run to run."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "attacks", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
