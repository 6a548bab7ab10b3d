"""Training an ensemble by a protocol, and its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dpcond.augment import Augment
from dpcond.evaluate.examples import Examples
from dpcond.evaluate.protocols import Protocol
from dpcond.models.ensemble import Engine, Ensemble

#: Called as progress(steps done, steps in all).
Progress = Callable[[int, int], None]

TEST_BATCH = 500


def _seed(seed: int, purpose: int) -> int:
    """Independent 32-bit seeds for the several uses of one public seed."""
    return int(np.random.SeedSequence((seed, purpose)).generate_state(1)[0])


def train(
    examples: Examples,
    protocol: Protocol,
    model: str,
    shape: tuple[int, ...],
    num_classes: int,
    seeds: Sequence[int],
    *,
    strategy: str = "none",
    device: str | torch.device = "auto",
    engine: Engine = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Ensemble:
    """One network per seed, each with its own initialisation, batches and augmentations, trained side by side.

    Args:
        strategy: DSA string for the protocol's ``"dsa"``; images only.
        options: passed to the network.

    Returns:
        The ensemble at its last iterate.
    """
    ensemble = Ensemble(
        model,
        shape,
        num_classes,
        [_seed(seed, 0) for seed in seeds],
        device,
        engine,
        precision=protocol.precision,
        visits=len(examples) * (protocol.epochs + 1),
        **options,
    )
    orders = [torch.Generator().manual_seed(_seed(seed, 1)) for seed in seeds]
    views = [torch.Generator().manual_seed(_seed(seed, 2)) for seed in seeds]
    augment = Augment(strategy, siamese=False)
    rate = protocol.learning_rate
    optimizer = _sgd(ensemble, protocol, rate)
    steps_per_epoch = -(-len(examples) // protocol.batch_size)
    done, total = 0, steps_per_epoch * (protocol.epochs + 1)
    for epoch in range(protocol.epochs + 1):
        permutations = torch.stack([torch.randperm(len(examples), generator=order) for order in orders])
        for indices in permutations.split(protocol.batch_size, 1):
            drawn = [examples.batch(index) for index in indices]
            x = torch.stack([augment(b[0].to(ensemble.device), v) for b, v in zip(drawn, views, strict=True)])
            y = torch.stack([labels.to(ensemble.device) for _, labels in drawn])
            optimizer.zero_grad(set_to_none=True)
            ensemble.backward(x, y)
            optimizer.step()
            done += 1
            if progress is not None:
                progress(done, total)
        if epoch == protocol.epochs // 2 + 1:
            rate *= 0.1
            optimizer = _sgd(ensemble, protocol, rate)  # the authors build a new one: momentum starts anew
    return ensemble


def accuracy(ensemble: Ensemble, test: Examples) -> list[float]:
    """Share of ``test`` that each network classifies rightly, in [0, 1]."""
    right = torch.zeros(len(ensemble), dtype=torch.int64)
    for indices in torch.arange(len(test)).split(TEST_BATCH):
        x, y = test.batch(indices)
        predicted: Tensor = ensemble.logits(x.to(ensemble.device)).argmax(2).cpu()
        right += (predicted == y.cpu()).sum(1)
    return (right.double() / len(test)).tolist()


def _sgd(ensemble: Ensemble, protocol: Protocol, rate: float) -> torch.optim.SGD:
    return torch.optim.SGD(
        ensemble.parameters(),
        lr=rate,
        momentum=protocol.momentum,
        weight_decay=protocol.weight_decay,
        fused=True,
    )
