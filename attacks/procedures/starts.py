"""What a condensation starts from: noise, the run's own members, the mean of their class, or records that are public.

One place for all condensers, so that runs with the same seed start from the same members and can be compared record by record.
"""

from typing import Literal

import numpy as np

from attacks.errors import InputError
from attacks.records import Records

Init = Literal["noise", "data", "mean", "public"]
INITS = ("noise", "data", "mean", "public")
SPREAD = 0.1  # of the noise on class means, as a share of the bounds' width: equal images would stay equal


def start_rows(y: np.ndarray, classes: np.ndarray, ipc: int, seed: int) -> np.ndarray:
    """Rows [classes, ipc] of the records to start from: drawn per class without replacement."""
    rng = np.random.default_rng(seed)
    chosen = []
    for label in classes:
        mine = np.flatnonzero(y == label)
        if len(mine) < ipc:
            raise InputError(f"{len(mine)} records of class {label}, {ipc} wanted for the start")
        chosen.append(rng.choice(mine, ipc, replace=False))
    return np.stack(chosen)


def start_images(
    init: Init,
    x: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    ipc: int,
    seed: int,
    bounds: tuple[float, float],
    public: Records | None = None,
) -> np.ndarray:
    """Starting images [classes, ipc, ...] of one run with members x, y.

    "public" draws from `public`: of the same class where it has that label, else of any.
    """
    low, high = bounds
    if init == "noise":
        return np.random.default_rng(seed).uniform(low, high, (len(classes), ipc, *x.shape[1:])).astype(np.float32)
    if init == "data":
        return np.asarray(x[start_rows(y, classes, ipc, seed)], dtype=np.float32)
    if init == "mean":
        means = np.stack([x[y == label].mean(axis=0) for label in classes])[:, None]
        noise = np.random.default_rng(seed).standard_normal((len(classes), ipc, *x.shape[1:]))
        return np.clip(means + SPREAD * (high - low) * noise, low, high).astype(np.float32)
    if public is None:
        raise InputError(f"init={init!r}: give the public records to start from")
    known = np.isin(classes, public.y).all()
    rng = np.random.default_rng(seed)
    rows = (
        start_rows(public.y, classes, ipc, seed)
        if known
        else rng.choice(len(public), (len(classes), ipc), replace=False)
    )
    return np.asarray(public.x[rows], dtype=np.float32)


def all_starts(
    init: Init,
    pool_x: np.ndarray,
    pool_y: np.ndarray,
    membership: np.ndarray,
    seeds: list[int],
    classes: np.ndarray,
    ipc: int,
    bounds: tuple[float, float],
    public: Records | None = None,
) -> np.ndarray:
    """The same [K, classes, ipc, ...] for the K runs whose members are the rows of membership [K, n]."""
    runs = zip(membership, seeds, strict=True)
    return np.stack(
        [start_images(init, pool_x[row], pool_y[row], classes, ipc, seed, bounds, public) for row, seed in runs]
    )


def check_start(name: str, init: str, public: Records | None) -> None:
    """Refuse an unknown start, and public records that are missing."""
    if init not in INITS:
        raise InputError(f"{name}: init={init!r}, choose {', '.join(INITS[:-1])} or {INITS[-1]}")
    if init == "public" and public is None:
        raise InputError(f"{name}: init='public' needs public records to start from")
