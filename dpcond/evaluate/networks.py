"""Accuracy of networks trained on a set, with the protocol spelled out beside the number."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from dpcond.augment import default_strategy
from dpcond.errors import InputError
from dpcond.evaluate.examples import Examples
from dpcond.evaluate.protocols import DC, Protocol
from dpcond.evaluate.training import accuracy, train
from dpcond.models import Engine, reuse_freed_memory


def evaluate(
    examples: Examples,
    test: Examples,
    num_classes: int,
    protocol: Protocol = DC,
    *,
    models: Sequence[str] = ("convnet",),
    seeds: int | Sequence[int] = 5,
    dataset: str = "",
    device: str | torch.device = "auto",
    engine: Engine = "auto",
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Train every model on ``examples``, several seeds at once, and test the last iterates.

    Args:
        examples: the training set, hard or soft labels; e.g. ``Arrays(release images, labels)``.
        test: hard labels; read in batches.
        models: architectures; more than the protocol's ConvNet makes a cross-architecture table.
        seeds: how many (0, 1, …), or which.
        dataset: its name, which decides whether DSA flips (digits are not flipped).
        progress: called as progress(model, steps done, steps in all).

    Returns:
        JSON-able: ``protocol`` (all settings), ``augmentation`` (the DSA string used), ``labels`` ("hard" or "soft"),
        ``examples``, ``seeds``, ``device``, and under ``models`` per architecture ``accuracies``, ``mean``, ``std`` (of
        the seeds; 0 for one), ``options``, ``train_seconds`` and ``test_seconds``.
    """
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen or not models:
        raise InputError(f"evaluation with seeds {chosen}, models {list(models)}: give at least one of each")
    reuse_freed_memory()
    x, y = examples.batch(torch.arange(1))
    shape = tuple(x.shape[1:])
    image = len(shape) == 3
    strategy = default_strategy(dataset) if protocol.augmentation == "dsa" and image else "none"
    results: dict[str, Any] = {}
    used = ""
    for model in models:
        options = _options(model, shape, protocol)
        start = time.perf_counter()
        ensemble = train(
            examples,
            protocol,
            model,
            shape,
            num_classes,
            chosen,
            strategy=strategy,
            device=device,
            engine=engine,
            progress=None if progress is None else partial(progress, model),
            **options,
        )
        trained = time.perf_counter()
        accuracies = accuracy(ensemble, test)
        used = str(ensemble.device)
        results[model] = {
            **summary(accuracies),
            "options": options,
            "train_seconds": trained - start,
            "test_seconds": time.perf_counter() - trained,
        }
    return {
        "protocol": protocol.to_json(),
        "augmentation": strategy,
        "labels": "soft" if y.is_floating_point() else "hard",
        "examples": len(examples),
        "test_examples": len(test),
        "seeds": chosen,
        "select": "last iterate",
        "device": used,
        "models": results,
    }


def summary(values: Sequence[float], name: str = "accuracies") -> dict[str, Any]:
    """The numbers of several seeds (in [0, 1]), their mean and sample standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {name: list(values), "mean": statistics.fmean(values), "std": spread}


def _options(model: str, shape: tuple[int, ...], protocol: Protocol) -> dict[str, int]:
    """The protocol's ConvNet, with fewer blocks where an image cannot be halved that often (8×8 digits keep 3)."""
    if model != "convnet" or len(shape) != 3:
        return {}
    halvings = min(shape[1:]).bit_length() - 1
    return {"width": protocol.width, "depth": max(1, min(protocol.depth, halvings))}
