"""Multi-run audit: one worst-case canary, many fresh runs, with it or without it by a fair coin each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from attacks.errors import InputError
from attacks.mechanism.protocol import BoolArray, FloatArray, Mechanism, project
from attacks.mechanism.scores import Score, weighted_sum
from attacks.statistics.epsilon import EpsilonBound, epsilon_clopper_pearson, epsilon_gdp
from attacks.statistics.guessing import guess_by_bonferroni, perfect_scores
from attacks.statistics.one_run import independent_runs
from attacks.statistics.thresholds import Ranks
from attacks.statistics.verdict import Verdict, verdict

BATCH = 1024  # runs asked for at once
COINS = 0xC015  # a stream of its own, whatever seed the mechanism has
CENTRE = Ranks((0.3, 0.1, 0.01))  # a Gaussian trade-off is best read near its middle


@dataclass(frozen=True)
class MechanismAudit:
    """A claim against lower bounds, each at `confidence`.

    `verdict` rests on `guesses` (as `clopper_pearson`, it assumes nothing of the mechanism, and needs fewer runs);
    `gaussian_verdict` rests on `gaussian`, the GDP bound, which is true of Gaussian mechanisms only.
    """

    claimed_epsilon: float
    delta: float
    runs: int
    confidence: float
    guesses: EpsilonBound
    clopper_pearson: EpsilonBound
    gaussian: EpsilonBound
    verdict: Verdict
    gaussian_verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def audit_mechanism(
    mechanism: Mechanism,
    epsilon: float,
    delta: float,
    *,
    runs: int = 100_000,
    confidence: float = 0.999,
    canary: int = 0,
    score: Score | None = None,
    seed: int = 0,
) -> MechanismAudit:
    """Audit a claimed (epsilon, delta) with fresh runs, half of them with the canary (Nasr et al. 2021, 2023).

    The score of a run is the inner product of its answers with the canary's mark, summed over the answers unless
    `score` says otherwise. Guess counts and thresholds are the best of small fixed grids (Bonferroni). The
    coins come from `seed`, which the mechanism must not know. An honest mechanism is called violated with probability
    at most 1 - confidence, per verdict.
    """
    check_claim(epsilon, delta)
    scores, included = run_scores(mechanism, runs, canary, score, seed)
    sides = scores[included], scores[~included]
    guesses = guess_by_bonferroni(scores, included, independent_runs, delta, confidence)
    exact = epsilon_clopper_pearson(*sides, delta, confidence, Ranks())
    gaussian = epsilon_gdp(*sides, delta, confidence, CENTRE)
    perfect = guess_by_bonferroni(perfect_scores(included), included, independent_runs, delta, confidence).value
    apart = np.arange(runs // 2, dtype=float)
    perfect_gaussian = epsilon_gdp(apart + runs, apart, delta, confidence, CENTRE).value
    return MechanismAudit(
        epsilon,
        delta,
        runs,
        confidence,
        guesses,
        exact,
        gaussian,
        verdict(epsilon, guesses, perfect),
        verdict(epsilon, gaussian, perfect_gaussian),
    )


def check_claim(epsilon: float, delta: float) -> None:
    """A claim that an audit can contradict: 0 < epsilon < inf, 0 < delta < 1."""
    if not 0 < epsilon < np.inf or not 0 < delta < 1:
        raise InputError(f"claimed epsilon {epsilon!r}, delta {delta!r}: give 0 < epsilon < inf, 0 < delta < 1")


def run_scores(
    mechanism: Mechanism, runs: int, canary: int = 0, score: Score | None = None, seed: int = 0
) -> tuple[FloatArray, BoolArray]:
    """Scores [runs] of fresh runs, and whether the canary was in [runs]; the other canaries stay out."""
    m = len(mechanism.canaries)
    if runs < 32 or not 0 <= canary < m:
        raise InputError(f"runs is {runs}, canary {canary}: give 32 runs or more and a canary in 0..{m - 1}")
    included = np.random.default_rng([COINS, seed]).random(runs) < 0.5
    score, scores = score or weighted_sum(), np.empty(runs)
    for start in range(0, runs, BATCH):
        include = np.zeros((included[start : start + BATCH].size, m), dtype=bool)
        include[:, canary] = included[start : start + BATCH]
        scores[start : start + BATCH] = score(project(mechanism, include)[:, canary])
    return scores, included
