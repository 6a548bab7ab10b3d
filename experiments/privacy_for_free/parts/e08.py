"""E8: accuracy at the same number of synthetic images and all real records: condensers with and without a guarantee, and baselines."""

from __future__ import annotations

import json
import time
import warnings
import zlib
from typing import Any

import numpy as np
import torch
from pydantic import Field

import dpcond
from attacks import Records
from attacks.students.noisy_linear import NoisyLinear
from dpcond.config import checked
from dpcond.data import Data
from dpcond.decoding import denormalize
from dpcond.evaluate import Arrays, Examples, Protocol, evaluate, random_real
from dpcond.evaluate.networks import summary
from dpcond.release import Release
from experiments.privacy_for_free.frame import Frame, write_json
from experiments.privacy_for_free.part import Figure, Part, Row, Series
from experiments.privacy_for_free.private_runs import DELTA, dpsgd_noise, unit_pixels
from experiments.privacy_for_free.profile import Strict

ABSENT = "cGAN, GS-WGAN, DP-Sinkhorn and DP-KIP are not built here; their published numbers are not repeated."


class Condenser(Strict):
    """A method at several ε; 0 stands for no privacy at all."""

    epsilons: tuple[float, ...]
    options: dict[str, Any] = Field(default_factory=dict)


class Sizes(Strict):
    """parts.E8."""

    ipc: int = Field(10, ge=1)
    test: int = Field(2000, ge=100)
    seeds: int = Field(2, ge=1)
    epochs: int = Field(60, ge=1)
    width: int = Field(32, ge=1)
    dpsgd: tuple[tuple[float, float], ...] = ((0.5, 8.0), (1.0, 8.0), (4.0, 16.0), (10.0, 16.0))  # ε and learning rate
    dpsgd_steps: int = Field(60, ge=1)
    full_epochs: int = Field(3, ge=1)
    methods: dict[str, Condenser] = Field(
        default_factory=lambda: {"dm": Condenser(epsilons=(0, 0.5, 1, 4, 10)), "merf": Condenser(epsilons=(1, 10))}
    )


def run(frame: Frame) -> Part:
    sizes: Sizes = checked(Sizes, frame.profile.part("E8"), "parts.E8")
    data = dpcond.load(frame.profile.data[frame.profile.focus].source, frame.data_root)
    assert data.test is not None
    test = Arrays(*data.test.batch(torch.arange(min(sizes.test, len(data.test)))))
    rows = [
        released(frame, data, test, sizes, name, epsilon)
        for name, given in sizes.methods.items()
        for epsilon in given.epsilons
    ]
    subset = judge(
        frame, "random real subset", random_real(data.records, data.spec.num_classes, sizes.ipc), test, data, sizes
    )
    direct = [linear(data, test, sizes, None, 16.0), *(linear(data, test, sizes, e, rate) for e, rate in sizes.dpsgd)]
    full = perceptron(data, test, sizes)
    everything = [*rows, subset, *direct, full]
    return Part(
        id="E8",
        title="Is a condensed set more useful than differentially private synthetic data?",
        setting=f"All {len(data.records):,} training records of {data.spec.name}, {sizes.ipc} synthetic images a class, one release each. A ConvNet "
        f"(width {sizes.width}, {sizes.epochs} epochs with augmentation, {sizes.seeds} seeds, last iterate) is trained on each set and tested on "
        f"{len(test):,} records. Short runs: the same methods reach more with their full protocol (experiments/first_numbers).",
        rows=everything,
        figures=[figure(rows, subset)],
        findings=findings(everything, rows),
        numbers=numbers(rows),
        outcome=outcome(rows, direct),
    )


def released(frame: Frame, data: Data, test: Examples, sizes: Sizes, method: str, epsilon: float) -> Row:
    """Condense (or take the release of an interrupted run), verify nothing is missing, train, test."""
    what = f"{method}, not private" if epsilon == 0 else f"{method}, ε = {epsilon:g}"
    kept = frame.out / "cells" / f"E8-{method}-{epsilon:g}-{hash_of(sizes):x}"
    if not (kept / "release").exists():
        frame.say(what)
        begun = time.monotonic()
        release = dpcond.condense(
            data,
            method,
            epsilon or 1.0,
            DELTA,
            sizes.ipc,
            privacy="dp" if epsilon else "none",
            options=sizes.methods[method].options,
        )
        release.save(kept / "release")
        write_json(kept / "seconds.json", time.monotonic() - begun)
    release = Release.load(kept / "release")
    row = judge(frame, what, Arrays(release.x, release.y), test, data, sizes)
    promise = {"epsilon": release.epsilon if epsilon else "none", "method": method}
    return row | promise | {"seconds": json.loads((kept / "seconds.json").read_text())}


def hash_of(sizes: Sizes) -> int:
    """A number that names these sizes, the same in every process."""
    return zlib.crc32(sizes.model_dump_json().encode())


def judge(frame: Frame, what: str, examples: Examples, test: Examples, data: Data, sizes: Sizes) -> Row:
    protocol = Protocol("short", sizes.epochs, width=sizes.width)
    found = evaluate(examples, test, data.spec.num_classes, protocol, seeds=sizes.seeds, dataset=data.spec.name)
    return _row(what, "ConvNet", len(examples), found["models"]["convnet"]["accuracies"], len(test))


def linear(data: Data, test: Arrays, sizes: Sizes, epsilon: float | None, rate: float) -> Row:
    """A linear classifier on all records themselves: DP-SGD, or without noise."""
    begun = time.monotonic()
    train = Records(data.records.x.numpy(), data.records.y.numpy())
    features, classes = unit_pixels(train), data.spec.num_classes
    multiplier, certified = 0.0, float("inf")
    if epsilon is not None:
        multiplier, certified = dpsgd_noise(sizes.dpsgd_steps, features.shape[1] * classes, epsilon)
    method = NoisyLinear(sizes.dpsgd_steps, rate, 1e6 if epsilon is None else 1.0, multiplier)
    everyone = np.ones((1, len(train)), dtype=bool)
    heads = method.fit(features, torch.from_numpy(train.y), classes, everyone, [8], data.spec.records)
    pixels = Records(denormalize(test.x.numpy(), data.spec), test.y.numpy())
    what = "all records, linear" if epsilon is None else f"DP-SGD, linear, ε = {epsilon:g}"
    row = _row(what, "itself", len(train), heads.accuracy(unit_pixels(pixels), test.y).tolist(), len(test))
    return row | {"epsilon": "none" if epsilon is None else certified, "seconds": time.monotonic() - begun}


def perceptron(data: Data, test: Arrays, sizes: Sizes) -> Row:
    """What all records give without any protection."""
    from sklearn.neural_network import MLPClassifier

    begun = time.monotonic()
    x = data.records.x.flatten(1).numpy().astype(np.float32) / 255
    model = MLPClassifier((128,), max_iter=sizes.full_epochs, random_state=0, batch_size=min(200, len(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few epochs do not converge is known
        model.fit(x, data.records.y.numpy())
    pixels = denormalize(test.x.numpy(), data.spec).reshape(len(test), -1)
    score = float(model.score(pixels, test.y.numpy()))
    return _row("all records, perceptron", "itself", len(x), [score], len(test)) | {"seconds": time.monotonic() - begun}


def _row(what: str, network: str, trained_on: int, accuracies: list[float], tested: int) -> Row:
    """Accuracy with a 95% interval that allows for the test records (binomial) and, where several, the seeds."""
    found = summary(accuracies)
    mean = found["mean"]
    half = 1.96 * (mean * (1 - mean) / tested + found["std"] ** 2 / len(accuracies)) ** 0.5
    return {
        "what": what,
        "epsilon": "none",
        "accuracy": mean,
        "accuracy_low": mean - half,
        "accuracy_high": mean + half,
        "seeds": len(accuracies),
        "trained": network,
        "records trained on": trained_on,
    }


def numbers(rows: list[Row]) -> dict[str, float]:
    """Ends of the best of those without and with ε = 1, and of DP-MERF at its largest ε."""
    free, at_one, merf = best(rows)
    return {
        "best_nonprivate": free["accuracy"],
        "best_nonprivate_low": free["accuracy_low"],
        "best_epsilon_1": at_one["accuracy"],
        "best_epsilon_1_high": at_one["accuracy_high"],
        "merf_epsilon_10_high": merf["accuracy_high"],
    }


def best(rows: list[Row]) -> tuple[Row, Row, Row]:
    """The most accurate without a guarantee and at ε = 1, and DP-MERF at its largest ε."""
    free = [row for row in rows if row["epsilon"] == "none"]
    at_one = [row for row in rows if row["what"].split(", ")[-1] == "ε = 1"]
    merf = [row for row in rows if row["method"] == "merf" and row["epsilon"] != "none"]
    return max(free, key=lambda row: row["accuracy"]), max(at_one, key=lambda row: row["accuracy"]), merf[-1]


def outcome(rows: list[Row], direct: list[Row]) -> Any:
    """Dong's claim is about generators; Carlini's answer, about what a classifier could be at the same ε."""
    free, private, _ = best(rows)
    if free["accuracy_low"] <= private["accuracy_high"]:
        return "cannot tell"
    at_one = next((row["accuracy_low"] for row in direct if row["what"].endswith("ε = 1")), 0.0)
    return "supports Carlini" if at_one > free["accuracy_high"] else "supports Dong"


def findings(everything: list[Row], rows: list[Row]) -> list[str]:
    (free, private, merf), by_name = best(rows), {row["what"]: row for row in everything}
    half = max(row["accuracy_high"] - row["accuracy"] for row in rows)
    said = [
        f"Best without a guarantee: {free['method']}, {free['accuracy']:.1%}. Best at ε = 1: {private['method']}, {private['accuracy']:.1%}. DP-MERF at its "
        f"largest ε: {merf['accuracy']:.1%}. "
        + (
            "The first two cannot be told apart."
            if free["accuracy_low"] <= private["accuracy_high"]
            else "The first is more accurate beyond the intervals."
        ),
        f"A random real subset of the same size: {by_name['random real subset']['accuracy']:.1%}; all records: "
        f"{by_name['all records, perceptron']['accuracy']:.1%}. 95% intervals reach ±{half:.1%} at most.",
    ]
    if free["accuracy"] < by_name["random real subset"]["accuracy_high"]:
        said.append(
            "In runs as short as these, no condensed set is clearly better than a random real subset of its size."
        )
    if (row := by_name.get("DP-SGD, linear, ε = 1")) is not None:
        said.append(
            f"Somebody who wants a classifier and not a dataset gets {row['accuracy']:.1%} at ε = 1 from a linear model by DP-SGD."
        )
    return [*said, ABSENT]


def figure(rows: list[Row], subset: Row) -> Figure:
    """Accuracy against ε, a curve a method; without privacy at the right end."""
    places = sorted({row["epsilon"] for row in rows if row["epsilon"] != "none"})
    end = 4 * places[-1] if places else 1.0

    def place(row: Row) -> float:
        return end if row["epsilon"] == "none" else float(row["epsilon"])

    series = []
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = sorted((r for r in rows if r["method"] == method), key=place)
        series.append(
            Series(
                method,
                [place(r) for r in mine],
                [r["accuracy"] for r in mine],
                [r["accuracy_low"] for r in mine],
                [r["accuracy_high"] for r in mine],
            )
        )
    return Figure(
        "utility",
        f"Accuracy of a ConvNet trained on each set. The rightmost marks, at {end:g}, are not private: their ε is unbounded.",
        "lines",
        "ε (logarithmic; rightmost: not private)",
        "accuracy",
        series,
        log_x=True,
        line=(subset["accuracy"], "random real subset of the same size"),
    )
