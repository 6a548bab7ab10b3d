"""Noise that the wall owns: 64-bit words from the operating system, double precision, no global generator.

Two sources share one face. :class:`GaussianNoise` adds a double-precision normal. :class:`DiscreteGaussianNoise` is
hardened against the floating-point attack of Mironov (CCS 2012): the statistic is rounded to a grid record by
record, summed exactly, and the noise is a whole number of grid cells, so the bits of an answer say nothing but its
value.
"""

from __future__ import annotations

import math
import os
from typing import Protocol

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

GRID_BITS = 20  # noise std over grid step, as a power of two: coarse enough to be exact, fine enough to cost nothing


class Entropy(Protocol):
    """A source of uniform 64-bit words."""

    private: bool

    def words(self, count: int) -> np.ndarray:
        """``count`` independent uniform uint64."""
        ...


class SystemEntropy:
    """The operating system's cryptographically secure generator (``os.urandom``)."""

    private = True

    def words(self, count: int) -> np.ndarray:
        """``count`` independent uniform uint64."""
        return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)


class SeededEntropy:
    """A reproducible source for tests. Whatever it touches is stamped not private: its stream can be replayed."""

    private = False

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64DXSM(seed)

    def words(self, count: int) -> np.ndarray:
        """``count`` pseudo-random uint64."""
        return np.asarray(self._bits.random_raw(count), dtype=np.uint64)


class GaussianNoise:
    """Independent normal draws in float64 by inversion of one tail, to 63 bits, and a sign: they reach 9.1 standard deviations.

    (float32 normals on CPU stop at 5.77, which alone adds more than 1e-5 to delta over a run.)
    """

    name = "gaussian"

    def __init__(self, entropy: Entropy | None = None) -> None:
        self.entropy: Entropy = entropy or SystemEntropy()

    def grid(self, std: float) -> float | None:
        """No grid: statistics stay real numbers."""
        return None

    def draw(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Noise of the given shape and standard deviation, float64 [shape]."""
        words = self.entropy.words(math.prod(shape))
        # From 2**-65 to 1/2, which the largest words round to: a double is finest near zero, where the tail is.
        tail = ndtri(((words >> np.uint64(1)).astype(np.float64) + 0.5) * 2.0**-64)
        return torch.from_numpy(np.where(words & np.uint64(1), -tail, tail) * std).reshape(shape)


class DiscreteGaussianNoise:
    """Discrete Gaussian on a power-of-two grid (Canonne, Kamath & Steinke, NeurIPS 2020, algorithms 1 to 3).

    The standard deviation spans at least 2**20 grid steps, so its privacy profile is the continuous one's to about 2**-40; sampling is by rejection with 64-bit comparisons: a probability p is met to within 1e-16 p + 2**-64.
    """

    name = "discrete-gaussian"

    def __init__(self, entropy: Entropy | None = None) -> None:
        self.entropy: Entropy = entropy or SystemEntropy()

    def grid(self, std: float) -> float | None:
        """Grid step (a power of two) for noise of this standard deviation; ``None`` without noise."""
        return 2.0 ** (math.floor(math.log2(std)) - GRID_BITS) if std > 0 else None

    def draw(self, shape: tuple[int, ...], std: float) -> Tensor:
        """Noise of the given shape and standard deviation, float64 multiples of the grid."""
        count = math.prod(shape)
        step = self.grid(std)
        if step is None:
            return torch.zeros(shape, dtype=torch.float64)
        cells = std / step
        out = np.empty(count, dtype=np.int64)
        filled = 0
        while filled < count:
            accepted = self._propose(cells, max(1024, 2 * (count - filled)))[: count - filled]
            out[filled : filled + len(accepted)] = accepted
            filled += len(accepted)
        return torch.from_numpy(out.astype(np.float64) * step).reshape(shape)

    def _bernoulli_exp(self, gamma: np.ndarray) -> np.ndarray:
        """True with probability exp(-gamma), elementwise."""
        threshold = np.minimum(np.exp(-gamma) * 2.0**64, 2.0**64 - 2.0**11)  # the largest double that is a uint64
        return self.entropy.words(len(gamma)) < threshold.astype(np.uint64)

    def _propose(self, sigma: float, count: int) -> np.ndarray:
        """Accepted discrete Gaussians (int64) out of ``count`` discrete Laplace proposals."""
        scale = math.floor(sigma) + 1
        # Uniform below `scale` (a word of the last, cut-off period is dropped), then thinned: a geometric's remainder
        # and its quotient.
        words = self.entropy.words(count)
        remainder = (words[words <= np.uint64(2**64 - 1 - 2**64 % scale)] % np.uint64(scale)).astype(np.int64)
        remainder = remainder[self._bernoulli_exp(remainder / scale)]
        n = len(remainder)
        quotient = np.zeros(n, dtype=np.int64)
        alive = np.arange(n)
        while len(alive):
            alive = alive[self._bernoulli_exp(np.ones(len(alive)))]
            quotient[alive] += 1
        magnitude = remainder + scale * quotient
        negative = (self.entropy.words(n) & np.uint64(1)).astype(bool)
        keep = ~(negative & (magnitude == 0))  # zero has one sign only
        laplace = np.where(negative, -magnitude, magnitude)[keep]
        distance = (np.abs(laplace) - sigma**2 / scale) ** 2 / (2 * sigma**2)
        return laplace[self._bernoulli_exp(distance)]


NoiseSource = GaussianNoise | DiscreteGaussianNoise
