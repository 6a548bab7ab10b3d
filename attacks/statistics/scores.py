"""Membership scores of the two sides, checked once: higher means "more likely a member", "member" is
score > t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Clusters = tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True)
class Scores:
    """Finite scores of members [n_in] and non-members [n_out], with their run ids where they share runs."""

    members: FloatArray
    others: FloatArray
    runs_in: IntArray | None = None
    runs_out: IntArray | None = None

    @property
    def clustered(self) -> bool:
        return self.runs_in is not None

    @property
    def runs(self) -> IntArray:
        """Distinct run ids."""
        assert self.runs_in is not None
        assert self.runs_out is not None
        return np.union1d(self.runs_in, self.runs_out)

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Scores, Scores]:
        """A random `fraction` of each side (of the runs, where clustered), and the rest."""
        if self.runs_in is not None and self.runs_out is not None:
            runs = self.runs
            first = rng.permutation(runs)[: _share(len(runs), fraction, "runs")]
            masks = np.isin(self.runs_in, first), np.isin(self.runs_out, first)
            if not all(0 < m.sum() < m.size for m in masks):
                raise InputError(
                    f"the {len(runs)} runs cannot be split so that both parts hold both sides: give more runs"
                )
        else:
            masks = (
                _mask(self.members.size, fraction, rng, "members"),
                _mask(self.others.size, fraction, rng, "non-members"),
            )
        return self._take(*masks), self._take(~masks[0], ~masks[1])

    def sweep(self) -> tuple[FloatArray, IntArray, IntArray]:
        """Thresholds halfway between neighbouring distinct scores (and the largest), with FN and FP of each."""
        levels = np.unique(np.concatenate([self.members, self.others]))
        thresholds = np.append(levels[:-1] + np.diff(levels) / 2, levels[-1])
        fn = np.searchsorted(np.sort(self.members), thresholds, side="right")
        fp = self.others.size - np.searchsorted(np.sort(self.others), thresholds, side="right")
        return thresholds, fn.astype(np.int64), fp.astype(np.int64)

    def _take(self, keep_in: NDArray[np.bool_], keep_out: NDArray[np.bool_]) -> Scores:
        return Scores(
            self.members[keep_in],
            self.others[keep_out],
            None if self.runs_in is None else self.runs_in[keep_in],
            None if self.runs_out is None else self.runs_out[keep_out],
        )


def check_scores(scores_in: ArrayLike, scores_out: ArrayLike, clusters: Clusters | None = None) -> Scores:
    """Scores of members [n_in] and non-members [n_out], with the run of each score in `clusters`.

    Raises InputError for an empty side, a NaN or infinite score, scores that are all one value, or fewer
    than two runs.
    """
    members, others = _side(scores_in, "members"), _side(scores_out, "non-members")
    if np.ptp(np.concatenate([members, others])) == 0:
        raise InputError(f"all {members.size + others.size} scores are {members[0]:g}: this attack says nothing")
    if clusters is None:
        return Scores(members, others)
    ids = np.concatenate([np.asarray(c).ravel() for c in clusters])
    sizes = tuple(np.asarray(c).size for c in clusters)
    if sizes != (members.size, others.size):
        raise InputError(
            f"clusters hold {sizes} run ids, the scores are {(members.size, others.size)}: one id per score"
        )
    runs = np.unique(ids, return_inverse=True)[1].astype(np.int64)
    if runs.max() < 1:
        raise InputError("clusters name one run only: intervals clustered by run need two or more")
    return Scores(members, others, runs[: members.size], runs[members.size :])


def check_probability(value: float, name: str, low: float = 0.0, high: float = 1.0) -> float:
    """`value` if strictly between low and high; InputError otherwise (NaN too)."""
    if isinstance(value, bool) or not low < value < high:
        raise InputError(f"{name} is {value!r}: give a number strictly between {low:g} and {high:g}")
    return float(value)


def check_delta(delta: float) -> float:
    """delta in [0, 1)."""
    if isinstance(delta, bool) or not 0 <= delta < 1:
        raise InputError(f"delta is {delta!r}: give a number in [0, 1)")
    return float(delta)


def _side(scores: ArrayLike, side: str) -> FloatArray:
    values = np.asarray(scores, dtype=np.float64).ravel()
    if values.size == 0:
        raise InputError(f"there is no score of {side}: give at least one record on each side")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(
            f"{bad} of {values.size} scores of {side} are NaN or infinite: repair the attack, none is dropped"
        )
    return values


def _share(n: int, fraction: float, what: str) -> int:
    check_probability(fraction, "fraction")
    if n < 2:
        raise InputError(f"{n} {what} cannot be split in two: give more, or fix the threshold in advance")
    return min(max(round(n * fraction), 1), n - 1)


def _mask(n: int, fraction: float, rng: np.random.Generator, what: str) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=bool)
    mask[rng.permutation(n)[: _share(n, fraction, what)]] = True
    return mask
