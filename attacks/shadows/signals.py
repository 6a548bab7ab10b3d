"""Score of every record under every shadow release: the φ that the shadow attacks compare."""

import numpy as np

from attacks.errors import InputError
from attacks.records import Records
from attacks.release_set import ReleaseSet
from attacks.scores import get
from attacks.scores.background import Background

DEFAULT = ("dcr", "density_ratio", "mean", "offset")


def signals(
    names: tuple[str, ...],
    targets: Records,
    releases: list[ReleaseSet],
    background: Background,
    students: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """φ [K, T] by name, from the releases alone; with `students` > 0 also from students trained on each release.

    The reference of these scores is the pool itself, which holds members and others alike, the targets too: a score calibrated by the
    distance to it is the plain one, and the comparison between runs calibrates each record anyway. Raises InputError on NaN or constant φ.
    """
    phis = {name: _signal(name, targets, releases, background) for name in names}
    if students > 0:
        from attacks.students import log_odds, train

        ensemble = train(releases, per_release=students, seed=seed)
        phis["student"] = log_odds(ensemble, targets).reshape(len(releases), students, -1).mean(axis=1)
    for name, phi in phis.items():
        if not np.isfinite(phi).all():
            raise InputError(
                f"attack {name}: {int((~np.isfinite(phi)).sum())} of {phi.size} scores are NaN or infinite"
            )
        if np.ptp(phi) == 0:
            raise InputError(f"attack {name}: all {phi.size} scores are the same, so it can tell nothing; leave it out")
    return phis


def _signal(name: str, targets: Records, releases: list[ReleaseSet], background: Background) -> np.ndarray:
    score = get(name)
    for release in releases:
        if (reason := score.needs(release)) is not None:
            raise InputError(f"attack {name}: {reason}; leave it out")
    return np.stack([score.run(targets.x, targets.y, release, background) for release in releases])
