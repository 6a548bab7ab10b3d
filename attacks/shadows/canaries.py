"""Canary families appended to a pool as targets: records on which a procedure is likely to leak most.

Families as in Aerni et al. (2024) and Zhao & Zhang (2025), and in-distribution hard ones, since out-of-distribution canaries are weak where only
data is released (2502.14921).
"""

from dataclasses import dataclass

import numpy as np

from attacks.errors import InputError
from attacks.records import Records, flat, join
from attacks.scores.distances import squared_distances

FAMILIES = ("mislabelled", "duplicated", "ood", "blank", "hard")
COPIES = 3  # a duplicated canary is a record of the pool and so many equal ones, in or out together
NEIGHBOURS = 5


@dataclass(frozen=True)
class Canaries:
    """The pool with canaries, the group [n] that shares one coin, and the target indices of each family."""

    pool: Records
    groups: np.ndarray
    families: dict[str, np.ndarray]


def add_canaries(pool: Records, families: tuple[str, ...] = FAMILIES, each: int = 50, seed: int = 0) -> Canaries:
    """Append `each` canaries of every family; "hard" ones are the pool's own most isolated records.

    A duplicated canary's first copy is the target. The pool's own record shares its coin: with another one it would stand for the
    copies in half of the runs without them. The source of a mislabelled one stays, with a coin of its own.
    Raises InputError on an unknown family or a pool with too few records.
    """
    unknown = [name for name in families if name not in FAMILIES]
    if unknown:
        raise InputError(f"canary family {unknown[0]!r} is not known; choose from {', '.join(FAMILIES)}")
    if each < 1 or len(pool) < 2 * each:
        raise InputError(f"canaries={each} of each family from a pool of {len(pool)}; the pool must be twice as large")
    rng = np.random.default_rng(seed)
    parts, groups, targets, size = [pool], [np.arange(len(pool))], {}, len(pool)
    for family in families:
        if family == "hard":
            targets[family] = most_isolated(pool, each)
            continue
        rows = rng.choice(len(pool), each, replace=False)
        targets[family] = size + np.arange(each)
        copies = COPIES if family == "duplicated" else 1
        parts.extend([_make(family, pool, rows, rng)] * copies)
        groups.extend([rows if family == "duplicated" else targets[family]] * copies)
        size += each * copies
    return Canaries(join(*parts), np.concatenate(groups), targets)


def most_isolated(pool: Records, each: int) -> np.ndarray:
    """Indices of the records farthest, on average, from their 5 nearest of the same class (Achilles, Meeus et al. 2023)."""
    rows, isolation = flat(pool.x), np.empty(len(pool))
    for label in np.unique(pool.y):
        mine = np.flatnonzero(pool.y == label)
        for part in np.array_split(mine, max(1, len(mine) // 2048)):
            nearest = np.sort(squared_distances(rows[part], rows[mine]), axis=1)[:, 1 : NEIGHBOURS + 1]
            isolation[part] = np.sqrt(nearest).mean(axis=1) if nearest.size else np.inf
    return np.sort(np.argsort(-isolation, kind="stable")[:each])


def _make(family: str, pool: Records, rows: np.ndarray, rng: np.random.Generator) -> Records:
    x, y, classes, each = pool.x[rows].copy(), pool.y[rows].copy(), np.unique(pool.y), len(rows)
    low, high = float(pool.x.min()), float(pool.x.max())
    if family == "mislabelled":
        if len(classes) < 2:
            raise InputError("mislabelled canaries need at least two classes")
        place = np.searchsorted(classes, y)
        y = classes[(place + rng.integers(1, len(classes), each)) % len(classes)]
    elif family == "ood":
        x = rng.uniform(low, high, x.shape)
    elif family == "blank":
        levels = rng.uniform(low, high, each).reshape(-1, *[1] * (x.ndim - 1))
        x = np.broadcast_to(levels, x.shape)
    return Records(x, y)
