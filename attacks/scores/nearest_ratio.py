"""Nearest-neighbour distance ratio (NNDR): a record much closer to one released record than to any other."""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.distances import squared_distances


def nearest_ratio(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Minus d₁/d₂ over the released records of all classes; 0/0 (a doubled released record) counts as a hit."""
    nearest = np.sqrt(np.partition(squared_distances(flat(x), flat(release.x)), 1, axis=1)[:, :2])
    return -nearest[:, 0] / np.maximum(nearest[:, 1], 1e-12)
