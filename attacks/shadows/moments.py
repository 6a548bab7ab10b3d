"""What the other runs say of a record's score: mean and spread with the record and without it."""

from dataclasses import dataclass

import numpy as np

PRIOR = 4.0  # weight of the pooled variance, in observations: steadies the estimate of few runs


@dataclass(frozen=True)
class Side:
    """Number of runs, mean and unbiased-sum of squares of φ on one side; arrays that broadcast to [K, n]."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray  # Σ (φ − mean)²


@dataclass(frozen=True)
class Moments:
    """Scores with the record in and with it out, and the variance pooled over records."""

    inside: Side
    outside: Side

    def variance(self, side: Side) -> np.ndarray:
        """Variance shrunk towards the pooled one: (ν₀σ₀² + Σ(φ−μ)²)/(ν₀ + k − 1), as a normal-inverse-gamma prior does."""
        return (PRIOR * self.pooled + side.squares) / (PRIOR + np.maximum(side.count - 1, 0))

    @property
    def pooled(self) -> np.ndarray:
        """One variance for all records, centred on each record's means; from both sides' spread if each has one run."""
        squares = self.inside.squares.sum(axis=-1, keepdims=True) + self.outside.squares.sum(axis=-1, keepdims=True)
        freedom = np.maximum(self.inside.count - 1, 0) + np.maximum(self.outside.count - 1, 0)
        freedom = np.broadcast_to(freedom, self.inside.squares.shape).sum(axis=-1, keepdims=True)
        apart = ((self.inside.mean - self.outside.mean) ** 2 / 2).mean(axis=-1, keepdims=True)
        pooled = np.where(freedom > 0, squares / np.maximum(freedom, 1), apart)
        return np.asarray(np.maximum(pooled, np.finfo(float).tiny))


def from_runs(phi: np.ndarray, member: np.ndarray) -> Moments:
    """Moments [1, n] of all the runs given; φ and member [K, n]."""
    return Moments(*(_side(*_sums(phi, use)) for use in (member, ~member)))


def left_out(phi: np.ndarray, member: np.ndarray) -> Moments:
    """Moments [K, n] where row k leaves out run k and its complement, so both sides have K/2 − 1 runs."""
    centred = phi - phi.mean(axis=0)  # the subtraction below must not cancel
    sides = []
    for use in (member, ~member):
        totals = _sums(centred, use)
        own = [_pairs(part) for part in (use.astype(float), use * centred, use * centred**2)]
        count, mean, squares = (total - part for total, part in zip(totals, own, strict=True))
        side = _side(count, mean, squares)
        sides.append(Side(side.count, side.mean + phi.mean(axis=0), side.squares))
    return Moments(*sides)


def _sums(phi: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, total, squares = (part.sum(axis=0, keepdims=True) for part in (use.astype(float), use * phi, use * phi**2))
    return count, total, squares


def _pairs(values: np.ndarray) -> np.ndarray:
    """Each row [K, n] replaced by the sum over its pair."""
    sums = values.reshape(-1, 2, values.shape[1]).sum(axis=1)
    return np.repeat(sums, 2, axis=0)


def _side(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Side:
    mean = total / np.maximum(count, 1)
    return Side(count, mean, np.maximum(squares - count * mean**2, 0.0))
