"""What every part is given: the profile, the data, and the shadow runs of a cell, made once and shared between parts."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.leak import measure
from experiments.privacy_for_free.pools import Pool, read_pool
from experiments.privacy_for_free.profile import Profile
from experiments.privacy_for_free.shadows import CellResult, load_cell, run_cell, save_cell

KEPT = 4  # cells held in memory

Rates = tuple[dict[str, Any], dict[str, list[float]]]


class Frame:
    """profile: sizes; out: folder of cells, rates and results; data_root as dpcond.load; say: progress in words."""

    def __init__(self, profile: Profile, out: Path, data_root: Path | None, say: Callable[[str], None]) -> None:
        self.profile, self.out, self.data_root, self.say = profile, out, data_root, say
        self._pools: dict[str, Pool] = {}
        self._made: list[float] = []  # seconds of each cell made in this run
        self._recent: OrderedDict[Cell, CellResult] = OrderedDict()
        for folder in ("cells", "rates", "parts"):
            (out / folder).mkdir(parents=True, exist_ok=True)

    def pool(self, name: str) -> Pool:
        """The dataset of this name in the profile (read once)."""
        if name not in self._pools:
            self._pools[name] = read_pool(name, self.profile.data[name], self.data_root)
        return self._pools[name]

    def cell(self, cell: Cell) -> CellResult:
        """The shadow runs of a cell, from disk if they were made before."""
        if cell not in self._recent:
            path, pool = self.out / "cells" / f"{self._name(cell)}.npz", self.pool(cell.data)
            if path.exists():
                result = load_cell(cell, self.profile, pool, path)
            else:
                result = run_cell(cell, self.profile, pool, self.say)
                save_cell(result, path)
                self._made.append(sum(result.seconds.values()))
                self._tell()
            self._recent[cell] = result
            while len(self._recent) > KEPT:
                self._recent.popitem(last=False)
        self._recent.move_to_end(cell)
        return self._recent[cell]

    def _tell(self) -> None:
        """How much of the grid is to go."""
        left = sum(not (self.out / "cells" / f"{self._name(cell)}.npz").exists() for cell in self.profile.cells())
        if left:
            each = sum(self._made) / len(self._made)
            self.say(f"{left} cells of the grid to go, about {left * each:.0f} s")

    def targets(self, result: CellResult) -> np.ndarray:
        """Rows of the pool on which attacks are measured: random ones, the same in every cell of a pool; never canaries."""
        planted = np.concatenate(
            [np.array([], dtype=int), *(f for name, f in result.families.items() if name != "hard")]
        )
        size = int(planted.min()) if planted.size else len(result.pool)
        return np.sort(np.random.default_rng(self.profile.seed).permutation(size)[: self.profile.targets])

    def rates(self, cell: Cell, attack: str, started: bool = False) -> Rates:
        """Rates and ROC curve of an attack on a cell's targets (leak.measure), from disk if measured before."""
        name = f"{self._name(cell)}-{attack.replace(':', '_')}{'-started' if started else ''}-{self.profile.targets}"
        path = self.out / "rates" / f"{name}.json"
        if not path.exists():
            result = self.cell(cell)
            found = measure(result, attack, self.targets(result), started)
            row = cell_row(result) | found[0]
            write_json(path, [row, found[1]])
        row, roc = json.loads(path.read_text())
        return row, roc

    def _name(self, cell: Cell) -> str:
        """The cell's key, and a hash of all settings its runs depend on."""
        profile = self.profile
        settings = {
            "data": profile.data[cell.data].model_dump(),
            "options": profile.method_options(cell.method, cell.ipc),
            "students": profile.students.model_dump(),
            "shadows": profile.shadows,
            "seed": profile.seed,
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return f"{cell.key}-{digest}"


def cell_row(result: CellResult) -> dict[str, Any]:
    """What a row of a table says of the cell: its setting, accuracy with interval, and shadows."""
    cell, accuracy = result.cell, result.accuracy
    pairs = accuracy.reshape(-1, 2).mean(axis=1)  # runs 2j and 2j+1 share their coins
    spread = 1.96 * pairs.std(ddof=1) / np.sqrt(len(pairs))
    return {
        "data": cell.data,
        "method": cell.method,
        "ipc": cell.ipc,
        "init": "" if cell.method == "full" else cell.init,
        "shadows": len(accuracy),
        "accuracy": float(accuracy.mean()),
        "accuracy_low": float(accuracy.mean() - spread),
        "accuracy_high": float(accuracy.mean() + spread),
    }


def write_json(path: Path, value: Any) -> None:
    """Complete or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
    partial.replace(path)
