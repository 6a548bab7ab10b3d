"""One self-contained HTML page of an audit: no script, no font, no picture from elsewhere."""

from pathlib import Path

from attacks.report.figures import auc_figure, roc_figure, strongest
from attacks.report.report import Report

WORDS = {"holds": "Holds", "violated": "Violated", "cannot tell": "Cannot tell"}


def render(report: Report, images: list[str]) -> str:
    """The page as text; `images` are data: URIs of exposed records, in their order, shown only because somebody asked."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.3g}%"
    order = strongest(report)
    return environment.get_template("page.html.j2").render(
        report=report,
        word="No claim" if report.verdict.claimed is None else WORDS[report.verdict.outcome],
        order=order,
        bounds=[(name, bound) for name in order for bound in report.attacks[name].bounds],
        roc=roc_figure(report),
        auc=auc_figure(report),
        images=images,
    )
