"""What was measured, one JSON file per row and protocol: numbers per seed, and their summaries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dpcond
from dpcond.data import Data
from dpcond.errors import InputError
from dpcond.evaluate.networks import summary
from dpcond.pipeline import plan
from experiments.leaderboard.measuring import KINDS, Found, Say, measure
from experiments.leaderboard.row import Row, judged_by

RESULTS = Path(__file__).parent / "results"


def result_name(row: Row, protocol: str | None = None) -> str:
    """Where a row's result lies; one by another protocol than the row's own is a file of its own."""
    return row.name if protocol in (None, row.protocol) else f"{row.name}.{protocol}"


def read_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Everything measured so far, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def run_row(
    row: Row,
    out: Path,
    *,
    seeds: tuple[int, ...] | None = None,
    protocol: str | None = None,
    models: tuple[str, ...] | None = None,
    labels: tuple[str, ...] = KINDS,
    root: Path | None = None,
    device: str = "auto",
    results: Path = RESULTS,
    say: Say = print,
) -> dict[str, Any]:
    """Measure the seeds of a row that are not measured yet; after every step its result is on disk.

    Args:
        out: folder of the runs; each row has one there, shared by its protocols.
        seeds: which; default: all that the row asks for.
        protocol: instead of the row's own.
        models: the networks to train now; default: all that the row asks for.
        labels: the labels to train them on now.

    Raises:
        InputError: the result there is of another setting or of another version's plan, or the row cannot be run.
    """
    name, folder = result_name(row, protocol), out / row.name
    asked = judged_by(row, protocol or row.protocol, row.models)
    now = judged_by(asked, asked.protocol, models or asked.models)
    path = results / f"{name}.json"
    found = _seeds(path, asked)
    data = _load(asked, root)
    if row.condenses and set(seeds or asked.seeds) - set(found):
        _refuse_mixture(path, row, found, data)
    for seed in seeds or asked.seeds:

        def keep(one: Found, seed: int = seed) -> None:
            found.update(_seeds(path, asked) | {seed: one})  # other seeds may have been measured elsewhere meanwhile
            _save(path, summarise(name, asked, found))

        measure(now, seed, data, folder / f"seed-{seed}", found.get(seed, {}), keep, say, device, labels)
    return summarise(name, asked, found)


def summarise(name: str, row: Row, found: dict[int, Found]) -> dict[str, Any]:
    """The JSON of a result.

    ``accuracy`` is of the row's first model on hard labels, ``accuracy_soft`` the same on soft ones (null without);
    ``architectures`` holds every model, ``tabular`` the areas of a table. Times and memory are the largest of the seeds.
    """
    runs = [found[seed] for seed in sorted(found)]
    first = row.models[0]
    judged = [one[kind][model] for one in runs for kind in ("hard", "soft") for model in one[kind]]
    condensing = [one["condensing"] for one in runs]
    some = judged[0] if judged else {}
    architectures = {kind: _by_model(runs, kind, "accuracy") for kind in ("hard", "soft")}
    tabular = {metric: _by_model(runs, "hard", metric) for metric in ("roc_auc", "average_precision") if metric in some}
    return {
        "name": name,
        "row": row.name,
        "section": row.section,
        "data": row.data,
        "method": row.method,
        "options": next((one["options"] for one in runs if "options" in one), row.options),
        "private": all(one["private"] for one in runs),
        "epsilon": row.epsilon if row.private else None,
        "epsilon_stated": _largest(one["epsilon"] for one in runs),
        "epsilon_by_accountant": _accountants(runs),
        "delta": row.delta if row.private else None,
        "adjacency": row.adjacency,
        "ipc": row.ipc,
        "seeds": [one["seed"] for one in runs if any(first in one[kind] for kind in KINDS)],
        "seeds_asked": list(row.seeds),
        "protocol": some.get("protocol", {}).get("name", row.protocol),
        "protocol_settings": some.get("protocol"),
        "augmentation": some.get("augmentation"),
        "accuracy": architectures["hard"].get(first),
        "accuracy_soft": architectures["soft"].get(first),
        "architectures": architectures,
        "tabular": tabular or None,
        "condense_seconds": _largest(one.get("seconds") for one in condensing),
        "condense_seconds_at_least": any(one.get("killed", False) for one in condensing),
        "evaluate_seconds": _largest(one[kind].get(first, {}).get("seconds") for one in runs for kind in KINDS),
        "peak_mib": _largest([*(one.get("peak_mib") for one in condensing), *(one.get("peak_mib") for one in judged)]),
        "machine": next((one["machine"] for one in [*condensing, *judged] if one.get("machine")), None),
        "verified": all(one["verified"] for one in runs) if row.private or row.condenses else None,
        "releases": {str(one["seed"]): one["release"] for one in runs if "release" in one},
        "dpcond": dpcond.__version__,
        "tuned_on": row.tuned_on,
        "note": row.note,
        "config": row.identity(),
        "runs": runs,
    }


def mismatch(row: Row, result: dict[str, Any]) -> list[str]:
    """The settings in which a result differs from its row."""
    config = row.identity()
    return [key for key in config if result["config"].get(key) != config[key]]


def _seeds(path: Path, row: Row) -> dict[int, Found]:
    if not path.exists():
        return {}
    result = json.loads(path.read_text())
    other = mismatch(row, result)
    if other:
        raise InputError(
            f"{path}: measured with another {other[0]} than row {row.name} has now; name another folder with --results"
        )
    return {one["seed"]: one for one in result["runs"]}


def _refuse_mixture(path: Path, row: Row, found: dict[int, Found], data: Data) -> None:
    """Seeds under one ± are one method's: raise InputError where a kept one was condensed by another plan than it has now."""
    for seed, one in found.items():
        if "plan_hash" in one and one["plan_hash"] != plan(data.spec, row.config(seed)).hash:
            raise InputError(
                f"{path}: seed {seed} was condensed by an earlier version, with another plan than row {row.name} has now; "
                "to measure every seed anew, name another folder with --results"
            )


def _load(row: Row, root: Path | None) -> Data:
    return dpcond.load(row.data, root, public_counts=row.public_counts)


def _by_model(runs: list[Found], kind: str, metric: str) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(model for one in runs for model in one[kind])
    return {
        model: summary([one[kind][model][metric] for one in runs if model in one[kind]], "values") for model in names
    }


def _accountants(runs: list[Found]) -> dict[str, float]:
    """ε by every accountant, the largest of the seeds."""
    names = dict.fromkeys(name for one in runs for name in one["epsilon_by_accountant"])
    return {name: max(one["epsilon_by_accountant"][name] for one in runs) for name in names}


def _largest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _save(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    partial.replace(path)
