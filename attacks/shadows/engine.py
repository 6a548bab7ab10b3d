"""Run a procedure on every row of a membership matrix: all at once where it can, else by joblib; stored as they finish."""

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from attacks.errors import InputError
from attacks.procedures import BatchedProcedure, Procedure
from attacks.records import Records
from attacks.release_set import ReleaseSet, array_hash

BATCH = 32  # shadows made together: what an interruption can lose

Progress = Callable[[int, int, float], None]  # done, of, seconds still to go


def run_shadows(
    procedure: Procedure,
    pool: Records,
    membership: np.ndarray,
    seeds: list[int],
    *,
    workers: int = 1,
    backend: str = "loky",
    out: Path | None = None,
    resume: bool = True,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> list[ReleaseSet]:
    """Releases [K] of the procedure on pool[membership[k]] with seeds[k], the same whatever the engine.

    A procedure with `many` makes `batch` runs together. Others run one by one, on one thread each; with workers > 1
    through the joblib backend named (loky, multiprocessing, threading, or one that was registered: ray, dask).
    With `out`, finished runs lie in out/shadows and are not made again.
    """
    store = Store(out, procedure, pool, membership, seeds, resume)
    missing = [k for k in range(len(seeds)) if store.read(k) is None]
    clock = Clock(progress, len(seeds), len(seeds) - len(missing))
    releases = {}
    for k, release in _made(procedure, pool, membership, seeds, missing, workers, backend, batch, clock):
        _check(release, pool, k)
        store.write(k, release)
        releases[k] = release
        clock.tick(len(seeds) - len(missing) + len(releases))
    return [releases[k] if k in releases else store.must_read(k) for k in range(len(seeds))]


class Clock:
    """Tells progress how many shadows are done and how long the others will take."""

    def __init__(self, progress: Progress | None, of: int, already: int) -> None:
        self.progress, self.of, self.already, self.latest = progress, of, already, float(already)
        self.started = time.monotonic()
        if already and progress is not None:
            progress(already, of, float("nan"))

    def tick(self, done: float) -> None:
        """`done` shadows of all, a fraction within a batch; never backwards."""
        self.latest = max(self.latest, done)
        if self.progress is not None:
            each = (time.monotonic() - self.started) / max(self.latest - self.already, 1e-9)
            self.progress(int(self.latest), self.of, each * (self.of - self.latest))


def _made(
    procedure: Procedure,
    pool: Records,
    membership: np.ndarray,
    seeds: list[int],
    missing: list[int],
    workers: int,
    backend: str,
    batch: int,
    clock: Clock,
) -> Iterator[tuple[int, ReleaseSet]]:
    if isinstance(procedure, BatchedProcedure):
        tells = "progress" in inspect.signature(procedure.many).parameters
        for first in range(0, len(missing), batch):
            runs, done = missing[first : first + batch], clock.already + first

            def step(at: int, of: int, done: int = done, size: int = len(runs)) -> None:
                clock.tick(done + size * at / of)

            more = {"progress": step} if tells else {}
            batched = procedure.many(pool.x, pool.y, membership[runs], [seeds[k] for k in runs], **more)
            yield from zip(runs, batched, strict=True)
    elif workers == 1:
        for k in missing:
            yield k, _one(procedure, pool.x, pool.y, membership[k], seeds[k])
    elif missing:
        from joblib import Parallel, delayed, parallel_config

        threads = {"inner_max_num_threads": 1} if backend == "loky" else {}
        with parallel_config(backend=backend, n_jobs=workers, **threads):
            results = Parallel(return_as="generator")(
                delayed(_one)(procedure, pool.x, pool.y, membership[k], seeds[k]) for k in missing
            )
            yield from zip(missing, results, strict=True)


def _one(procedure: Procedure, x: np.ndarray, y: np.ndarray, mask: np.ndarray, seed: int) -> ReleaseSet:
    with one_thread():
        return procedure(x[mask], y[mask], seed)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch, so that sums come out in the same order in every engine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check(release: ReleaseSet, pool: Records, k: int) -> None:
    if not isinstance(release, ReleaseSet):
        raise InputError(f"procedure: shadow {k} returned {type(release).__name__}, expected a ReleaseSet")
    release.check_against(pool)


class Store:
    """Finished shadows in a folder, one .npz each, beside the plan they belong to. Without a folder: nothing."""

    def __init__(
        self,
        out: Path | None,
        procedure: Procedure,
        pool: Records,
        membership: np.ndarray,
        seeds: list[int],
        resume: bool,
    ) -> None:
        self.folder = None if out is None else Path(out) / "shadows"
        if self.folder is None:
            return
        if " at 0x" in repr(procedure):
            raise InputError(
                f"procedure {describe(procedure)}: its repr holds an address, so its shadows could be taken for another's "
                "after an interruption; give it a __repr__ that tells all its settings, or name no folder"
            )
        plan = {
            "procedure": describe(procedure),
            "pool": array_hash(pool.x) + array_hash(pool.y),
            "membership": array_hash(membership),
            "seeds": hashlib.sha256(json.dumps(seeds).encode()).hexdigest(),
        }
        file = self.folder / "plan.json"
        if file.exists():
            found = json.loads(file.read_text())
            changed = [name for name, value in plan.items() if found.get(name) != value]
            if not resume:
                raise InputError(f"{self.folder}: holds shadows already; resume them or name another folder")
            if changed:
                raise InputError(f"{self.folder}: its shadows have another {changed[0]}; name another folder")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(plan, indent=1))
        partial.replace(file)

    def read(self, k: int) -> ReleaseSet | None:
        """The stored shadow, or None if it was not finished."""
        if self.folder is None or not self._file(k).exists():
            return None
        return ReleaseSet.read(self._file(k))

    def must_read(self, k: int) -> ReleaseSet:
        release = self.read(k)
        assert release is not None
        return release

    def write(self, k: int, release: ReleaseSet) -> None:
        """Store a finished shadow, complete or not at all."""
        if self.folder is not None:
            release.save(self._file(k))

    def _file(self, k: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{k:05d}.npz"


def describe(procedure: Procedure) -> str:
    """A procedure in words that stay the same between runs: its repr, or its name if the repr holds an address."""
    text = repr(procedure)
    return text if " at 0x" not in text else str(getattr(procedure, "__qualname__", type(procedure).__qualname__))
