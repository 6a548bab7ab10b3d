"""A release beside its baselines: random real records, all real records, and what a direct private answer is worth.

Nothing here flows back into a release. The baselines that read real records without noise are stamped not private; the
two private ones spend budgets of their own, the release's ε each, so publishing their numbers as well would cost 3ε.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from dpcond.data import Data
from dpcond.errors import InputError
from dpcond.evaluate.baselines import (
    chance,
    evaluate_full,
    evaluate_random_real,
    linear_head,
    linear_head_accuracy,
    mean_images,
    random_real,
)
from dpcond.evaluate.examples import Arrays, Examples
from dpcond.evaluate.networks import evaluate
from dpcond.evaluate.protocols import QUICK, Protocol, get_protocol
from dpcond.evaluate.tables import CLASSIFIERS, evaluate_table
from dpcond.methods.base import class_sizes, with_counts
from dpcond.methods.features import network_feature
from dpcond.methods.warm import mean_records
from dpcond.models import resolve_device
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.plan import Stage, make_plan
from dpcond.privacy.queries import Moments, Query
from dpcond.release import Release

Advance = Callable[[int, int, str], None]
HEAD_FEATURES = 512


def compare(
    release: Release,
    data: Data,
    protocol: str | None = None,
    *,
    models: Sequence[str] | None = None,
    seeds: int = 5,
    baselines: bool = True,
    device: str = "auto",
    progress: Advance | None = None,
) -> dict[str, Any]:
    """Metrics of a release and of its baselines on ``data.test``, JSON-able, with a ``table`` of rows for people.

    Args:
        protocol: of networks on images; default ``quick``. Tables have none: scikit-learn's classifiers as they are.
        models: networks, default the ConvNet; of tables classifiers, default all.

    Raises:
        InputError: no test data, data of another shape or with other classes than the release, or a protocol for a table.
    """
    spec = data.spec
    if data.test is None:
        raise InputError(
            f"{spec.name} has no test records: give some (test=…, --test-data), evaluation never uses the private ones"
        )
    if (release.spec.shape, release.spec.classes) != (spec.shape, spec.classes):
        raise InputError(
            f"release of {release.spec.name} {release.spec.shape} with {release.spec.num_classes} classes does not fit "
            f"{spec.name} {spec.shape} with {spec.num_classes}: evaluate it on the data it was made from"
        )
    if spec.kind == "table":
        if protocol is not None:
            raise InputError(f"protocol {protocol!r}: a table is judged by classifiers as they are; leave it out")
        return _compare_table(release, data, tuple(models or CLASSIFIERS), seeds, baselines)
    chosen, names = get_protocol(protocol or QUICK.name), tuple(models or ("convnet",))

    def judge(what: str, examples: Examples, using: Protocol = chosen, **options: Any) -> dict[str, Any]:
        assert data.test is not None
        watch = None if progress is None else (lambda model, done, total: progress(done, total, f"{what} {model}"))
        return evaluate(
            examples,
            data.test,
            spec.num_classes,
            using,
            seeds=seeds,
            dataset=spec.name,
            device=device,
            progress=watch,
            **options,
        )

    ipc = max(1, len(release) // spec.num_classes)
    if baselines:
        # Where a class has too few it is refused now, not after the release was judged.
        random_real(data.records, spec.num_classes, ipc)
    result: dict[str, Any] = {"release": judge("release", Arrays(release.x, release.y), models=names)}
    if release.soft_labels is not None:
        result["release, soft labels"] = judge("soft", Arrays(release.x, release.soft_labels), models=names)
    if baselines:
        common: dict[str, Any] = {"dataset": spec.name, "device": device}
        result["random real subset"] = evaluate_random_real(
            data.records, data.test, spec.num_classes, ipc, chosen, seeds=seeds, **common
        )
        result["all real records"] = evaluate_full(data.records, data.test, spec.num_classes, seeds=1, **common)
        if math.isfinite(release.epsilon):
            result["DP mean images"] = judge("means", dp_mean_images(release, data, device)) | _again(release)
            result["DP linear head"] = dp_linear_head(release, data, device) | _again(release)
        result["chance"] = chance(data.test, spec.num_classes)
    result["table"] = [row for name, found in result.items() for row in _rows(name, found, release)]
    return result


def _again(release: Release) -> dict[str, Any]:
    return {
        "private": True,
        "epsilon": release.epsilon,
        "note": "spends the release's epsilon once more, beside the release",
    }


def _rows(name: str, found: dict[str, Any], release: Release) -> list[dict[str, str]]:
    """Rows of one result: what was trained on, and by which protocol over how many seeds, beside the accuracy and the promise."""
    if name.startswith("release"):
        promise = f"ε = {release.epsilon:g}" if release.private else "not private"
    else:
        promise = (
            f"ε = {found['epsilon']:g}" if "epsilon" in found else "yes" if found.get("private") else "not private"
        )
    models = found.get("models", {found.get("model", "-"): found})
    return [
        {
            "what": name,
            "model": model,
            "labels": found.get("labels", "-"),
            "protocol": found["protocol"]["name"] if "protocol" in found else "-",
            "seeds": str(len(found["seeds"])) if "seeds" in found else "-",
            "accuracy %": f"{100 * value['mean']:.2f}"
            + (f" ± {100 * value['std']:.2f}" if len(value.get("accuracies", ())) > 1 else ""),
            "privacy": promise,
        }
        for model, value in models.items()
    ]


def _ask(release: Release, data: Data, query: Query, device: str) -> tuple[torch.Tensor, torch.Tensor, float]:
    """One full-data release of ``query`` at the ε of ``release``: answer, class sizes, noise std."""
    stage = Stage("baseline", 1, query.dimension, 1.0, purpose="baseline of an evaluation")
    promised = release.privacy
    plan = make_plan(
        with_counts(data.spec, stage),
        release.epsilon,
        promised["delta"],
        promised["adjacency"],
        {"baseline": query.name},
    )
    with (
        tempfile.TemporaryDirectory(prefix="dpcond-") as scratch,
        Ledger.create(Path(scratch) / "ledger", plan) as ledger,
    ):
        curator = Curator(
            data.spec, plan, data.records, ledger, answers=Path(scratch) / "answers", device=resolve_device(device)
        )
        std = plan.event("baseline").noise_multiplier * query.sensitivity(plan.adjacency)
        return curator.ask("baseline", 0, query), class_sizes(curator), std


def dp_mean_images(release: Release, data: Data, device: str = "auto") -> Arrays:
    """The noisy mean image of each class at the release's ε (LDPDC's baseline)."""
    spec = data.spec
    answer, sizes, _ = _ask(release, data, mean_records(spec), device)
    return mean_images(answer, sizes, spec)


def dp_linear_head(release: Release, data: Data, device: str = "auto") -> dict[str, Any]:
    """Accuracy of a ridge classifier from one noisy release of second moments of random features, at the release's ε."""
    assert data.test is not None
    feature = network_feature(data.spec, 0, width=128, device=resolve_device(device), projection=HEAD_FEATURES)
    query = Moments(feature, data.spec.num_classes, f"random ConvNet, {HEAD_FEATURES} projections")
    answer, _, std = _ask(release, data, query, device)
    weights = linear_head(*query.unpack(answer), noise_std=std)
    return linear_head_accuracy(weights, feature.public, data.test) | {"model": "linear"}


def _compare_table(release: Release, data: Data, models: Sequence[str], seeds: int, baselines: bool) -> dict[str, Any]:
    assert data.test is not None
    classes = data.spec.num_classes
    judged = evaluate_table(Arrays(release.x, release.y), data.test, classes, models=models, seeds=seeds)
    result: dict[str, Any] = {"release": judged}
    if baselines:
        result["all real records"] = evaluate_table(data.records, data.test, classes, models=models, seeds=1) | {
            "private": False
        }
    result["table"] = [
        {
            "what": name,
            "model": model,
            "seeds": str(len(found["seeds"])),
            **{metric: f"{value[metric]['mean']:.4f}" for metric in ("roc_auc", "average_precision", "accuracy")},
            "privacy": (f"ε = {release.epsilon:g}" if release.private else "not private")
            if name == "release"
            else "not private",
        }
        for name, found in result.items()
        for model, value in found["models"].items()
    ]
    return result
