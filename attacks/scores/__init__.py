"""Attacks that see the released set alone: one score per file, a registry by name.

A score is a function (x [N, ...], y [N], release, reference) -> float64 [N], higher = more member-like. `x` holds
candidates, members and non-members together, in an order that tells nothing; `reference` is data the attacker has of the
same population (see `background.Background`) and none of it was given to the condenser knowingly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attacks.errors import InputError
from attacks.release_set import ReleaseSet
from attacks.scores.background import Background
from attacks.scores.closest_record import closest_record, closest_record_calibrated
from attacks.scores.density_ratio import density_ratio
from attacks.scores.gan_leaks import gan_leaks, gan_leaks_calibrated
from attacks.scores.mean_attack import mean_attack
from attacks.scores.monte_carlo import monte_carlo
from attacks.scores.nearest_ratio import nearest_ratio
from attacks.scores.offset_attack import offset_attack
from attacks.scores.soft_labels import soft_labels

ScoreFunction = Callable[[np.ndarray, np.ndarray, ReleaseSet, Background], np.ndarray]


@dataclass(frozen=True)
class Score:
    """An attack: its function, one line for the report, and what a release must have for it to apply."""

    run: ScoreFunction
    says: str
    needs: Callable[[ReleaseSet], str | None] = lambda release: None  # the reason why it does not apply, or None


def _two_records(release: ReleaseSet) -> str | None:
    return None if len(release) > 1 else "needs at least two released records"


def _soft(release: ReleaseSet) -> str | None:
    return None if release.soft is not None else "the release has no soft labels"


SCORES: dict[str, Score] = {
    "dcr": Score(closest_record, "distance to the closest released record of the same class"),
    "dcr_calibrated": Score(closest_record_calibrated, "that distance less the one to the closest reference record"),
    "nndr": Score(nearest_ratio, "nearest over second nearest released record", _two_records),
    "gan_leaks": Score(gan_leaks, "GAN-leaks, full black box: distance to the closest released record of any class"),
    "gan_leaks_calibrated": Score(gan_leaks_calibrated, "GAN-leaks calibrated by the reference"),
    "monte_carlo": Score(monte_carlo, "number of released records within the median closest distance"),
    "density_ratio": Score(density_ratio, "DOMIAS: log density under the release less that under the reference"),
    "mean": Score(mean_attack, "Homer/Dwork: projection on the whitened shift of the class mean"),
    "offset": Score(offset_attack, "margin of the match with one released record after undoing a common shift"),
    "soft_labels": Score(soft_labels, "fit of the record by kernel regression on the released soft labels", _soft),
}


def compute(name: str, x: np.ndarray, y: np.ndarray, release: ReleaseSet, background: Background) -> np.ndarray:
    """Scores [N] of a registered attack; raises InputError on NaN or on scores that are all the same."""
    scores = np.asarray(get(name).run(x, y, release, background), dtype=np.float64)
    return checked(name, scores, len(x))


def checked(name: str, scores: np.ndarray, n: int) -> np.ndarray:
    """The scores, after refusing those from which nothing can be learnt."""
    if scores.shape != (n,):
        raise InputError(f"attack {name}: returned shape {scores.shape} for {n} records")
    if np.isnan(scores).any():
        raise InputError(
            f"attack {name}: {int(np.isnan(scores).sum())} of {n} scores are NaN; leave it out or repair the data"
        )
    if np.ptp(scores[np.isfinite(scores)]) == 0 if np.isfinite(scores).any() else True:
        raise InputError(f"attack {name}: all {n} scores are the same, so it can tell nothing; leave it out")
    return scores


def get(name: str) -> Score:
    """The registered attack of this name."""
    if name not in SCORES:
        raise InputError(f"attack {name!r} is not known; choose from {', '.join(SCORES)}")
    return SCORES[name]


def applicable(release: ReleaseSet) -> tuple[list[str], dict[str, str]]:
    """Names of the attacks that apply to this release, and why each of the others does not."""
    reasons = {name: reason for name, score in SCORES.items() if (reason := score.needs(release)) is not None}
    return [name for name in SCORES if name not in reasons], reasons
