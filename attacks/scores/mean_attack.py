"""Mean attack (Homer et al. 2008; Dwork et al. 2015): a record leans towards the mean it helped to form.

For linear distribution matching mean(S_y) = mean(T_y) exactly and this is the optimal test: a Gaussian shift of
μ = √(d/n), so AUC = Φ(μ/√2), whatever m and the initialisation. Real images are not isotropic: whiten by the reference first.
"""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background


def mean_attack(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """⟨x − mean(R_y), Σ_R⁻¹ (mean(S_y) − mean(R_y))⟩ with a shrunk within-class Σ_R."""
    rows, released = flat(x), flat(release.x)
    scores = np.empty(len(rows))
    for label in np.unique(y):
        mine, theirs = y == label, release.y == label
        centre = reference.mean(label)
        shift = (released[theirs] if theirs.any() else released).mean(axis=0) - centre
        scores[mine] = (rows[mine] - centre) @ reference.whiten(shift)
    return scores
