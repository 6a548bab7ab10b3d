"""What was expected before the run against what was measured, and the table for a data owner: both computed from results.json."""

from __future__ import annotations

import operator
from typing import Any

COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}
Json = dict[str, Any]


def parts_of(results: Json) -> dict[str, Json]:
    """The parts that were run, by id, out of results.json."""
    return {id: results[id] for id in results["expected"] if id in results}


def checked(expected: Json, numbers: dict[str, float]) -> list[Json]:
    """Each check of an entry of expected.toml, with the measured number, the bound, and whether they agree (None: not measured)."""
    rows = []
    for check in expected["checks"]:
        bound = numbers.get(check["than"]) if "than" in check else check["value"]
        value = numbers.get(check["number"])
        agrees = None if value is None or bound is None else bool(COMPARE[check["op"]](value, bound))
        rows.append({"says": check["says"], "op": check["op"], "bound": bound, "value": value, "agrees": agrees})
    return rows


def tally(rows: list[Json]) -> tuple[int, int]:
    """How many checks agree, of how many that were measured."""
    measured = [row["agrees"] for row in rows if row["agrees"] is not None]
    return sum(measured), len(measured)


def owner_table(parts: dict[str, Json]) -> list[Json]:
    """What should a data owner do? One row a choice, from E9 (accuracy, leak and cost on the audited halves) and E8 (all records)."""
    if "E9" not in parts:
        return []
    at_size = _at_full_size(parts.get("E8", {}).get("rows", []))
    rows = []
    for row in parts["E9"]["rows"]:
        rows.append(
            {
                "choice": row["what"],
                "ε": "unbounded" if row["epsilon"] == "none" else row["epsilon"],
                **{name: row[name] for name in ("accuracy", "accuracy_low", "accuracy_high")},
                **{name: row[name] for name in ("tpr_1pct", "tpr_1pct_low", "tpr_1pct_high")},
                **{name: row[name] for name in ("tpr_network", "tpr_network_low", "tpr_network_high")},
                **{name: row[name] for name in ("auc", "auc_low", "auc_high")},
                "accuracy with all records": at_size.get(_kind(row)),
                "seconds each": row["seconds_each"],
            }
        )
    return rows


def _kind(row: Json) -> tuple[str, Any]:
    """What a row of E9 corresponds to among those of E8."""
    group = row["group"]
    if group == "full data":
        return row["what"], "none"
    if group == "random subset":
        return (group if "10 per class" in row["what"] else ""), "none"
    if group in ("DM", "DC"):
        return (group if row["what"].endswith("10 per class, from noise") else ""), "none"
    made = row["what"].split(", ")[0]  # a private release names its method
    return made, row["epsilon"] if isinstance(row["epsilon"], str) else round(row["epsilon"], 1)


def _at_full_size(rows: list[Json]) -> dict[tuple[str, Any], float]:
    """Accuracies of E8 by kind."""
    found: dict[tuple[str, Any], float] = {}
    for row in rows:
        epsilon = row["epsilon"] if isinstance(row["epsilon"], str) else round(row["epsilon"], 1)
        if "method" in row:
            free = epsilon == "none"
            kind = (row["method"].upper() if free else f"private release ({row['method']})", epsilon)
        elif row["what"] == "random real subset":
            kind = ("random subset", "none")
        elif row["what"].startswith("DP-SGD"):
            kind = ("DP-SGD", epsilon)
        else:
            kind = (row["what"].replace("all records", "all members"), "none")
        found[kind] = row["accuracy"]
    return found


def owner_advice(rows: list[Json]) -> list[str]:
    """Sentences computed from the owner's table."""
    if not rows:
        return []
    safe = [row for row in rows if row["ε"] != "unbounded"]
    free = [row for row in rows if row["ε"] == "unbounded"]
    worst = max(free, key=lambda row: row["tpr_1pct"])
    quiet = [row for row in free if row["tpr_1pct_low"] <= 0.01]
    said = [
        f"Without a guarantee, the largest leak is that of “{worst['choice']}”: {worst['tpr_1pct']:.1%} of its members are named at a false-positive rate of 1%."
    ]
    if quiet:
        names = "; ".join(row["choice"] for row in quiet)
        faint = sum(row["auc_low"] > 0.5 for row in quiet)
        said.append(
            f"At that rate no leak was seen, by these two attacks and with this many records, for: {names}. That is not a guarantee. On average over all "
            f"records, {faint} of these {len(quiet)} do leak faintly (an AUC above one half, by {max(row['auc'] for row in quiet) - 0.5:.3f} at most), and in the linear "
            "case the mean alone gives members away (E10, E19)."
        )
    if safe:
        best = max(safe, key=lambda row: row["accuracy"])
        said.append(
            f"Of the choices with a guarantee, “{best['choice']}” is the most accurate on the audited halves: {best['accuracy']:.1%}."
        )
    return said


def shown_check(row: Json) -> Json:
    """A check's numbers as text: what had to hold, and what was measured."""
    word = {"<=": "at most", ">=": "at least", "<": "below", ">": "above", "==": "exactly"}[row["op"]]
    bound, value = ("–" if number is None else f"{number:.3g}" for number in (row["bound"], row["value"]))
    return {
        "wanted": f"{word} {bound}",
        "measured": value,
        "mark": {True: "as expected", False: "not as expected", None: "not measured"}[row["agrees"]],
    }
