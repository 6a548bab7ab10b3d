"""Linear classifiers trained on the members themselves by noisy gradient descent, for all shadow runs at once.

Full-batch DP-SGD (Abadi et al. 2016): every step adds Gaussian noise to the sum of clipped per-record gradients. The gradient of a
record's cross-entropy is (p − e_y) ⊗ φ, whose norm is ‖p − e_y‖·‖φ‖, so clipping needs no per-record gradient at all. Here the noise
comes from the run's seed: a simulation, to audit a procedure with; a model to be released takes its noise from a safe source.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attacks.errors import InputError
from attacks.students.ensemble import _log_odds


@dataclass(frozen=True)
class NoisyLinear:
    """`steps` of gradient descent with momentum at `rate`; per-record gradients clipped to `clip`.

    `noise_multiplier`: noise standard deviation over `clip`, of each step's gradient sum (add/remove one record); 0 for none.
    """

    steps: int = 60
    rate: float = 2.0
    clip: float = 1.0
    noise_multiplier: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.steps < 1 or min(self.rate, self.clip) <= 0 or self.noise_multiplier < 0:
            raise InputError(f"{self}: steps, rate and clip must be positive, the noise multiplier not negative")

    def fit(
        self,
        features: Tensor,
        y: Tensor,
        classes: int,
        membership: np.ndarray,
        seeds: Sequence[int],
        size: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> "Heads":
        """Heads of the K subsets in the rows of membership [K, n], on features [n, d] and labels [n].

        `size` is the public number of records by which the noisy sum is divided; the real one is never used.
        """
        inside = torch.from_numpy(membership)
        wanted = F.one_hot(y, classes).float()
        norms = features.norm(dim=1)
        randoms = [torch.Generator().manual_seed(seed) for seed in seeds]
        weights = torch.zeros(len(seeds), features.shape[1], classes)
        velocity = torch.zeros_like(weights)
        for step in range(self.steps):
            errors = _logits(features, weights).softmax(-1) - wanted  # [K, n, classes]
            lengths = errors.norm(dim=2) * norms
            errors *= (inside * (self.clip / lengths.clamp_min(1e-12)).clamp_max(1.0))[..., None]
            total = (features.T @ errors.transpose(0, 1).flatten(1)).view(-1, len(seeds), classes).transpose(0, 1)
            if self.noise_multiplier:
                noise = torch.stack([torch.randn(weights.shape[1:], generator=random) for random in randoms])
                total = total + self.noise_multiplier * self.clip * noise
            velocity.mul_(self.momentum).add_(total, alpha=1 / size)
            weights.sub_(velocity, alpha=self.rate)
            if progress is not None:
                progress(step + 1, self.steps)
        return Heads(weights)


@dataclass(frozen=True, eq=False)
class Heads:
    """Weights [K, d, classes] of linear classifiers."""

    weights: Tensor

    def log_odds(self, features: Tensor, y: Tensor) -> np.ndarray:
        """φ = log p_y − log Σ_{j≠y} p_j, [K, N] in float64."""
        return _log_odds(_logits(features, self.weights).double(), y)

    def accuracy(self, features: Tensor, y: Tensor) -> np.ndarray:
        """Share of records that each head classifies rightly [K]."""
        return np.asarray((_logits(features, self.weights).argmax(-1) == y).double().mean(dim=1))


def _logits(features: Tensor, weights: Tensor) -> Tensor:
    """[K, N, classes], as one product."""
    k, d, classes = weights.shape
    return (features @ weights.transpose(0, 1).reshape(d, k * classes)).view(-1, k, classes).transpose(0, 1)
