"""python -m experiments.privacy_for_free.readme: write the numbers of laptop/results.json into README.md, between its two markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.privacy_for_free.tables import Table, table
from experiments.privacy_for_free.verdicts import checked, owner_table, parts_of, tally

HERE = Path(__file__).parent
BEGIN, END = "<!-- numbers: begin -->", "<!-- numbers: end -->"


def numbers(results: dict[str, Any]) -> str:
    """The table for a data owner, and every question with its verdict, expectations and first finding, as Markdown."""
    lines = ["### What should a data owner do?", "", *markdown(table(owner_table(parts_of(results)))), ""]
    lines += ["### Claim by claim", ""]
    rows = []
    for id, part in parts_of(results).items():
        said = results["expected"][id]
        agreed, measured = tally(checked(said, part["numbers"]))
        rows.append([f"**{id}** {said['title']}", part["outcome"], f"{agreed} of {measured}", part["findings"][0]])
    lines += [*markdown(Table(["question", "this run", "as expected", "first finding (all: page.html)"], rows)), ""]
    lines += [f"{id} is absent: {reason}." for id, reason in results["absent"].items()]
    return "\n".join(lines).strip()


def markdown(content: Table) -> list[str]:
    """A table in Markdown."""
    rows = [content.columns, ["---"] * len(content.columns), *content.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def renewed(text: str, results: dict[str, Any]) -> str:
    """README.md with the numbers of these results."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{numbers(results)}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    file = HERE / "README.md"
    file.write_text(renewed(file.read_text(), json.loads((HERE / "laptop" / "results.json").read_text())))
