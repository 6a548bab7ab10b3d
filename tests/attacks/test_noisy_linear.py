"""Noisy linear classifiers: the clipped sum against an oracle, a batch as if alone, noise of the stated size."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attacks.errors import InputError
from attacks.students.noisy_linear import NoisyLinear


def records(n: int = 30, d: int = 5, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=random), torch.arange(n) % classes


def oracle(x: torch.Tensor, y: torch.Tensor, classes: int, steps: int, rate: float, clip: float) -> torch.Tensor:
    """Record by record, by autograd, without momentum."""
    weights = torch.zeros(x.shape[1], classes)
    for _ in range(steps):
        total = torch.zeros_like(weights)
        for record, label in zip(x, y, strict=True):
            variable = weights.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(F.cross_entropy((record @ variable)[None], label[None]), variable)
            total += gradient * min(1.0, clip / float(gradient.norm()))
        weights = weights - rate * total / len(x)
    return weights


def test_the_sum_is_that_of_clipped_gradients() -> None:
    x, y = records()
    method = NoisyLinear(steps=4, rate=1.5, clip=0.7, momentum=0.0)
    heads = method.fit(x, y, 3, np.ones((1, len(x)), bool), [0], len(x))
    torch.testing.assert_close(heads.weights[0], oracle(x, y, 3, 4, 1.5, 0.7), rtol=1e-4, atol=1e-6)


def test_a_run_in_a_batch_is_the_run_alone() -> None:
    x, y = records()
    member = np.random.default_rng(0).random((4, len(x))) < 0.5
    method = NoisyLinear(steps=5, noise_multiplier=1.0)
    together = method.fit(x, y, 3, member, [1, 2, 3, 4], 15)
    alone = method.fit(x[member[2]], y[member[2]], 3, np.ones((1, int(member[2].sum())), bool), [3], 15)
    torch.testing.assert_close(together.weights[2], alone.weights[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together.log_odds(x, y)[2], alone.log_odds(x, y)[0], rtol=1e-3, atol=1e-4)


def test_noise_has_the_stated_deviation() -> None:
    x, y = records()
    nobody = np.zeros((400, len(x)), bool)  # so that the weights are the noise of one step
    heads = NoisyLinear(steps=1, rate=2.0, clip=0.5, noise_multiplier=3.0).fit(x, y, 3, nobody, range(400), 10)
    wanted = 2.0 * 0.5 * 3.0 / 10
    # 6000 normal values: the sample deviation is within 5 standard errors (4.6%) but for 6e-7
    assert float(heads.weights.std()) == pytest.approx(wanted, rel=0.046)


def test_it_learns_and_refuses_nonsense() -> None:
    x, y = records(n=60)
    x[:, 0] += 5.0 * (y == 1)
    heads = NoisyLinear(steps=50).fit(x, y, 3, np.ones((1, 60), bool), [0], 60)
    assert heads.accuracy(x, y)[0] > 0.6
    with pytest.raises(InputError, match="must be positive"):
        NoisyLinear(steps=0)
