"""Monte-Carlo attack (Hilprecht et al., PETS 2019): how many released records lie near a candidate."""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.distances import squared_distances


def monte_carlo(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Number of released records within the median, over candidates, of the closest distance."""
    squared = squared_distances(flat(x), flat(release.x))
    return (squared <= np.median(squared.min(axis=1))).sum(axis=1).astype(np.float64)
