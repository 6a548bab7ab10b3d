"""Poisson sampling: every record enters a batch on its own, with the same public probability."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from dpcond.errors import InputError
from dpcond.privacy.noise import Entropy


def poisson_sample(records: int, rate: float, entropy: Entropy) -> np.ndarray:
    """Indices (int64) of a Poisson sample of ``records`` records at ``rate``; ordinary when empty.

    Each record is in when a 64-bit word falls below floor(rate * 2**64), so the true rate never passes the stated
    one. (A float32 uniform has 24 bits: at rate 1e-6 it includes records 1.3 % too often.)

    Raises:
        InputError: if the rate is not in (0, 1].
    """
    if not (isinstance(rate, float | int) and math.isfinite(rate) and 0 < rate <= 1):
        raise InputError(f"sampling rate {rate!r}: expected a number in (0, 1]")
    threshold = math.floor(Fraction(rate) * 2**64)
    if threshold >= 2**64:
        return np.arange(records)
    return np.flatnonzero(entropy.words(records) < np.uint64(threshold))
