"""GAN-leaks, full black box (Chen et al., CCS 2020): reconstruct a record by the closest released one, of any class.

The paper's score is exp(−d); its logarithm orders records the same way and does not underflow in many dimensions.
"""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.distances import closest


def gan_leaks(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Minus the distance to the closest released record."""
    return -closest(flat(x), flat(release.x))


def gan_leaks_calibrated(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Minus (distance to the release less distance to the reference)."""
    rows = flat(x)
    return closest(rows, reference.x) - closest(rows, flat(release.x))
