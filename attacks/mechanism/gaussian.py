"""An honest reference: clipped sums with Gaussian noise, the control of every mechanism audit."""

from __future__ import annotations

from typing import Literal

import numpy as np

from attacks.errors import InputError
from attacks.mechanism.protocol import BoolArray, FloatArray


class GaussianSum:
    """`answers` noised sums of m clipped canaries, each Poisson-sampled anew per answer.

    noise_multiplier: std of the noise over the L2 sensitivity, which is the clipping norm under add/remove
    and twice that under replace-one. `raw` [m, dimension] are the canaries before clipping.
    """

    def __init__(
        self,
        noise_multiplier: float,
        raw: FloatArray,
        *,
        clipping_norm: float = 1.0,
        answers: int = 1,
        sampling_rate: float = 1.0,
        adjacency: Literal["add_remove", "replace_one"] = "add_remove",
        seed: int = 0,
    ) -> None:
        if not (noise_multiplier >= 0 and clipping_norm > 0 and answers >= 1 and 0 < sampling_rate <= 1):
            raise InputError(
                f"noise multiplier {noise_multiplier}, clipping norm {clipping_norm}, {answers} answers, sampling "
                f"rate {sampling_rate}: give >= 0, > 0, >= 1 and (0, 1]"
            )
        self.noise_multiplier, self.clipping_norm = noise_multiplier, clipping_norm
        self.raw, self.answers, self.sampling_rate = np.asarray(raw, dtype=np.float64), answers, sampling_rate
        self.adjacency = adjacency
        self._rng = np.random.default_rng(seed)

    @property
    def sensitivity(self) -> float:
        return self.clipping_norm * (2 if self.adjacency == "replace_one" else 1)

    @property
    def canaries(self) -> FloatArray:
        norms = np.linalg.norm(self.raw, axis=1, keepdims=True)
        return self.raw * np.minimum(1, self.clipping_norm / np.maximum(norms, 1e-300))

    def release(self, include: BoolArray) -> FloatArray:
        shape = (include.shape[0], self.answers, include.shape[1])
        present = np.where(include, 1.0, -1.0 if self.adjacency == "replace_one" else 0.0)[:, None, :]
        if self.sampling_rate < 1:
            present = present * (self._rng.random(shape) < self.sampling_rate)
        sums = np.broadcast_to(present @ self.canaries, (*shape[:2], self.raw.shape[1]))
        return sums + self.noise_multiplier * self.sensitivity * self._rng.standard_normal(sums.shape)
