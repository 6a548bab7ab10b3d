"""Density ratio (DOMIAS, van Breugel et al., AISTATS 2023) for released sets smaller than their dimension.

A kernel estimate on m records is singular when m < d. Here both densities are mixtures of isotropic Gaussians in the PCA space of the
reference, and the bandwidth of each comes from the reference alone, so one released record per class is enough.
"""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.distances import log_density, squared_distances


def density_ratio(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """log P_release(x | y) − log P_reference(x | y)."""
    z = reference.project(flat(x))
    released, (centres, labels) = reference.project(flat(release.x)), reference.centres
    dimension = z.shape[1]
    under_release = log_density(
        squared_distances(z, released), y, release.y, reference.bandwidth(len(release)), dimension
    )
    under_reference = log_density(
        squared_distances(z, centres), y, labels, reference.bandwidth(len(centres)), dimension
    )
    return under_release - under_reference
