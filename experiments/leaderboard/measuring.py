"""One condensation seed of a row: condense, verify, judge. What is finished is kept and not done again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dpcond.data import Data
from dpcond.errors import InputError
from dpcond.evaluate import Arrays, Examples, evaluate, evaluate_full, evaluate_table, get_protocol, random_real
from dpcond.pipeline import plan, run
from dpcond.release import Release, verify
from experiments.leaderboard.meter import Meter, code, spent, timed
from experiments.leaderboard.row import Row
from experiments.leaderboard.teacher import train_and_judge

KINDS = ("hard", "soft")
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
    labels: Sequence[str] = KINDS,
) -> None:
    """Bring ``found``, what is known of this seed, to what the row asks; ``keep(found)`` after every step.

    Args:
        folder: of this seed; the run with its ledger, answers and release is in ``folder/run``.
        labels: which of ``hard`` and ``soft`` a released set is judged by now.

    Raises:
        InputError: the folder holds a run with other settings.
        NotVerified: the release does not pass.
    """
    if row.method == "teacher":
        return _measure_teacher(row, seed, data, folder, found, keep, say, device)
    if not row.condenses:
        return _measure_real(row, seed, data, found, keep, say, device)
    if not found and not (folder / "run" / "release").exists():
        _condense(row, seed, data, folder, say, device)
    if found:
        found.setdefault("labels", [kind for kind in KINDS if found[kind]])
    if found and all(model in found[kind] for model in row.models for kind in labels if kind in found["labels"]):
        return None
    path = folder / "run" / "release"
    if found and not (path.exists() and fingerprint(path) == found["release"]):
        raise InputError(
            f"{path}: not the release that seed {seed} of {row.name} was measured on; bring it back, or measure anew with --results DIR"
        )
    release = _checked(row, seed, data, path, device)
    if not found:
        soft = release.soft_labels is not None and data.spec.kind == "image"
        found |= {"seed": seed, **_promise(path, release), "condensing": spent(folder), "hard": {}, "soft": {}}
        found["labels"] = list(KINDS if soft else KINDS[:1])
        keep(found)
    for model in row.models:
        for kind in found["labels"]:
            if kind in labels and model not in found[kind]:
                y = release.y if kind == "hard" else release.soft_labels
                say(f"seed {seed}: training {model} on {kind} labels, protocol {row.protocol}")
                found[kind][model] = judge(row, seed, Arrays(release.x, y), data, model, device, say)
                keep(found)


def judge(row: Row, seed: int, examples: Examples, data: Data, model: str, device: str, say: Say) -> Found:
    """One network, its own seed, trained by the row's protocol: accuracy (a table: also the two areas), time, memory."""
    assert data.test is not None
    classes = data.spec.num_classes
    advance = every_minute(seed, say)
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
                "progress": lambda trained, done, total: advance(done, total, f"training {trained}"),
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
    """Condense in ``folder/run``, going on with what is there."""
    say(f"seed {seed}: condensing")
    with timed(folder):
        run(data, row.config(seed, device), folder / "run", resume=True, progress=every_minute(seed, say))


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


def _measure_teacher(
    row: Row,
    seed: int,
    data: Data,
    folder: Path,
    found: Found,
    keep: Callable[[Found], None],
    say: Say,
    device: str,
) -> None:
    """A teacher with the whole budget, judged by its own predictions; the ε is certified from its ledger."""
    if found:
        return
    say(f"seed {seed}: training the teacher")
    promise, judged = train_and_judge(row, seed, data, folder, device, every_minute(seed, say))
    found |= {"seed": seed, **promise, "condensing": spent(folder), "hard": {"teacher": judged}, "soft": {}}
    keep(found)


def _measure_real(
    row: Row, seed: int, data: Data, found: Found, keep: Callable[[Found], None], say: Say, device: str
) -> None:
    """Networks on real records: all of them, or ``ipc`` drawn by the seed. Not private, not a release."""
    if not found:
        found |= {"seed": seed, "verified": None, "private": False, "epsilon": None, "epsilon_by_accountant": {}}
        found |= {"condensing": code(), "hard": {}, "soft": {}}
    examples: Examples = data.records
    if row.method == "random-real":
        examples = random_real(data.records, data.spec.num_classes, row.ipc, seed)
    for model in row.models:
        if model not in found["hard"]:
            say(f"seed {seed}: training {model} on real records")
            found["hard"][model] = judge(row, seed, examples, data, model, device, say)
            keep(found)


def every_minute(seed: int, say: Say) -> Callable[[int, int, str], None]:
    """Progress, said once a minute."""
    last = time.monotonic()

    def progress(done: int, total: int, message: str) -> None:
        nonlocal last
        if time.monotonic() - last > 60:
            last = time.monotonic()
            say(f"seed {seed}: {message} {done}/{total}")

    return progress
