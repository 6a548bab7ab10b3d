"""What an audit needs of a mechanism: canaries with a known mark, and fresh runs with or without them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attacks.errors import InputError
from attacks.statistics.scores import FloatArray

BoolArray = NDArray[np.bool_]


class Mechanism(Protocol):
    """A procedure with m canaries in or out of its dataset.

    `canaries`: what each adds to an answer when it is in, at full clipping norm: [m, dimension] if all
    answers are alike, else [m, answers, dimension]. Under replace-one an excluded canary leaves a record
    with the opposite mark.
    """

    @property
    def canaries(self) -> FloatArray: ...

    def release(self, include: BoolArray) -> FloatArray:
        """Answers [runs, answers, dimension] of one fresh, independent run per row of `include` [runs, m]."""
        ...


def project(mechanism: Mechanism, include: BoolArray) -> FloatArray:
    """Inner products [runs, m, answers] of fresh answers with the canaries; a canary alone gives 1.

    Raises InputError for a canary that leaves no mark, and for answers that are not finite or have another
    shape.
    """
    marks = np.asarray(mechanism.canaries, dtype=np.float64)
    if marks.ndim == 2:
        marks = marks[:, None, :]
    norms = np.linalg.norm(marks, axis=2) if marks.ndim == 3 else np.zeros((1, 1))
    if marks.ndim != 3 or not np.isfinite(marks).all() or not (norms > 0).all():
        raise InputError(f"canaries {np.shape(mechanism.canaries)} must be finite, non-zero [m, dimension]")
    if include.ndim != 2 or include.shape[1] != marks.shape[0]:
        raise InputError(f"include is {include.shape}: give [runs, {marks.shape[0]}], one column per canary")
    answers = np.asarray(mechanism.release(include), dtype=np.float64)
    if answers.ndim != 3 or answers.shape[0] != include.shape[0] or answers.shape[2] != marks.shape[2]:
        raise InputError(
            f"release gave {answers.shape} for {include.shape[0]} runs: give [runs, answers, {marks.shape[2]}]"
        )
    if marks.shape[1] not in (1, answers.shape[1]):
        raise InputError(f"canaries name {marks.shape[1]} answers, release gave {answers.shape[1]}")
    if not np.isfinite(answers).all():
        raise InputError("release gave NaN or infinite answers: these cannot be audited, and none is dropped")
    directions = marks / norms[:, :, None] ** 2
    if marks.shape[1] == 1:
        return np.asarray(np.swapaxes(answers @ directions[:, 0].T, 1, 2))
    return np.einsum("rtd,mtd->rmt", answers, directions)
