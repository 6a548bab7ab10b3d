"""What every part is given: the profile, the data, and the shadow runs of a cell, made once and shared between parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attacks import Records
from attacks.release_set import ReleaseSet
from experiments.privacy_for_free.cell import Cell


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates, test records and two disjoint sources of starting images; x [N, 1, H, W] in 0..1."""

    name: str
    candidates: Records  # every run takes a random half of them
    test: Records
    auxiliary: Records  # the same dataset, in no run
    public: Records  # another dataset


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
        return len(self.releases[0]) / float(self.member.sum(axis=1).mean())


class Frame:
    """profile: see profile.py; out: folder of cells and results; say: progress in words."""

    def __init__(self, profile: object, out: Path, data_root: Path | None, say: Callable[[str], None]) -> None:
        self.profile, self.out, self.data_root, self.say = profile, out, data_root, say

    def pool(self, name: str) -> Pool:
        """The dataset of this name in the profile (read once)."""
        raise NotImplementedError

    def cell(self, cell: Cell) -> CellResult:
        """The shadow runs of a cell, from disk if they were made before."""
        raise NotImplementedError
