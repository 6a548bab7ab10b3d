"""Epsilon lower bound of a procedure from many runs: all coins of independent runs guessed at once.

Runs on independently drawn halves are together one mechanism with runs × targets canaries, each a fair coin that moves one record of one
run; so the one-run bound (Steinke, Nasr & Jagielski 2023) holds for all of them pooled. Half of the pairs of runs fit the attack and choose it and
the number of guesses; of each other pair one run is guessed (its complement would show each coin twice).
"""

from dataclasses import replace

import numpy as np

from attacks.shadows.compare import Wanted, compare, transfer
from attacks.shadows.membership import pair_of
from attacks.statistics import EpsilonBound, guess, one_run_fdp, steinke
from attacks.statistics.guessing import Guesses, guess_shares

FEWEST_PAIRS = 3  # below, nothing is left to compare a left-out pair with
SHARES = (0.4, *(0.5**i for i in range(2, 12)))  # of the coins, in a tail; not half: coins seldom fall half and half


def pooled_bounds(
    phis: dict[str, np.ndarray], member: np.ndarray, wanted: Wanted, delta: float, seed: int
) -> tuple[str, tuple[EpsilonBound, ...]]:
    """The attack chosen; Steinke's bound and, if delta > 0, the f-DP bound (conditional on a Gaussian trade-off), each at 95% confidence."""
    fit, test = halves(len(member))
    attack, share = _choose({name: phi[fit] for name, phi in phis.items()}, member[fit], wanted, delta, seed)
    scores, coins = transfer(phis, member, fit, test, attack, seed).ravel(), member[test].ravel()
    order = np.random.default_rng(seed).permutation(len(scores))  # ties must not follow the order of records
    guesses = _guess(scores[order], coins[order], share)
    rule = f"{':'.join(attack)}, chosen on {fit.sum()} runs, on {test.sum()} others"
    guesses = replace(guesses, rule=rule)
    return ":".join(attack), (steinke(guesses, delta), *([one_run_fdp(guesses, delta)] if delta > 0 else []))


def pooled_ceiling(targets: int, shadows: int, delta: float) -> float:
    """What perfect guesses would show."""
    coins = targets * int(halves(shadows)[1].sum())
    counts = {max(int(coins * share), 1) * 2 for share in SHARES}
    return max(steinke(Guesses(coins, k - k // 2, k // 2, k), delta).value for k in counts if k <= coins)


def halves(shadows: int) -> tuple[np.ndarray, np.ndarray]:
    """Runs [K] that fit (both of the first half of the pairs) and runs that are guessed (the first of each other pair)."""
    run = np.arange(shadows)
    fit = pair_of(run) < max(FEWEST_PAIRS, (shadows // 2 + 1) // 2)
    return fit, ~fit & (run % 2 == 0)


def _choose(
    phis: dict[str, np.ndarray], member: np.ndarray, wanted: Wanted, delta: float, seed: int
) -> tuple[tuple[str, str], tuple[float, float]]:
    """Attack and shares of guesses with the largest bound among the fitting runs, each attacked by the others."""
    scores = compare(phis, member, wanted, seed)
    order = np.random.default_rng(seed).permutation(member.size)
    shares = [(s, b) for s in SHARES if member.size * s >= 8 for b in (s, 0.0)] or guess_shares(member.size)
    found = []
    for attack in wanted:
        score, coins = scores[":".join(attack)].ravel()[order], member.ravel()[order]
        for share in shares:
            guesses = _guess(score, coins, share)
            found.append((steinke(guesses, 0.0).value, guesses.correct / guesses.made, attack, share))
    _, _, attack, share = max(found, key=lambda f: f[:2])
    return attack, share


def _guess(scores: np.ndarray, coins: np.ndarray, share: tuple[float, float]) -> Guesses:
    top, bottom = (int(len(scores) * s) for s in share)
    return guess(scores, coins, max(top, 1), bottom)
