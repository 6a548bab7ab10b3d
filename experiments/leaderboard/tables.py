"""The tables of the README, one function each: rows and results in, Markdown out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dpcond.evaluate.protocols import PROTOCOLS
from dpcond.privacy.certificate import round_up
from experiments.leaderboard import cells
from experiments.leaderboard.anchors import anchors, published
from experiments.leaderboard.cells import NAMES, Result
from experiments.leaderboard.results import result_name
from experiments.leaderboard.row import NETWORKS, ROWS, Row, read_file

Rows = Mapping[str, Row]
Results = Mapping[str, Result]

AUDITS = Path(__file__).parent / "audits"
WHAT = {"real": "ConvNet on all real records", "random-real": "random real records", "teacher": "private teacher"}


def lines(rows: Rows, results: Results, section: str) -> Iterator[tuple[Row, Result | None]]:
    """Rows of a section with their result; a result by another protocol is a line of its own, below.

    The field's protocol in bfloat16 stands in for it where that was not run.
    """
    for row in rows.values():
        if row.section == section:
            others = {name: results.get(result_name(row, name)) for name in PROTOCOLS if name != row.protocol}
            if row.name in results or not (row.protocol in cells.FIELD and any(others.get(n) for n in cells.FIELD)):
                yield row, results.get(row.name)
            yield from ((row, other) for other in others.values() if other is not None)


def frontier(rows: Rows, results: Results) -> str:
    """Accuracy at a budget, beside what is to be reached and what was published."""
    found = sorted(lines(rows, results, "frontier"), key=lambda pair: _setting(pair[0]))
    head = [
        "data",
        "ε",
        "ipc",
        "method",
        "protocol",
        "hard labels %",
        "soft labels %",
        "must reach",
        "aim",
        "published",
    ]
    body = []
    for row, result in found:
        setting = [NAMES[row.data], cells.budget(row), str(row.ipc), cells.method(row, result)]
        judged = [cells.protocol(result["protocol"] if result else row.protocol), *cells.labels(row, result)]
        body.append([*setting, *judged, *cells.targets(row, result), cells.beside(row, result)])
    said = dict.fromkeys(f"`{row.method}`: {row.tuned_on}" for row, _ in found if cells.tuned(row))
    remark = f"\n\n† tuned on evaluation data. {'; '.join(said)}." if said else ""
    return cells.table(head, body) + remark + missing(rows, results, "frontier")


def headline(rows: Rows, results: Results) -> str:
    """Of the frontier what was measured by the field's protocol, in the better kind of labels, beside the best published."""
    body = []
    for row, result in sorted(lines(rows, results, "frontier"), key=lambda pair: _setting(pair[0])):
        if result is not None and result["protocol"] in cells.FIELD:
            found = {
                kind: result[key] for kind, key in (("hard", "accuracy"), ("soft", "accuracy_soft")) if result[key]
            }
            labels = max(found, key=lambda kind: found[kind]["mean"])
            setting = [NAMES[row.data], cells.budget(row), str(row.ipc), cells.method(row, result), labels]
            judged = [_protocol(row, result), f"**{cells.accuracy(found[labels], len(row.seeds))}**"]
            body.append([*setting, *judged, cells.beside(row, result)])
    head = ["data", "ε", "images per class", "method", "labels", "protocol", "accuracy %", "best published"]
    return cells.table(head, body)


def small(rows: Rows, results: Results) -> str:
    """Few records."""
    body = [
        [
            row.data,
            cells.budget(row),
            str(row.ipc),
            f"`{row.method}`",
            _protocol(row, result),
            *cells.labels(row, result),
        ]
        for row, result in lines(rows, results, "small")
    ]
    head = ["data", "ε", "ipc", "method", "protocol", "hard labels %", "soft labels %"]
    return cells.table(head, body) + missing(rows, results, "small")


def tabular(rows: Rows, results: Results) -> str:
    """ROC-AUC and average precision of classifiers trained on released rows, and on real ones."""
    found = list(lines(rows, results, "table"))
    models = found[0][0].models
    metrics = {"roc_auc": "ROC-AUC", "average_precision": "average precision"}
    head = ["trained on", "ε", "ipc", *(f"{model}: {name}" for name in metrics.values() for model in models)]
    body = []
    for row, result in found:
        on = "all real rows (not private)" if row.method == "real" else f"`{row.method}`"
        cell = ["not run", *["–"] * (2 * len(models) - 1)]
        if result is not None:
            areas = [result["tabular"][metric].get(model) for metric in metrics for model in models]
            cell = [cells.accuracy(area, len(row.seeds), 3, 1.0) for area in areas]
        body.append([on, cells.budget(row), str(row.ipc) if row.condenses else "–", *cell])
    return cells.table(head, body) + missing(rows, results, "table")


def ceilings(rows: Rows, results: Results) -> str:
    """What bounds the frontier."""
    body = []
    for row, result in lines(rows, results, "ceiling"):
        what = (
            WHAT.get(row.method) or f"our `{row.method}`{' with DSA' if row.options.get('augment') else ''}, no noise"
        )
        ipc = str(row.ipc) if row.condenses else "–"
        theirs = [cells.line(one) for one in published(row.data, None, row.ipc)] if row.condenses else []
        cell = [NAMES[row.data], what, cells.budget(row), ipc, _protocol(row, result), cells.labels(row, result)[0]]
        body.append([*cell, "; ".join(theirs) or "–"])
    head = ["data", "what", "ε", "ipc", "protocol", "accuracy %", "published, not private"]
    remark = f"\n\nPublished: {', '.join(_sources(private=False))}."
    return cells.table(head, body) + remark + missing(rows, results, "ceiling")


def architectures(rows: Rows, results: Results) -> str:
    """One release, four networks."""
    body = []
    for row, result in lines(rows, results, "frontier"):
        if len(row.models) > 1:
            setting = f"{NAMES[row.data]}, ε = {row.epsilon:g}, ipc {row.ipc}"
            for kind in ("hard", "soft"):
                models = result["architectures"][kind] if result else {}
                cell = [cells.accuracy(models[m], len(row.seeds)) if m in models else "not run" for m in NETWORKS]
                if models or (kind == "hard" and not result):
                    body.append([setting, f"`{row.method}`", _protocol(row, result), kind, *cell])
    return cells.table(["data", "method", "protocol", "labels", "ConvNet", "MLP", "LeNet", "ResNet-18"], body)


def ablations(rows: Rows, results: Results, bases: tuple[str, ...]) -> str:
    """What is left when noise, features or matching are taken out; ``bases`` are the rows to compare with."""
    body = []
    named = [(rows[name], same_setting(rows[name], results)) for name in bases]
    found = [*named, *lines(rows, results, "ablation")]
    for row, result in sorted(found, key=lambda pair: list(NAMES).index(pair[0].data)):
        what = WHAT.get(row.method) or f"`{row.method}`" + "".join(f", {k} {v}" for k, v in row.options.items())
        setting = [row.removes or "nothing", what, cells.budget(row), str(row.ipc), _protocol(row, result)]
        body.append([NAMES[row.data], *setting, *cells.labels(row, result), row.note or "–"])
    head = ["data", "taken out", "method", "ε", "ipc", "protocol", "hard labels %", "soft labels %", "how"]
    remark = "\n\nLabels are taken out in the column of hard labels, beside soft ones of the same images."
    return cells.table(head, body) + remark + missing(rows, results, "ablation", also=bases)


def price(rows: Rows, results: Results) -> str:
    """ε by every accountant, time and memory of each measured release."""
    body = []
    for result in results.values():
        by = result["epsilon_by_accountant"]
        epsilons = [f"{round_up(by[a]):g}" if a in by else "–" for a in ("exact", "pld", "rdp", "prv")]
        verified = {True: "yes", False: "NO", None: "–"}[result["verified"]]
        body.append(
            [
                f"`{result['row']}`",
                cells.protocol(result["protocol"]),
                *epsilons,
                verified,
                cells.seconds(result["condense_seconds"], result["condense_seconds_at_least"]),
                cells.seconds(result["evaluate_seconds"]),
                f"{result['peak_mib']:.0f} MiB" if result["peak_mib"] else "–",
                result["machine"] or "–",
            ]
        )
    head = ["row", "protocol", "ε exact", "ε PLD", "ε RDP", "ε PRV", "verified", "condensing", "evaluation", "memory"]
    return cells.table([*head, "machine"], body)


def audited(folder: Path = AUDITS) -> str:
    """What the mechanism audits of ``attacks`` found, one line per audited row."""
    found = [(path.stem, json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    verdicts = [f"- `{name}`: {a['verdict']['sentence']} {a['gaussian_verdict']['sentence']}" for name, a in found]
    said = "One full-data answer of the wall at the row's ε, δ and noise, with and without a worst-case canary (not its plan):"
    return f"{said}\n\n" + "\n".join(verdicts) if verdicts else "Not run."


def anchored() -> str:
    """Everything published in the settings of the frontier, with sources."""
    sources = _sources(private=True)
    body = []
    for data in NAMES:
        for epsilon in (1.0, 10.0):
            for ipc in (10, 50, 0):
                said = "; ".join(
                    f"{one['accuracy']:.1f} {one['system']}{'*' if one['public'] else ''} [{sources.index(one['source']) + 1}]"
                    for one in published(data, epsilon, ipc)
                )
                if said:
                    body.append([NAMES[data], f"{epsilon:g}", str(ipc) if ipc else "60,000 images", said])
    numbered = "\n".join(f"[{number}] {source}  " for number, source in enumerate(sources, 1))
    return cells.table(["data", "ε", "ipc", "accuracy %"], body) + f"\n\n\\* with public {_public()}.\n\n{numbered}"


def _sources(private: bool) -> list[str]:
    lines = [line for line in anchors()["published"] if ("epsilon" in line) == private]
    return list(dict.fromkeys(line["source"] for line in lines))


def missing(rows: Rows, results: Results, section: str, also: tuple[str, ...] = ()) -> str:
    """The commands that measure what a section lacks; nothing when it is whole."""
    wanted = [*(rows[name] for name in also), *(row for row in rows.values() if row.section == section)]
    lacking: dict[str, list[str]] = {}
    for row in wanted:
        how = _lacks(row, results)
        if how is not None:
            lacking.setdefault(how, []).append(row.name)
    if not lacking:
        return ""
    commands = [
        f"python -m experiments.leaderboard run {' '.join(_by_file(names))}{how}" for how, names in lacking.items()
    ]
    said = "Not run, or not all seeds and networks (a row of an [earlier version](#which-version-a-row-is-of) anew, with `--results DIR`):"
    return f"\n\n{said}\n\n```\n" + "\n".join(commands) + "\n```"


def same_setting(row: Row, results: Results) -> Result | None:
    """The row's own result, or another row's of the very same experiment with more seeds."""
    found = [result for result in results.values() if result["config"] == row.identity()]
    return max(found, key=lambda result: len(result["seeds"]), default=None)


def _lacks(row: Row, results: Results) -> str | None:
    """Options of the command that measures what a row lacks; ``None`` when it is whole by its protocol or its stand-in."""
    others = [name for name in cells.FIELD if row.protocol in cells.FIELD and name != row.protocol]
    stand_in = next((results[result_name(row, name)] for name in others if result_name(row, name) in results), None)
    found = same_setting(row, results) or stand_in
    if found is None:
        return ""
    by_kind = {kind: models for kind, models in found["architectures"].items() if models}
    if any(
        all(len(models.get(model, {"values": ()})["values"]) >= len(row.seeds) for model in row.models)
        for models in by_kind.values()
    ):
        return None
    if found is not stand_in:
        return ""
    return f" --protocol {found['protocol']}" + (f" --labels {next(iter(by_kind))}" if len(by_kind) == 1 else "")


def _by_file(names: Iterable[str]) -> list[str]:
    """Names of rows; of a grid that lacks most of its rows, the name of its file (what is finished is not redone)."""
    wanted = list(names)
    for path in sorted(ROWS.glob("*.toml")):
        grid = [row.name for row in read_file(path)]
        lacking = [name for name in wanted if name in grid]
        if 1 < len(lacking) > len(grid) / 2:
            wanted[wanted.index(lacking[0])] = path.stem
            wanted = [name for name in wanted if name not in lacking]
    return wanted


def _setting(row: Row) -> tuple[int, float, int, bool]:
    return list(NAMES).index(row.data), row.epsilon, row.ipc, row.method != "auto"


def _protocol(row: Row, result: Result | None) -> str:
    return cells.protocol(result["protocol"] if result else row.protocol)


def _public() -> str:
    return ", ".join(dict.fromkeys(line["public"] for line in anchors()["published"] if line["public"]))
