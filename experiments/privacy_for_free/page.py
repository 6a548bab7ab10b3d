"""One self-contained HTML page of the debate: no script, no font, no picture from elsewhere; and the figures as files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.privacy_for_free.drawing import draw, pictures
from experiments.privacy_for_free.tables import Table, table
from experiments.privacy_for_free.verdicts import checked, owner_advice, owner_table, parts_of, shown_check, tally

LARGEST = 5_000_000  # bytes
WIDE = 6  # a table with more rows is folded away


def write_page(results: dict[str, Any], out: Path) -> Path:
    """Write page.html and figures/*.svg into `out`; returns the page. Raises ValueError if it would be 5 MB or more."""
    views = {id: view(id, results) for id in results["expected"]}
    text = render(results, views)
    if len(text.encode()) >= LARGEST:
        raise ValueError(f"the page would be {len(text.encode()):,} bytes, {LARGEST:,} or more")
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for id, part in views.items():
        for figure in part["figures"]:
            if figure["svg"]:
                (folder / f"{id}-{figure['name']}.svg").write_text(figure["svg"], encoding="utf-8")
    (out / "page.html").write_text(text, encoding="utf-8")
    return out / "page.html"


def render(results: dict[str, Any], views: dict[str, dict[str, Any]]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    owner = owner_table(parts_of(results))
    profile = results["profile"]
    return environment.get_template("page.html.j2").render(
        views=views,
        profile=profile,
        focus=profile["data"][profile["focus"]],
        owner=table(owner) if owner else None,
        advice=owner_advice(owner),
        absent=results["absent"],
        seconds=sum(part["seconds"] for part in parts_of(results).values()),
        shadow_seconds=sum(sum(cost.values()) for cost in results["cells"].values()),
        agreed=tally([row for part in views.values() for row in part["checks"]]),
    )


def view(id: str, results: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of one part, whether it was run or not."""
    said, part = results["expected"][id], results.get(id)
    if part is None:
        reason = results["absent"].get(id, "not run with this profile yet")
        return {"said": said, "part": None, "reason": reason, "checks": [], "figures": [], "tables": []}
    checks = checked(said, part["numbers"])
    figures = [drawn(id, figure) for figure in part["figures"]]
    tables = [("Measured", table(part["rows"]))] if part["rows"] else []
    tables += [(caption, table(rows)) for caption, rows in part["tables"].items() if rows]
    return {
        "said": said,
        "part": part,
        "reason": "",
        "checks": [row | shown_check(row) for row in checks],
        "tally": tally(checks),
        "figures": figures,
        "tables": [(caption, content, len(content.rows) <= WIDE) for caption, content in tables],
    }


def drawn(id: str, figure: dict[str, Any]) -> dict[str, Any]:
    """A figure, and its data as a table."""
    return {
        "name": figure["name"],
        "caption": figure["caption"],
        "svg": draw(figure, f"{id}-{figure['name']}"),
        "pictures": pictures(figure),
        "data": data_of(figure),
    }


def data_of(figure: dict[str, Any]) -> Table | None:
    """Every point of every series; a ROC curve thinned to what can be read."""
    rows = []
    for series in figure["series"]:
        step = max(1, len(series["x"]) // 40) if figure["kind"] == "roc" else 1
        for i in range(0, len(series["x"]), step):
            row: dict[str, Any] = {"series": series["name"]}
            if series["labels"]:
                row["what"] = series["labels"][i]
            row |= {figure["x_label"] or "place": series["x"][i], (figure["y_label"] or "value") + " ": series["y"][i]}
            if series["low"]:
                row |= {"low": series["low"][i], "high": series["high"][i]}
            rows.append(row)
    return table(rows) if rows else None
