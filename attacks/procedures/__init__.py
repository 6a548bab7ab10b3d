"""Procedures to audit: a callable (x, y, seed) -> ReleaseSet, and optionally `many`, the same for all shadows at once.

These are references with known answers (verbatim, subsets, linear distribution matching) and real condensers (distribution matching,
gradient matching with and without siamese augmentation, kernel inducing points). Any callable of yours is a procedure too.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from attacks.errors import InputError
from attacks.procedures.convnet_dm import ConvNetDM
from attacks.procedures.gradient_matching import GradientMatching
from attacks.procedures.kernel_inducing import KernelInducing
from attacks.procedures.linear_dm import LinearDM
from attacks.procedures.subset import ClassSubset, Subset
from attacks.procedures.verbatim import Verbatim
from attacks.release_set import ReleaseSet

PROCEDURES: dict[str, type] = {
    "verbatim": Verbatim,
    "subset": Subset,
    "class_subset": ClassSubset,
    "linear_dm": LinearDM,
    "convnet_dm": ConvNetDM,
    "gradient_matching": GradientMatching,
    "kernel_inducing": KernelInducing,
}


class Procedure(Protocol):
    """Member records in, release out; all randomness comes from the seed."""

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet: ...


@runtime_checkable
class BatchedProcedure(Protocol):
    """A procedure that can also make the releases of K subsets of one pool together: same releases, less work."""

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet: ...

    def many(
        self, pool_x: np.ndarray, pool_y: np.ndarray, membership: np.ndarray, seeds: list[int]
    ) -> list[ReleaseSet]: ...


def build(name: str, **options: Any) -> Procedure:
    """A reference procedure by name."""
    if name not in PROCEDURES:
        raise InputError(f"procedure {name!r} is not known; choose from {', '.join(PROCEDURES)}")
    try:
        procedure: Procedure = PROCEDURES[name](**options)
    except TypeError as error:
        raise InputError(f"procedure {name}: {error}") from error
    return procedure
