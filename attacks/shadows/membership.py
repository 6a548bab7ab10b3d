"""Who is in which shadow: complementary pairs of fair coins."""

import numpy as np

from attacks.errors import InputError

FEWEST = 8
COINS = 0xC015  # a stream of their own, whatever else is drawn from the seed


def membership(shadows: int, groups: np.ndarray, seed: int) -> np.ndarray:
    """Boolean matrix [K, n]: runs 2j and 2j+1 are complements, and run 2j tosses one fair coin per group [n].

    So each record is in exactly K/2 runs; within a run the coins are independent, as one-run bounds require; and leaving out a run
    together with its complement leaves K/2 − 1 runs with and K/2 − 1 without each record, whichever side it was on, so that
    a left-out score carries no trace of its own coin. Raises InputError unless K is even and at least 8.
    """
    if shadows < FEWEST or shadows % 2:
        raise InputError(f"shadows={shadows}: give an even number, at least {FEWEST}")
    _, group = np.unique(groups, return_inverse=True)
    coins = np.random.default_rng([COINS, seed]).random((shadows // 2, group.max() + 1)) < 0.5
    first = coins[:, group]
    return np.stack([first, ~first], axis=1).reshape(shadows, len(group))


def pair_of(runs: np.ndarray) -> np.ndarray:
    """The pair [K] that a run belongs to: the unit that is independent of the others."""
    return runs // 2
