"""Distances between candidates and released records, and the kernel density on them."""

import numpy as np
from scipy.special import logsumexp

ROWS = 2048  # candidates at a time: keeps the distance block small


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [A, B] between rows."""
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    return np.maximum(squared, 0.0)


def same_class(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which centres [N, M] a record may be compared with: those of its class, or all if there is none."""
    same = y[:, None] == labels[None, :]
    same[~same.any(axis=1)] = True
    return same


def closest(x: np.ndarray, b: np.ndarray, y: np.ndarray | None = None, labels: np.ndarray | None = None) -> np.ndarray:
    """Distance [N] from each row to the closest row of b, within the class where labels are given."""
    result = np.empty(len(x))
    for start in range(0, len(x), ROWS):
        part = slice(start, start + ROWS)
        squared = squared_distances(x[part], b)
        if y is not None and labels is not None:
            squared = np.where(same_class(y[part], labels), squared, np.inf)
        result[part] = np.sqrt(squared.min(axis=1))
    return result


def log_density(squared: np.ndarray, y: np.ndarray, labels: np.ndarray, bandwidth: float, dimension: int) -> np.ndarray:
    """Log density [N] of an equal mixture of isotropic Gaussians at the centres of the record's class, up to a constant."""
    same = same_class(y, labels)
    exponent = np.where(same, -squared / (2.0 * bandwidth**2), -np.inf)
    return logsumexp(exponent, axis=1) - np.log(same.sum(axis=1)) - dimension * np.log(bandwidth)
