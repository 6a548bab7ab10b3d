"""Soft-label channel: labels learnt for the synthetic records (KIP, FRePo, label-solve) carry the fit of the members.

Score of a record: how well kernel ridge regression on (S, soft labels), the predictor those labels are solved for, fits its true label.
"""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.distances import squared_distances

RIDGE = 1e-3


def soft_labels(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Minus the squared error between the kernel prediction and the one-hot label."""
    if release.soft is None:
        raise ValueError("the release has no soft labels")
    released = flat(release.x)
    squared = squared_distances(released, released)
    scale = np.median(squared[squared > 0]) if (squared > 0).any() else 1.0
    kernel = np.exp(-squared / scale)
    weights = np.linalg.solve(kernel + RIDGE * np.eye(len(kernel)), release.soft.astype(np.float64))
    predicted = np.exp(-squared_distances(flat(x), released) / scale) @ weights
    classes = max(predicted.shape[1], int(y.max()) + 1)
    predicted = np.pad(predicted, ((0, 0), (0, classes - predicted.shape[1])))
    return -((predicted - np.eye(classes)[y]) ** 2).sum(axis=1)
