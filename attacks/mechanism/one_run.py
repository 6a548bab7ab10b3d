"""One-run audit: many canaries with orthogonal marks, each in or out by its own fair coin, one run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from attacks.errors import InputError
from attacks.mechanism.multi_run import COINS, check_claim
from attacks.mechanism.protocol import FloatArray, Mechanism, project
from attacks.mechanism.scores import Score, weighted_sum
from attacks.statistics.epsilon import EpsilonBound
from attacks.statistics.guessing import GuessBound, guess, guess_by_bonferroni, perfect_scores
from attacks.statistics.one_run import one_run_fdp, steinke
from attacks.statistics.verdict import Verdict, verdict


@dataclass(frozen=True)
class OneRunAudit:
    """A claim against the one-run bounds; `verdict` rests on Steinke's, which assumes nothing."""

    claimed_epsilon: float
    delta: float
    canaries: int
    confidence: float
    steinke: EpsilonBound
    f_dp: EpsilonBound
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def audit_one_run(
    mechanism: Mechanism,
    epsilon: float,
    delta: float,
    *,
    confidence: float = 0.999,
    guesses: tuple[int, int] | None = None,
    score: Score | None = None,
    seed: int = 0,
) -> OneRunAudit:
    """Audit a claimed (epsilon, delta) from a single run (Steinke et al. 2023; Mahloujifar et al. 2024).

    `guesses` = (k_plus, k_minus) fixed in advance; without it the best of a fixed grid, corrected by
    Bonferroni. The coins come from `seed`, which the mechanism must not know.
    """
    check_claim(epsilon, delta)
    marks = np.asarray(mechanism.canaries, dtype=np.float64).reshape(len(mechanism.canaries), -1)
    own = (marks**2).sum(axis=1)
    probe = np.random.default_rng(0).normal(size=len(marks))  # a random mixture shows any overlap without all pairs
    crossed = np.abs(marks @ (marks.T @ probe) - own * probe)
    if len(marks) < 2 or crossed.max() > 1e-6 * own.max():
        raise InputError(f"the {len(marks)} canaries must be two or more with orthogonal marks, one direction each")
    include = np.random.default_rng([COINS, seed]).random((1, len(marks))) < 0.5
    scores, coins = (score or weighted_sum())(project(mechanism, include))[0], include[0]

    def shown(scores: FloatArray, method: GuessBound) -> EpsilonBound:
        if guesses is None:
            return guess_by_bonferroni(scores, coins, method, delta, confidence)
        return method(guess(scores, coins, *guesses), delta, confidence)

    exact, f_dp, ceiling = (
        shown(scores, steinke),
        shown(scores, one_run_fdp),
        shown(perfect_scores(coins), steinke).value,
    )
    return OneRunAudit(epsilon, delta, len(marks), confidence, exact, f_dp, verdict(epsilon, exact, ceiling))
