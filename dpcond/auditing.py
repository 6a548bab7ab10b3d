"""What dpcond hands to the auditors of ``attacks``: its condensations as procedures, its curator as a mechanism."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from attacks.errors import InputError as AttackInputError
from attacks.release_set import ReleaseSet
from attacks.report.report import check_free
from dpcond.config import Config, load_config
from dpcond.data import Data, Records
from dpcond.decoding import denormalize
from dpcond.errors import InputError
from dpcond.methods import dm
from dpcond.methods.base import Progress, Run, class_sizes, silent
from dpcond.methods.matching import ReleasedMeans, match_means
from dpcond.models import resolve_device, reuse_freed_memory
from dpcond.pipeline import noise_source, plan, run
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.curator import Curator
from dpcond.privacy.noise import DiscreteGaussianNoise, GaussianNoise, NoiseSource
from dpcond.privacy.plan import Plan, Stage, make_plan
from dpcond.privacy.queries import ClassSums, Feature
from dpcond.release import Release
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

if TYPE_CHECKING:
    from dpcond.privacy.events import Event

CHUNK = 256
THREATS = ("release", "student", "procedure", "mechanism")


def audit_release(
    path: Path,
    data: Data,
    out: Path,
    *,
    threat: str = "release",
    attacks: Sequence[str] | None = None,
    members: int = 2000,
    shadows: int = 64,
    canaries: int = 0,
    students: int | None = None,
    runs: int = 50_000,
    workers: int = 1,
    resume: bool = True,
    seed: int = 0,
    settings: Sequence[str] = (),
    progress: Progress = silent,
) -> str:
    """Audit the release in ``path`` against the data it was made from; write the report to ``out``; say the verdict.

    Args:
        threat: ``release`` or ``student`` attack this one release; ``procedure`` condenses random halves of ``members``
            records anew; ``mechanism`` runs the wall with and without a worst-case canary at the release's ε.
        settings: ``key=value`` changes to what is condensed anew (procedure), e.g. fewer steps.

    Raises:
        InputError: an unknown threat, an audit already in ``out``, or records that do not fit the release.
    """
    if threat not in THREATS:
        raise InputError(f"threat {threat!r} is unknown: choose from {', '.join(THREATS)}")
    if settings and threat != "procedure":
        raise InputError(f"--set {settings[0]}: nothing is condensed anew under threat {threat!r}; leave it out")
    release = Release.load(path)
    if threat == "procedure" and "made_from" in release.privacy:
        raise InputError(f"{path} was made from another release: audit the procedure that asked the data, that one's")
    claimed = release.epsilon if release.private else None
    delta = release.privacy["delta"] or 1e-5
    try:
        check_free(out)
        if threat == "mechanism":
            return _audit_mechanism(release, runs, out)
        chosen = np.random.default_rng(seed).permutation(len(data.records))[:members]
        pool = _in_units(data.records, chosen)
        if threat == "procedure":
            from attacks import audit_procedure

            report = audit_procedure(
                _procedure(release, len(chosen), settings),
                pool,
                shadows,
                min(500, len(chosen)),
                attacks,
                seed,
                workers,
                out,
                resume,
                lambda done, of, left: progress(done, of, "shadows"),
                canaries=canaries,
                students=students or 0,
                claimed_epsilon=claimed,
                delta=delta,
            )
        else:
            from attacks import audit

            if data.test is None:
                raise InputError(f"{data.spec.name} has no test records to stand for non-members; give --test-data")
            outsiders = np.random.default_rng(seed + 1).permutation(len(data.test))[: 2 * members]
            report = audit(
                ReleaseSet.read(path),
                pool,
                _in_units(data.test, outsiders),
                None,
                threat,
                attacks,
                claimed,
                delta,
                seed,
                8 if students is None else students,
                max(data.spec.records, len(chosen)),
            )
        report.save(out, [])
    except AttackInputError as error:
        raise InputError(f"audit: {error}") from None
    return f"{report.verdict.sentence}\nsee {out / 'audit.html'}"


def _in_units(records: Records, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chosen records in their own units (pixels 0 to 1) and their labels."""
    x, y = records.batch(torch.from_numpy(np.sort(chosen)))
    return denormalize(x.numpy(), records.spec), y.numpy()


def _procedure(release: Release, pool: int, settings: Sequence[str]) -> CondensationProcedure:
    """The release's own configuration over halves of a pool, with the user's changes."""
    public = release.privacy["plan"]["public"]
    promise = release.privacy["plan"]
    given: dict[str, Any] = {name: public[name] for name in ("method", "ipc", "seed", "options")}
    given |= {"privacy.delta": promise["delta"], "privacy.adjacency": promise["adjacency"]}
    given |= {"privacy.epsilon": promise["epsilon"]} if release.private else {"privacy.mode": "none"}
    counts = release.spec.class_counts
    half = pool // 2
    nominal = None if counts is None else tuple(max(1, round(half * c / sum(counts))) for c in counts)
    return CondensationProcedure(release.spec, load_config(None, settings, given), half, nominal)


def _audit_mechanism(release: Release, runs: int, out: Path) -> str:
    from attacks import audit_mechanism

    if not release.private:
        raise InputError("this release promises nothing, so there is no claim for a mechanism audit to test")
    promise = release.privacy
    noise = DiscreteGaussianNoise() if promise["plan"]["public"]["noise"] == "discrete" else GaussianNoise()
    wall = CuratorMechanism(release.epsilon, promise["delta"], promise["adjacency"], noise)
    found = audit_mechanism(wall, release.epsilon, promise["delta"], runs=runs)
    out.mkdir(parents=True, exist_ok=True)
    (out / "audit.json").write_text(json.dumps(found.to_json(), indent=1, default=str) + "\n")
    return f"{found.verdict.sentence}\n{found.gaussian_verdict.sentence}\nsee {out / 'audit.json'}"


class CondensationProcedure:
    """A configured condensation as a procedure of ``attacks``: member records in, release out.

    The public networks are those of ``config.seed`` in every run; a run's own seed starts its synthetic set. The noise of
    a private run comes from the wall and repeats with no seed. Values are in the units of the records (pixels 0 to 1).

    Args:
        spec: public description of the data the release was made from.
        config: what was run.
        records: declared number of records of one run (half the pool).
        class_counts: declared class counts of one run, when they were declared public; else ``None``.
    """

    def __init__(
        self, spec: DataSpec, config: Config, records: int, class_counts: tuple[int, ...] | None = None
    ) -> None:
        self.spec = replace(spec, records=records, class_counts=class_counts)
        self.config = config

    def __repr__(self) -> str:
        """All its settings, by which finished runs are told from those of another procedure."""
        return f"CondensationProcedure({json.dumps([self.spec.to_json(), self.config.model_dump()])})"

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet:
        """The release of one run over the members x [n, *shape], y [n]."""
        if self._shares_features():
            return self._many(x, y, np.ones((1, len(x)), dtype=bool), [seed])[0]
        data = Data(self.spec, self._records(x, y))
        release = run(data, self.config.model_copy(update={"seed": seed % 2**31}))
        return self._released(release.x, release.y)

    def __getattr__(self, name: str) -> Any:
        """``many`` exists only where runs can share work, as the protocol of ``attacks`` wants."""
        if name == "many" and "config" in self.__dict__ and self._shares_features():
            return self._many
        raise AttributeError(name)

    def _shares_features(self) -> bool:
        options = self.config.options
        return self.config.method == "dm" and options.get("schedule", "one-shot") == "one-shot"

    def _many(
        self,
        pool_x: np.ndarray,
        pool_y: np.ndarray,
        membership: np.ndarray,
        seeds: Sequence[int],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[ReleaseSet]:
        """K runs of ``dm``: every network sees the pool once, each run's curator sums its own members; then K matchings."""
        reuse_freed_memory()
        planned = plan(self.spec, self.config)
        options = dm.DMOptions(**planned.public["options"])
        context = Run(self.config.ipc, self.config.seed, resolve_device(self.config.engine.device))
        pool = self._records(pool_x, pool_y)
        curators = [self._shadow(planned, np.flatnonzero(mask), pool.y) for mask in membership]
        released: list[list[ReleasedMeans]] = [[] for _ in curators]
        stage = planned.stage(dm.STAGE)
        expected = [(class_sizes(curator) * stage.sampling_rate)[:, None] for curator in curators]
        for index in range(stage.count):
            feature = dm.feature(self.spec, index, options, context)
            looked_up = Feature(Lookup(feature, pool, context.device), feature.size, feature.bound, unit=feature.unit)
            query = ClassSums(looked_up, self.spec.num_classes, f"shadow/{index}")
            for k, curator in enumerate(curators):
                means = (curator.ask(dm.STAGE, index, query) / expected[k]).to(context.device)
                released[k].append(ReleasedMeans(feature, means))
        made = []
        for k, seed in enumerate(seeds):
            synthetic = SyntheticSet.start(self.spec, self.config.ipc, seed % 2**31, options.factor)
            synthetic = match_means(
                synthetic.to(context.device),
                released[k],
                context,
                steps=options.steps,
                lr=options.lr,
                per_step=options.networks_per_step,
            )
            with torch.no_grad():
                made.append(self._released(*synthetic.clamp_().decode()))
            if progress is not None:
                progress(k + 1, len(curators))
        return made

    def _shadow(self, planned: Plan, members: np.ndarray, labels: Tensor) -> Curator:
        """The curator of one run; its records are positions in the pool, whose features are looked up."""
        spec = replace(self.spec, kind="table", shape=(1,), mean=(0.0,), std=(1.0,))
        return Curator(spec, planned, Positions(members, labels), Tally(), noise=noise_source(self.config))  # type: ignore[arg-type]

    def _records(self, x: np.ndarray, y: np.ndarray) -> Records:
        """Arrays in the units of the records, as the wall holds them."""
        values = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
        if self.spec.kind == "image":
            low, high = self.spec.bounds
            values = ((values - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
        return Records(values, torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64)), self.spec)

    def _released(self, x: Tensor, y: Tensor) -> ReleaseSet:
        return ReleaseSet(denormalize(x.cpu().numpy(), self.spec), y.cpu().numpy())


class Lookup(nn.Module):
    """A feature of every record of a pool, computed once; then looked up by position, x [B, 1] -> [B, size]."""

    def __init__(self, feature: Feature, pool: Records, device: torch.device) -> None:
        super().__init__()
        with torch.no_grad():
            parts = (pool.batch(slice(i, i + CHUNK))[0] for i in range(0, len(pool), CHUNK))
            self.table = torch.cat([feature.raw(part.to(device)).cpu() for part in parts])

    def forward(self, x: Tensor) -> Tensor:
        """Rows of the table."""
        return self.table[x[:, 0].long()]


class Positions:
    """Records that are positions in a pool."""

    def __init__(self, members: np.ndarray, labels: Tensor) -> None:
        self._x = torch.from_numpy(members).float()[:, None]
        self._y = labels[torch.from_numpy(members)]

    def __len__(self) -> int:
        return len(self._y)

    def batch(self, indices: Any) -> tuple[Tensor, Tensor]:
        """Positions [B, 1] and labels [B]."""
        return self._x[indices], self._y[indices]


class Tally:
    """A ledger in memory, for audits: it counts and forgets. Nothing of an audited run is ever released."""

    def __init__(self) -> None:
        self._charged: dict[str, int] = {}

    def charged(self, stage: str) -> int:
        """Releases of a stage so far."""
        return self._charged.get(stage, 0)

    def charge(self, stage: str, index: int, event: Event, query: str) -> None:
        """Count one."""
        self._charged[stage] = index + 1


class CuratorMechanism:
    """The wall as a mechanism of ``attacks``: one release over a handful of records, with or without a worst-case canary.

    Every run goes through :meth:`Curator.ask` as any method's query does: sampling, clip, sum, noise of the plan. The
    canary's statistic is a known unit vector at the full clipping norm; under replace-one its opposite takes its place.
    """

    SIDE = 4

    def __init__(
        self, epsilon: float, delta: float, adjacency: str = "add_remove", noise: NoiseSource | None = None
    ) -> None:
        shape = (1, self.SIDE, self.SIDE)
        self.spec = DataSpec("canary", "image", shape, ("with", "without"), 10, class_counts=(5, 5))
        self.query = ClassSums(Feature(_pixels, self.SIDE**2, 1.0), 2, "canary")
        self.plan = make_plan(
            [Stage("canary", 1, self.query.dimension, 1.0, keep=False)], epsilon, delta, adjacency, {}
        )
        self.noise = noise or GaussianNoise()
        grey = torch.randint(256, (10, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        labels = torch.arange(10) % 2
        self._with, self._without = (
            Records(
                torch.cat([grey, torch.full((1, *shape), pixel)]).to(torch.uint8),
                torch.cat([labels, torch.tensor([0])]),
                self.spec,
            )
            for pixel in (255, 0)
        )
        self._absent = Records(grey, labels, self.spec)

    @property
    def canaries(self) -> np.ndarray:
        """What the canary adds to an answer, [1, dimension]."""
        return self.query.sum(*self._with.batch(slice(10, 11))).flatten()[None].numpy()

    def release(self, include: np.ndarray) -> np.ndarray:
        """Answers [runs, 1, dimension] of one fresh curator per row of ``include`` [runs, 1]."""
        out = self._without if self.plan.adjacency is Adjacency.REPLACE_ONE else self._absent
        return np.stack([self._ask(self._with if present else out) for present in include[:, 0]])

    def _ask(self, records: Records) -> np.ndarray:
        curator = Curator(self.spec, self.plan, records, Tally(), noise=self.noise)  # type: ignore[arg-type]
        return curator.ask("canary", 0, self.query).double().flatten()[None].numpy()


def _pixels(x: Tensor) -> Tensor:
    return x.flatten(1)
