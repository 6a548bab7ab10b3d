"""The naive baseline: a uniform random subset of m members, exactly (0, m/n)-differentially private.

Every attack on it has advantage at most m/n (Carlini, Feldman & Nasr 2022): the line a condenser must beat to claim privacy.
"""

from dataclasses import dataclass

import numpy as np

from attacks.errors import InputError
from attacks.procedures.starts import start_rows
from attacks.release_set import ReleaseSet


@dataclass(frozen=True)
class Subset:
    """S = m members drawn without replacement."""

    m: int

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet:
        if not 1 <= self.m <= len(x):
            raise InputError(f"subset: m={self.m} of {len(x)} members; choose 1 to {len(x)}")
        rows = np.random.default_rng(seed).choice(len(x), self.m, replace=False)
        return ReleaseSet(x[rows], y[rows])


@dataclass(frozen=True)
class ClassSubset:
    """S = `ipc` members of each class: the very records that a condenser with init "data" and the same seed starts from.

    (0, max_c ipc/n_c)-differentially private where the class sizes n_c are public.
    """

    ipc: int

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet:
        rows = start_rows(y, np.unique(y), self.ipc, seed).ravel()
        return ReleaseSet(x[rows], y[rows])
