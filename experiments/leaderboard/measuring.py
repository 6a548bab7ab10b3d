"""One condensation seed of a row: condense, verify, judge. What is finished is kept and not done again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpcond import __version__
from dpcond.data import Data
from dpcond.errors import InputError
from dpcond.evaluate import Arrays, Examples, evaluate, evaluate_full, evaluate_table, get_protocol, random_real
from dpcond.pipeline import plan, run
from dpcond.release import Release, verify
from experiments.leaderboard.meter import Meter
from experiments.leaderboard.row import Row

Say = Callable[[str], None]
Found = dict[str, Any]


class NotVerified(RuntimeError):
    """A release of ours fails its own verification: nothing may be said about it."""


def measure(
    row: Row,
    seed: int,
    data: Data,
    folder: Path,
    found: Found,
    keep: Callable[[Found], None],
    say: Say,
    device: str = "auto",
) -> None:
    """Bring ``found``, what is known of this seed, to what the row asks; ``keep(found)`` after every step.

    Args:
        folder: of this seed; the run with its ledger, answers and release is in ``folder/run``.

    Raises:
        InputError: the folder holds a run with other settings.
        NotVerified: the release does not pass.
    """
    if row.method == "teacher":
        from experiments.leaderboard.teacher import measure_teacher

        return measure_teacher(row, seed, data, folder, found, keep, say, device)
    if not row.condenses:
        return _measure_real(row, seed, data, found, keep, say, device)
    if not found and not (folder / "run" / "release").exists():
        _condense(row, seed, data, folder, say, device)
    if found and all(model in found["hard"] for model in row.models):
        return None
    path = folder / "run" / "release"
    if found and not (path.exists() and fingerprint(path) == found["release"]):
        raise InputError(
            f"{path}: not the release of results/{row.name}.json, seed {seed}; bring it back, or remove the seed there"
        )
    release = _checked(row, seed, data, path, device)
    if not found:
        spent = json.loads((folder / "condensing.json").read_text())
        spent["killed"] |= spent.pop("open", False)
        found |= {"seed": seed, **_promise(path, release), "condensing": spent, "hard": {}, "soft": {}}
        keep(found)
    labels = {"hard": release.y}
    if release.soft_labels is not None and data.spec.kind == "image":
        labels["soft"] = release.soft_labels
    for model in row.models:
        for kind, y in labels.items():
            if model not in found[kind]:
                say(f"seed {seed}: training {model} on {kind} labels, protocol {row.protocol}")
                found[kind][model] = judge(row, seed, Arrays(release.x, y), data, model, device)
                keep(found)


def judge(row: Row, seed: int, examples: Examples, data: Data, model: str, device: str = "auto") -> Found:
    """One network, its own seed, trained by the row's protocol: accuracy (a table: also the two areas), time, memory."""
    assert data.test is not None
    classes = data.spec.num_classes
    with Meter() as used:
        if data.spec.kind == "table":
            metrics = evaluate_table(examples, data.test, classes, models=(model,), seeds=[seed])
            scores = metrics["models"][model]
            values = {name: scores[name]["mean"] for name in ("accuracy", "roc_auc", "average_precision")}
        else:
            settings: dict[str, Any] = {
                "models": (model,),
                "seeds": [seed],
                "dataset": data.spec.name,
                "device": device,
            }
            if row.method == "real":
                metrics = evaluate_full(examples, data.test, classes, **settings)
            else:
                metrics = evaluate(examples, data.test, classes, get_protocol(row.protocol), **settings)
            values = {"accuracy": metrics["models"][model]["mean"]}
    return {**values, "protocol": metrics["protocol"], "augmentation": metrics.get("augmentation"), **used.to_json()}


def fingerprint(release: Path) -> str:
    """What identifies a release: the hash of its manifest, which holds those of its files."""
    return hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest()


def _condense(row: Row, seed: int, data: Data, folder: Path, say: Say, device: str) -> None:
    """Condense in ``folder/run``, going on with what is there; the time of all sittings goes to condensing.json."""
    log = folder / "condensing.json"
    before = json.loads(log.read_text()) if log.exists() else {"seconds": 0.0, "peak_mib": 0, "killed": False}
    killed = before["killed"] or before.get("open", False)  # the time of a sitting that was killed is lost
    folder.mkdir(parents=True, exist_ok=True)
    _write(log, {**before, "open": True})
    say(f"seed {seed}: condensing")
    try:
        with Meter() as used:
            run(data, row.config(seed, device), folder / "run", resume=True, progress=_every_minute(seed, say))
    finally:
        sitting = {
            "seconds": round(before["seconds"] + used.seconds, 1),
            "peak_mib": max(before["peak_mib"], round(used.peak_mib)),
            "machine": used.machine,
            "killed": killed,
            "dpcond": __version__,
            "commit": _commit(),
        }
        _write(log, sitting)


def _checked(row: Row, seed: int, data: Data, path: Path, device: str) -> Release:
    """The release, once it has passed its verification and is the one that the row asks for."""
    report = verify(path)
    if not report.ok:
        failed = next(check for check in report.checks if not check.ok)
        raise NotVerified(f"{path}: {failed.name}: {failed.detail}")
    release = Release.load(path)
    if release.privacy["plan_hash"] != plan(data.spec, row.config(seed, device)).hash:
        raise InputError(f"{path}: condensed by another plan than row {row.name} has now; remove it, or give --out")
    return release


def _promise(path: Path, release: Release) -> Found:
    """What the release says of itself, and that it was verified."""
    privacy = release.privacy
    return {
        "release": fingerprint(path),
        "verified": True,
        "private": release.private,
        "epsilon": release.epsilon if release.private else None,
        "epsilon_by_accountant": {name: e for name, e in privacy["accountants"].items() if e is not None},
        "quoted": privacy["quoted"],
        "delta": privacy["delta"],
        "adjacency": privacy["adjacency"],
        "plan_hash": privacy["plan_hash"],
        "options": release.options,
    }


def _measure_real(
    row: Row, seed: int, data: Data, found: Found, keep: Callable[[Found], None], say: Say, device: str
) -> None:
    """Networks on real records: all of them, or ``ipc`` drawn by the seed. Not private, not a release."""
    if not found:
        found |= {"seed": seed, "verified": None, "private": False, "epsilon": None, "epsilon_by_accountant": {}}
        found |= {"condensing": {"dpcond": __version__, "commit": _commit()}, "hard": {}, "soft": {}}
    examples: Examples = data.records
    if row.method == "random-real":
        examples = random_real(data.records, data.spec.num_classes, row.ipc, seed)
    for model in row.models:
        if model not in found["hard"]:
            say(f"seed {seed}: training {model} on real records")
            found["hard"][model] = judge(row, seed, examples, data, model, device)
            keep(found)


def _every_minute(seed: int, say: Say) -> Callable[[int, int, str], None]:
    last = time.monotonic()

    def progress(done: int, total: int, message: str) -> None:
        nonlocal last
        if time.monotonic() - last > 60:
            last = time.monotonic()
            say(f"seed {seed}: {message} {done}/{total}")

    return progress


def _commit() -> str | None:
    """The code's commit, with a plus sign where dpcond/ differs from it; None outside a checkout."""
    here = Path(__file__).resolve().parents[2]
    try:
        said = [
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--", "dpcond"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return said[0] + ("+" if said[1] else "")


def _write(path: Path, value: Found) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    partial.replace(path)
