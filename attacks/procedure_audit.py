"""Audit a procedure by shadow runs: the strongest membership inference, for an attacker who knows the procedure and the pool."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attacks.errors import InputError
from attacks.measure import matrix_metrics
from attacks.procedures import Procedure, Subset
from attacks.records import Records
from attacks.release_set import ReleaseSet
from attacks.report import AttackResult, Report
from attacks.report.report import Metrics
from attacks.scores.background import Background
from attacks.shadows.canaries import FAMILIES, add_canaries
from attacks.shadows.compare import SAYS, compare, named
from attacks.shadows.engine import BATCH, Progress, describe, run_shadows
from attacks.shadows.exposure import exposed_records
from attacks.shadows.membership import membership
from attacks.shadows.pooled_bound import pooled_bounds, pooled_ceiling
from attacks.shadows.signals import DEFAULT, signals
from attacks.statistics import power, verdict
from attacks.statistics.scores import check_delta
from attacks.statistics.verdict import check_claimed

TARGETS = 500
SEES = "the procedure, the pool of candidate records, and the release; not which records of the pool went in"
SHOWS = (
    "Shows how well the best of these attacks, calibrated on {shadows} shadow runs, tells whether a record went in. A violated claim is "
    "proof; a claim that holds is evidence for these attacks at this power."
)
RUNS = (
    "Intervals are clustered by pair of complementary runs and by record: records of one run share its release, scores of one "
    "record share the other runs. The epsilon bound fits the attack on "
    "half of the pairs and guesses the coins of one run of each other pair (add/remove-one adjacency); duplicated canaries are kept out of it, "
    "since one coin moves several records. Public randomness that runs share is conditioned on."
)


def audit_procedure(
    procedure: Procedure,
    pool: Records | tuple[np.ndarray, np.ndarray],
    shadows: int = 64,
    targets: int | Sequence[int] | np.ndarray = TARGETS,
    attacks: Sequence[str] | None = None,
    seed: int = 0,
    workers: int = 1,
    out: str | Path | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    *,
    canaries: int = 0,
    families: Sequence[str] = FAMILIES,
    students: int = 0,
    claimed_epsilon: float | None = None,
    delta: float = 1e-5,
    backend: str = "loky",
    batch: int = BATCH,
) -> Report:
    """Run the procedure on K = `shadows` random halves of the pool, every record in exactly K/2, and attack each run by the others.

    targets: indices into the pool, or how many to draw at random. attacks: names as "lira_online:mean" (method:signal), a method
    or a signal alone for all that fit; None for all. canaries: so many of each family are appended to the pool as further targets. students > 0
    adds a signal from so many students trained on each release. out: folder in which finished shadows are kept, so that an
    interrupted audit resumes. Raises InputError on a pool, a procedure or scores that cannot be audited.
    """
    check_claimed(claimed_epsilon)
    check_delta(delta)
    wanted, given = named(attacks, students > 0), Records.of(pool)
    chosen = _targets(targets, len(given), seed)
    full, groups, kinds = given, np.arange(len(given)), {}
    if canaries > 0:
        planted = add_canaries(given, tuple(families), canaries, seed)
        full, groups, kinds = planted.pool, planted.groups, planted.families
    rows = np.unique(np.concatenate([chosen, *kinds.values()]))
    coins = membership(shadows, groups, seed)
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(shadows)]
    releases = run_shadows(
        procedure,
        full,
        coins,
        seeds,
        workers=workers,
        backend=backend,
        out=None if out is None else Path(out),
        resume=resume,
        batch=batch,
        progress=progress,
    )

    background = Background(full)
    names = tuple(name for name in DEFAULT if name in {signal for _, signal in wanted}) + tuple(
        sorted({signal for _, signal in wanted} - {*DEFAULT, "student", "all"})
    )
    if any(method == "groundhog" for method, _ in wanted) and not names and students == 0:
        names = DEFAULT
    subjects, member = full[rows], coins[:, rows]
    phis = signals(names, subjects, releases, background, students, seed)
    scores = compare(phis, member, wanted, seed)

    m = min(len(releases[0]), int(coins.sum(axis=1).min()))
    controls = _controls(m, full, coins, rows, seeds, names or DEFAULT, background, member, phis, seed)
    single = np.bincount(groups)[groups[rows]] == 1
    best, bounds = pooled_bounds({n: p[:, single] for n, p in phis.items()}, member[:, single], wanted, delta, seed)
    results = {}
    for name, score in scores.items():
        method, signal = name.split(":")
        results[name] = AttackResult(
            name, SAYS[method], matrix_metrics(score, member), (), controls.get(signal, controls["best"])
        )
    results[best] = AttackResult(best, results[best].says, results[best].metrics, bounds, results[best].controls)
    half = int(coins.sum(axis=1).mean())
    ceiling = pooled_ceiling(int(single.sum()), shadows, delta)
    return Report(
        threat="procedure",
        sees=SEES,
        shows=SHOWS.format(shadows=shadows),
        verdict=verdict(claimed_epsilon, bounds[0], ceiling),
        attacks=results,
        power=power(int(member.sum()), int((~member).sum()), delta, ceiling=ceiling),
        members=half,
        nonmembers=len(full) - half,
        released=len(releases[0]),
        subset_line=min(len(releases[0]) / half, 1.0),
        exposed=exposed_records(scores[best], member, rows, kinds, best),
        claimed_epsilon=claimed_epsilon,
        delta=delta,
        families={
            family: {best: matrix_metrics(scores[best][:, at], member[:, at])}
            for family, indices in {"random": np.intersect1d(chosen, rows[single]), **kinds}.items()
            if (at := np.isin(rows, indices)).any()
        },
        notes=[
            RUNS,
            f"The epsilon bound used {bounds[0].rule}; all {len(scores)} attacks were tried where it was chosen.",
        ],
        settings={
            "procedure": describe(procedure),
            "shadows": shadows,
            "targets": len(rows),
            "pool": len(full),
            "seed": seed,
            "students": students,
            "canaries": canaries,
            "signals": list(phis),
        },
    )


def _targets(targets: int | Sequence[int] | np.ndarray, n: int, seed: int) -> np.ndarray:
    if isinstance(targets, (int, np.integer)):
        if targets < 10:
            raise InputError(f"targets={targets}: give at least 10")
        return np.sort(np.random.default_rng(seed).permutation(n)[:targets])
    indices = np.unique(np.asarray(targets, dtype=np.int64))
    if len(indices) < 10 or indices[0] < 0 or indices[-1] >= n:
        raise InputError(f"targets: give at least 10 different indices between 0 and {n - 1}")
    return indices


def _controls(
    m: int,
    full: Records,
    coins: np.ndarray,
    rows: np.ndarray,
    seeds: list[int],
    names: tuple[str, ...],
    background: Background,
    member: np.ndarray,
    phis: dict[str, np.ndarray],
    seed: int,
) -> dict[str, dict[str, Metrics]]:
    """Controls by signal: a random m-subset of each half, the targets released verbatim, and coins that no run ever saw."""
    subset = run_shadows(Subset(m), full, coins, seeds)
    chosen = [rows[mask] if mask.any() else np.flatnonzero(run)[:1] for mask, run in zip(member, coins, strict=True)]
    verbatim = [ReleaseSet(full.x[at], full.y[at]) for at in chosen]
    signal = ("dcr",) if "dcr" in names else names[:1]
    unseen = membership(len(member), np.arange(len(rows)), seed + 1)
    made = {
        "subset": (signals(signal, full[rows], subset, background, 0, seed), member),
        "verbatim": (signals(signal, full[rows], verbatim, background, 0, seed), member),
    }
    common = {}
    for control, (phi, truth) in made.items():
        score = compare(phi, truth, [("lira_fixed", signal[0])], seed)[f"lira_fixed:{signal[0]}"]
        common[control] = matrix_metrics(score, truth)
    controls = {}
    for name in phis:
        null = compare(phis, unseen, [("lira_fixed", name)], seed)[f"lira_fixed:{name}"]
        controls[name] = common | {"null": matrix_metrics(null, unseen)}
    controls["best"] = next(iter(controls.values()))
    return controls
