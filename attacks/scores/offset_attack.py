"""Offset attack on sets initialised with real records.

In linear distribution matching every released record of a class receives the same gradient, so S = initial records + one common shift:
all differences s_i − s_j are differences of members. We find the shift as iterative closest point does (Besl & McKay 1992) and ask of each
candidate how much better than any other it then matches one released record.
"""

import numpy as np

from attacks.records import flat
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.distances import squared_distances

ROUNDS = 5


def offset_attack(x: np.ndarray, y: np.ndarray, release: ReleaseSet, reference: Background) -> np.ndarray:
    """Largest log margin, over released records s of the class: log (closest other candidate / this candidate) to s − shift."""
    rows, released = flat(x), flat(release.x)
    scores = np.full(len(rows), -np.inf)
    for label in np.unique(y):
        mine, theirs = np.flatnonzero(y == label), release.y == label
        scores[mine] = _margins(rows[mine], released[theirs] if theirs.any() else released)
    return scores


def _margins(candidates: np.ndarray, released: np.ndarray) -> np.ndarray:
    if len(candidates) < 2:
        return np.zeros(len(candidates))
    shift = np.zeros(released.shape[1])
    for _ in range(ROUNDS if len(released) > 1 else 0):
        match = squared_distances(released - shift, candidates).argmin(axis=1)
        shift = np.median(released - candidates[match], axis=0)
    distance = np.sqrt(squared_distances(released - shift, candidates))
    two = np.partition(distance, 1, axis=1)[:, :2]
    others = np.where(distance == two[:, :1], two[:, 1:], two[:, :1])  # closest distance among the other candidates
    floor = 1e-6 * np.median(distance)  # below rounding: an exact match, not an infinite one
    return np.asarray((np.log(others + floor) - np.log(distance + floor)).max(axis=0))
