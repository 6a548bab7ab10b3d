"""Distribution matching with linear extractors, at its exact optimum: a leak that can be computed in closed form.

Dong et al. (2022): the loss is least iff the barycentres coincide. All synthetic records of a class receive the same gradient, so
S = S(0) + (mean(T) − mean(S(0))), class by class. With S(0) real, differences of released records are differences of members.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from attacks.errors import InputError
from attacks.release_set import ReleaseSet


@dataclass(frozen=True)
class LinearDM:
    """`per_class` records a class; start from noise (standard normal) or from members drawn at random ("data")."""

    per_class: int
    init: Literal["noise", "data"] = "noise"

    def __post_init__(self) -> None:
        if self.init not in ("noise", "data"):
            raise InputError(f"linear_dm: init={self.init!r}, choose noise or data")

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet:
        rng = np.random.default_rng(seed)
        released, labels = [], []
        for label in np.unique(y):
            members = x[y == label].astype(np.float64)
            start = self._start(members, rng)
            released.append(start + (members.mean(axis=0) - start.mean(axis=0)))
            labels.append(np.full(self.per_class, label))
        return ReleaseSet(np.concatenate(released), np.concatenate(labels))

    def _start(self, members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.init == "noise":
            return rng.standard_normal((self.per_class, *members.shape[1:]))
        if len(members) < self.per_class:
            raise InputError(f"linear_dm: {len(members)} members of a class, {self.per_class} wanted for the start")
        return members[rng.choice(len(members), self.per_class, replace=False)]
