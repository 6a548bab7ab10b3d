"""What a condensed set is to be compared with. Those that read real records are stamped as not private."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dpcond.errors import InputError
from dpcond.evaluate.examples import Arrays, Examples
from dpcond.evaluate.networks import evaluate, summary
from dpcond.evaluate.protocols import FULL, Protocol
from dpcond.evaluate.training import TEST_BATCH
from dpcond.spec import DataSpec
from dpcond.synthetic import bounds_of

#: Stands beside every number that was computed from real records without noise.
NOT_PRIVATE: dict[str, Any] = {"private": False, "note": "not private: trained on real records"}

#: Steps after which a ConvNet on all of a small dataset is trained; large ones take more in five epochs.
FULL_STEPS = 1000


def random_real(real: Examples, num_classes: int, ipc: int, seed: int = 0) -> Arrays:
    """``ipc`` real examples per class, drawn by ``seed``. Not private; never part of a release.

    Raises:
        InputError: a class has fewer.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(real), generator=generator)
    labels = torch.cat([real.batch(part)[1] for part in order.split(TEST_BATCH)])
    chosen = []
    for label in range(num_classes):
        of_class = order[labels == label][:ipc]
        if len(of_class) < ipc:
            raise InputError(
                f"random real subset: class {label} has fewer than {ipc} records; leave the baselines out (--no-baselines)"
            )
        chosen.append(of_class)
    return Arrays(*real.batch(torch.cat(chosen)))


def evaluate_random_real(
    real: Examples, test: Examples, num_classes: int, ipc: int, protocol: Protocol, **options: Any
) -> dict[str, Any]:
    """:func:`evaluate` on a random real subset (one subset, seed 0; several networks), stamped as not private."""
    return evaluate(random_real(real, num_classes, ipc), test, num_classes, protocol, **options) | NOT_PRIVATE


def evaluate_full(
    real: Examples, test: Examples, num_classes: int, protocol: Protocol | None = None, **options: Any
) -> dict[str, Any]:
    """:func:`evaluate` on every real record, stamped as not private.

    Default protocol: ``FULL``, with as many epochs as make :data:`FULL_STEPS` steps where its 5 are fewer.
    """
    if protocol is None:
        steps_per_epoch = math.ceil(len(real) / FULL.batch_size)
        protocol = replace(FULL, epochs=max(FULL.epochs, math.ceil(FULL_STEPS / steps_per_epoch)))
    return evaluate(real, test, num_classes, protocol, **options) | NOT_PRIVATE


def chance(test: Examples, num_classes: int) -> dict[str, Any]:
    """Accuracy of knowing nothing: one over the classes, and the best constant answer on this test set."""
    labels = torch.cat([test.batch(part)[1] for part in torch.arange(len(test)).split(TEST_BATCH)])
    largest = float(torch.bincount(labels.cpu(), minlength=num_classes).max()) / len(test)
    return {"private": True, "mean": 1 / num_classes, "majority": largest}


def mean_images(sums: Tensor, records_per_class: Tensor, spec: DataSpec) -> Arrays:
    """One mean image per class from a released sum (LDPDC's baseline); private as the sum is.

    Args:
        sums: [classes, *shape] or [classes, features], released sums of normalised records.
        records_per_class: [classes], public or released counts.
    """
    low, high = bounds_of(spec)
    images = sums.double().view(spec.num_classes, *spec.shape)
    counts = records_per_class.double().clamp(min=1.0).view(-1, *(1,) * len(spec.shape))
    return Arrays((images / counts).float().clamp(low, high), torch.arange(spec.num_classes))


def linear_head(second: Tensor, cross: Tensor, noise_std: float = 0.0, ridge: float | None = None) -> Tensor:
    """Ridge regression weights [k, classes] from released moments; post-processing, so private as they are.

    Args:
        second: Σ φφᵀ, [k, k], made symmetric here.
        cross: Σ φ onehot(y)ᵀ, [k, classes].
        noise_std: standard deviation of the noise on one packed entry of the answer.
        ridge: regulariser λ; default: the size of the noise's largest eigenvalue, √(2k)·noise_std (Wigner; off-diagonal
            entries carry noise_std/√2 after unpacking), at least 1e-6 of the mean eigenvalue. No data is used to tune it.
    """
    k = len(second)
    matrix = (second.double() + second.double().T) / 2
    if ridge is None:
        ridge = max(noise_std * (2 * k) ** 0.5, 1e-6 * abs(float(matrix.trace())) / k)
    values, vectors = torch.linalg.eigh(matrix)
    inverse = 1 / (values.clamp(min=0.0) + ridge)  # noise makes small eigenvalues negative; the truth has none
    return vectors @ (inverse[:, None] * (vectors.T @ cross.double()))


def linear_head_accuracy(weights: Tensor, features: Callable[[Tensor], Tensor], test: Examples) -> dict[str, Any]:
    """Test accuracy of argmax features(x)·weights; ``features`` maps [B, *shape] to [B, k] and is public."""
    right = 0
    for part in torch.arange(len(test)).split(TEST_BATCH):
        x, y = test.batch(part)
        with torch.no_grad():
            predicted = (features(x).double() @ weights.to(x.device)).argmax(1)
        right += int((predicted == y).sum())
    return summary([right / len(test)])
