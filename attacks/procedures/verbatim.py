"""The worst release: the first m members as they are. The positive control of an audit."""

from dataclasses import dataclass

import numpy as np

from attacks.release_set import ReleaseSet


@dataclass(frozen=True)
class Verbatim:
    """S = members[:m]; with m at least the number of members, everyone is released."""

    m: int

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet:
        return ReleaseSet(x[: self.m], y[: self.m])
