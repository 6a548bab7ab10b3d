"""Distance to the closest record (DCR), plain and calibrated by a reference.

Source: Chen et al. (2020), GAN-Leaks, for the calibration; DCR as in the synthetic-data literature. A plain DCR is known to miss
leaks that a shadow attack sees (2505.01524): read it as one attack among others, never as a proof of privacy.
"""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.distances import closest


def closest_record(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Minus the distance to the closest released record of the same class."""
    return -closest(flat(x), flat(release.x), y, release.y)


def closest_record_calibrated(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Minus (distance to the release less distance to the reference), within the class."""
    rows = flat(x)
    return closest(rows, reference.x, y, reference.y) - closest(rows, flat(release.x), y, release.y)
