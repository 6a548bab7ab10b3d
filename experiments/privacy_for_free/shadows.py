"""A cell run: K condensations of random halves of one pool, students on each release, the score of every candidate under each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from attacks import Records
from attacks.errors import InputError
from attacks.procedures import ConvNetDM, GradientMatching, KernelInducing, LinearDM, Procedure
from attacks.procedures.starts import start_rows
from attacks.procedures.subset import ClassSubset
from attacks.procedures.verbatim import Verbatim
from attacks.release_set import ReleaseSet
from attacks.shadows.canaries import FAMILIES, add_canaries
from attacks.shadows.engine import run_shadows
from attacks.shadows.membership import membership
from attacks.students import log_odds, train
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.pools import Pool
from experiments.privacy_for_free.profile import Profile

SHARPNESS = 10.0  # learnt labels become targets of a student by softmax(10 · label): a one-hot label stays one
PAUSE = 15.0  # seconds between lines of progress
CHUNK = 32  # releases whose students are trained together


@dataclass(frozen=True, eq=False)
class CellResult:
    """K runs of a cell. Runs 2j and 2j+1 are complements, so every candidate is in exactly K/2 of them."""

    cell: Cell
    pool: Records  # candidates [n], canaries last
    families: dict[str, np.ndarray]  # indices of the canaries by family
    member: np.ndarray  # [K, n] booleans
    started: np.ndarray  # [K, n] booleans: members whose image the run started from (or, for a subset, released)
    releases: list[ReleaseSet]  # K
    phi: np.ndarray  # [K, n] log-odds of the true class, mean of the students of each run
    accuracy: np.ndarray  # [K] of the students on the test records
    seconds: dict[str, float]  # condense, students

    @property
    def subset_rate(self) -> float:
        """m/n: what releasing as many members verbatim would give an attacker."""
        return min(float(np.mean([len(r) for r in self.releases]) / self.member.sum(axis=1).mean()), 1.0)


@dataclass(frozen=True, eq=False)
class Setup:
    """What is public in a cell: the pool with its canaries, and the coins of the K runs."""

    pool: Records
    families: dict[str, np.ndarray]
    member: np.ndarray
    seeds: list[int]


def setup(cell: Cell, profile: Profile, pool: Pool) -> Setup:
    """Candidates and coins; the same for all cells that share pool, classes and canaries."""
    candidates = pool.candidates
    if cell.classes is not None:
        candidates = candidates[np.flatnonzero(candidates.y < cell.classes)]
    if cell.pool is not None:
        candidates = candidates[: cell.pool]
    groups, families = np.arange(len(candidates)), {}
    if cell.canaries > 0:
        planted = add_canaries(candidates, FAMILIES, cell.canaries, profile.seed)
        candidates, groups, families = planted.pool, planted.groups, planted.families
    seeds = [int(s) for s in np.random.SeedSequence(profile.seed).generate_state(profile.shadows)]
    return Setup(candidates, families, membership(profile.shadows, groups, profile.seed), seeds)


def procedure(cell: Cell, profile: Profile, pool: Pool) -> Procedure:
    """The condenser of a cell."""
    options: dict[str, Any] = profile.method_options(cell.method, cell.ipc)
    if cell.steps is not None:
        options["steps"] = cell.steps
    options |= _start(cell, pool) | {"ipc": cell.ipc}
    match cell.method:
        case "subset":
            return ClassSubset(cell.ipc)
        case "full":
            return Verbatim(len(pool.candidates.x))
        case "linear_dm":
            return LinearDM(cell.ipc, options["init"])
        case "dm":
            return ConvNetDM(device=profile.device, **options)
        case "dc" | "dsa":
            return GradientMatching(augment=cell.method == "dsa", device=profile.device, **options)
        case "kip":
            return KernelInducing(solve_labels=cell.soft, device=profile.device, **options)
    raise InputError(f"method {cell.method!r} is not known")


def _start(cell: Cell, pool: Pool) -> dict[str, Any]:
    match cell.init:
        case "member":
            return {"init": "data"}
        case "nonmember":
            return {"init": "public", "public": pool.auxiliary}
        case "public":
            return {"init": "public", "public": pool.public}
    return {"init": cell.init}


def run_cell(cell: Cell, profile: Profile, pool: Pool, say: Callable[[str], None]) -> CellResult:
    """Condense, train, score."""
    public = setup(cell, profile, pool)
    begun = time.monotonic()
    releases = run_shadows(
        procedure(cell, profile, pool),
        public.pool,
        public.member,
        public.seeds,
        batch=profile.shadows,
        progress=_seldom(cell.key, say),
    )
    condensed = time.monotonic()
    phi, accuracy = student_scores(releases, public.pool, pool.test, profile, full=cell.method == "full")
    seconds = {"condense": condensed - begun, "students": time.monotonic() - condensed}
    say(f"{cell.key}: {seconds['condense']:.0f} s condensing, {seconds['students']:.0f} s students")
    return CellResult(
        cell, public.pool, public.families, public.member, started(cell, public), releases, phi, accuracy, seconds
    )


def _seldom(name: str, say: Callable[[str], None]) -> Callable[[int, int, float], None]:
    """Progress in words, at most every PAUSE seconds."""
    last = time.monotonic()

    def progress(done: int, of: int, left: float) -> None:
        nonlocal last
        if time.monotonic() - last > PAUSE:
            last = time.monotonic()
            say(f"{name}: {done} of {of} condensed, {left:.0f} s to go")

    return progress


def started(cell: Cell, public: Setup) -> np.ndarray:
    """Booleans [K, n]: members that a run started from, or released."""
    mask = np.zeros_like(public.member)
    if cell.method == "full":
        return public.member.copy()
    if cell.method == "subset" or (cell.init == "member" and cell.method != "linear_dm"):
        for k, seed in enumerate(public.seeds):
            mine = np.flatnonzero(public.member[k])
            labels = public.pool.y[mine]
            mask[k, mine[start_rows(labels, np.unique(public.pool.y), cell.ipc, seed)]] = True
    return mask


def student_scores(
    releases: list[ReleaseSet], pool: Records, test: Records, profile: Profile, full: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds [K, n] of the candidates, mean of each run's students, and their accuracy [K] on the test records."""
    given = profile.students
    steps = given.full_steps if full else given.steps
    odds, accuracy = [], []
    for first in range(0, len(releases), CHUNK):
        part = [_for_students(release) for release in releases[first : first + CHUNK]]
        ensemble = train(part, given.each, profile.seed * 1_000_003 + first, steps, given.network, profile.device)
        odds.append(log_odds(ensemble, pool).reshape(len(part), given.each, -1).mean(axis=1))
        with torch.no_grad():
            right = (ensemble(torch.from_numpy(test.x)).argmax(-1).cpu() == torch.from_numpy(test.y)).float().mean(-1)
        accuracy.append(right.numpy().reshape(len(part), given.each).mean(axis=1))
    return np.concatenate(odds), np.concatenate(accuracy).astype(np.float64)


def _for_students(release: ReleaseSet) -> ReleaseSet:
    """Learnt labels as the distribution a student is trained towards."""
    if release.soft is None:
        return release
    return replace(release, soft=softmax(SHARPNESS * release.soft, axis=1))


def save_cell(result: CellResult, path: Path) -> None:
    """What a run made, complete or not at all; a full release is its members and is not stored again."""
    arrays = {"phi": result.phi.astype(np.float32), "accuracy": result.accuracy}
    arrays |= {f"seconds_{name}": np.array(value) for name, value in result.seconds.items()}
    if result.cell.method != "full":
        arrays |= {"x": np.stack([r.x for r in result.releases]), "y": np.stack([r.y for r in result.releases])}
        if result.releases[0].soft is not None:
            arrays["soft"] = np.stack([r.soft for r in result.releases if r.soft is not None])
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def load_cell(cell: Cell, profile: Profile, pool: Pool, path: Path) -> CellResult:
    """The runs of a cell made before; what is public is computed anew."""
    public = setup(cell, profile, pool)
    with np.load(path) as stored:
        phi, accuracy = stored["phi"].astype(np.float64), stored["accuracy"]
        seconds = {name: float(stored[f"seconds_{name}"]) for name in ("condense", "students")}
        if cell.method == "full":
            releases = [ReleaseSet(public.pool.x[row], public.pool.y[row]) for row in public.member]
        else:
            softs = stored["soft"] if "soft" in stored else [None] * len(phi)
            releases = [ReleaseSet(x, y, s) for x, y, s in zip(stored["x"], stored["y"], softs, strict=True)]
    return CellResult(
        cell, public.pool, public.families, public.member, started(cell, public), releases, phi, accuracy, seconds
    )
