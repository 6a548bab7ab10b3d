"""Audit one released set, from the release alone or with students trained on it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attacks.errors import InputError
from attacks.measure import best, metrics, one_run_bounds, one_run_ceiling
from attacks.procedures import Subset
from attacks.records import Records, join, split
from attacks.release_set import ReleaseSet
from attacks.report import AttackResult, Report
from attacks.report.report import Metrics
from attacks.scores import SCORES, applicable, checked, compute, get
from attacks.scores.background import Background
from attacks.statistics import power, verdict

FEWEST = 20  # members, and as many non-members
ENOUGH = 2  # members released as they are, for a control of them
EXPOSED = 20
THREATS = {
    "release": (
        "the released set, and reference records of the same population",
        "Shows whether these attacks tell members from the release alone. A finding is proof of a leak where fair coins drew the "
        "sides; nothing found speaks for these attacks and this many records only, and for no attacker who knows the procedure.",
    ),
    "student": (
        "the released set, the recipe by which students are trained on it, and reference records",
        "Shows whether students trained on the release behave differently on members. A finding is proof of a leak where fair "
        "coins drew the sides; nothing found speaks for these attacks and this many records only.",
    ),
}
ONE_RELEASE = (
    "One release: the scores of its records move together. The intervals treat records as a sample and tell how other records of this "
    "release would fare, not other releases. The epsilon bound is the one-run bound, which allows for the dependence, and is valid if "
    "each record audited was put in or left out by a fair coin of its own. Where the same bound finds members apart under a release "
    "that none of them went into, the sides were not so drawn, and no claim is called violated."
)


def audit(
    release: ReleaseSet | str | Path | tuple[np.ndarray, ...],
    members: Records | tuple[np.ndarray, np.ndarray],
    nonmembers: Records | tuple[np.ndarray, np.ndarray],
    reference: Records | tuple[np.ndarray, np.ndarray] | None = None,
    threat: str = "release",
    attacks: Sequence[str] | None = None,
    claimed_epsilon: float | None = None,
    delta: float = 1e-5,
    seed: int = 0,
    students: int = 8,
    trained_on: int | None = None,
) -> Report:
    """Membership-inference audit of one released set.

    release: a ReleaseSet, a path to one, or a tuple (x, y) or (x, y, soft). members, nonmembers, reference: x [N, ...] and y [N] in the scale of the release; without a reference, half of the non-members
    serve as one and are not audited. `attacks`: names, all that apply by default. `students`: how many are trained on each set under
    threat "student". `trained_on`: records that went into the release, where `members` are a part of them; default: they are all.
    Raises InputError on data that cannot be audited.
    """
    if threat not in THREATS:
        raise InputError(f"threat {threat!r} is not one of {', '.join(THREATS)}; for procedures use audit_procedure")
    released = ReleaseSet.of(release)
    inside, outside = Records.of(members), Records.of(nonmembers)
    notes = [ONE_RELEASE]
    if reference is None:
        _enough(outside, "non-members", 2 * FEWEST)
        known, outside = split(outside, seed)
        notes.append(f"No reference was given: {len(known)} of the non-members serve as one and are not audited.")
    else:
        known = Records.of(reference)
    _enough(inside, "members", FEWEST)
    _enough(outside, "non-members", FEWEST)
    _same_shape(inside, outside, known)
    notes += _overlap("non-members", outside, inside)
    notes += _overlap("reference", known, inside) + _overlap("reference", known, outside)
    candidates = join(inside, outside)
    notes += released.check_against(candidates)
    included = np.arange(len(candidates)) < len(inside)

    n = len(inside) if trained_on is None else trained_on
    if n < len(inside):
        raise InputError(f"trained_on={n}: fewer than the {len(inside)} members; give the number of all that went in")
    m = min(len(released), n, len(known))
    verbatim, drawn = _naive(m, n, inside, known, seed)
    if (found := int(drawn.sum())) < ENOUGH:
        notes.append(
            f"No control of members released as they are: of {m} such records {found} would be among the {len(inside)} audited of {n}. More members show it."
        )
    null = Subset(m)(known.x, known.y, seed)
    skipped: dict[str, str] = {}
    if threat == "release":
        scores, skipped = _release_scores(released, [verbatim, null], candidates, known, attacks)
    else:
        scores = _student_scores(released, [verbatim, null], candidates, known, attacks, students, seed)

    results, unfair = {}, 0.0
    for name, (own, subset, nothing) in scores.items():
        checked(name, own, len(candidates))
        ties = np.random.default_rng(seed).permutation(len(nothing))  # a control may have many: broken at random
        ranks = np.lexsort((ties, nothing)).argsort().astype(float)
        unfair = max(unfair, one_run_bounds(ranks, included, delta, len(scores), seed=seed)[0].value)
        controls = _controls(subset, nothing, included, drawn)
        bounds = one_run_bounds(own, included, delta, len(scores), seed=seed)
        says = SCORES[name].says if threat == "release" else _student_says(name)
        results[name] = AttackResult(name, says, metrics(own[included], own[~included]), bounds, controls)
    ceiling = one_run_ceiling(included, delta, len(results), seed=seed)
    return Report(
        threat=threat,
        sees=THREATS[threat][0],
        shows=THREATS[threat][1],
        verdict=verdict(
            claimed_epsilon,
            best([result.bounds[0] for result in results.values()]),
            ceiling,
            unfair,
        ),
        attacks=results,
        power=power(len(inside), len(outside), delta, ceiling=ceiling),
        members=len(inside),
        nonmembers=len(outside),
        released=len(released),
        subset_line=min(len(released) / n, 1.0),
        exposed=_exposed({name: three[0] for name, three in scores.items()}, included),
        claimed_epsilon=claimed_epsilon,
        delta=delta,
        skipped=skipped,
        notes=notes,
        settings={
            "seed": seed,
            "release_hash": released.hash,
            "reference": len(known),
            "trained_on": n,
            "students": students if threat == "student" else 0,
        },
    )


def _naive(m: int, n: int, inside: Records, known: Records, seed: int) -> tuple[ReleaseSet, np.ndarray]:
    """m of n records drawn at random and released as they are, of which we hold `inside`; and which of these are among them.

    The others, whom nobody audits, are stood for by the reference.
    """
    rng = np.random.default_rng(seed)
    mine = min(max(int(rng.binomial(m, len(inside) / n)), 1), len(inside))
    rows = rng.choice(len(inside), mine, replace=False)
    released = inside[rows]
    if m > mine:
        released = join(released, known[rng.choice(len(known), m - mine, replace=False)])
    return ReleaseSet(released.x, released.y), np.isin(np.arange(len(inside)), rows)


def _release_scores(
    release: ReleaseSet, controls: list[ReleaseSet], candidates: Records, known: Records, attacks: Sequence[str] | None
) -> tuple[dict[str, list[np.ndarray]], dict[str, str]]:
    names, skipped = applicable(release)
    if attacks is not None:
        for name in attacks:
            if (reason := get(name).needs(release)) is not None:
                raise InputError(f"attack {name}: {reason}; leave it out")
        names, skipped = list(dict.fromkeys(attacks)), {}
    if not names:
        raise InputError("attacks: none is named; give at least one")
    background = Background(known)
    scores = {}
    for name in names:
        own = compute(name, candidates.x, candidates.y, release, background)
        others = [
            get(name).run(candidates.x, candidates.y, _with_soft(control, release), background) for control in controls
        ]
        scores[name] = [own, *others]
    return scores, skipped


def _with_soft(control: ReleaseSet, release: ReleaseSet) -> ReleaseSet:
    """A control speaks through soft labels only as far as one-hot ones can."""
    if release.soft is None:
        return control
    classes = max(release.soft.shape[1], int(control.y.max()) + 1)
    return ReleaseSet(control.x, control.y, np.eye(classes, dtype=np.float32)[control.y])


def _student_scores(
    release: ReleaseSet,
    controls: list[ReleaseSet],
    candidates: Records,
    known: Records,
    attacks: Sequence[str] | None,
    students: int,
    seed: int,
) -> dict[str, list[np.ndarray]]:
    from attacks.students import STUDENT_ATTACKS, log_odds, student_scores, train

    names = list(STUDENT_ATTACKS if attacks is None else dict.fromkeys(attacks))
    for name in names:
        if name not in STUDENT_ATTACKS:
            raise InputError(
                f"attack {name!r} is not known under threat student; choose from {', '.join(STUDENT_ATTACKS)}"
            )
    if not names or students < 2:
        raise InputError(f"students={students}, attacks={names}: give at least two students and one attack")
    centre, population = split(known, seed)  # the reference students never saw the population records z
    m = min(len(release), len(centre))
    sets = [release, *controls, *(Subset(m)(centre.x, centre.y, seed + 1 + q) for q in range(students))]
    ensemble = train([sets[0], *sets[1:3]], students, seed)
    outside = train(sets[3:], 1, seed + 1)
    inside = (
        log_odds(ensemble, candidates).reshape(3, students, -1),
        log_odds(ensemble, population).reshape(3, students, -1),
    )
    out, z_out = log_odds(outside, candidates), log_odds(outside, population)
    return {name: [student_scores(name, inside[0][i], out, inside[1][i], z_out) for i in range(3)] for name in names}


def _student_says(name: str) -> str:
    from attacks.students.attacks import SAYS

    return SAYS[name]


def _controls(subset: np.ndarray, null: np.ndarray, included: np.ndarray, drawn: np.ndarray) -> dict[str, Metrics]:
    """The attack on m random members released as they are (all members; those m alone) and on m records of the reference."""
    released = np.flatnonzero(included)[drawn]
    cases = {
        "subset": (subset[included], subset[~included]),
        "verbatim": (subset[released], subset[~included]),
        "null": (null[included], null[~included]),
    }
    return {
        name: metrics(*sides)
        for name, sides in cases.items()
        if len(sides[0]) >= ENOUGH and np.ptp(np.concatenate(sides)) > 0
    }


def _exposed(scores: dict[str, np.ndarray], included: np.ndarray) -> list[dict[str, object]]:
    """Members by the smallest share of non-members that score at least as high under any attack."""
    shares = {}
    for name, s in scores.items():
        others = np.sort(s[~included])
        shares[name] = 1 - np.searchsorted(others, s[included], side="left") / len(others)
    table, names = np.stack(list(shares.values())), list(shares)
    worst = table.min(axis=0)
    margin = np.stack([(s[included] - s[~included].mean()) / (s[~included].std() + 1e-12) for s in scores.values()])
    order = np.lexsort((-margin.max(axis=0), worst))[:EXPOSED]
    return [
        {"index": int(i), "attack": names[int(np.lexsort((-margin[:, i], table[:, i]))[0])], "fpr": float(worst[i])}
        for i in order
    ]


def _enough(records: Records, name: str, fewest: int) -> None:
    if len(records) < fewest:
        raise InputError(f"{name}: {len(records)} records are too few to audit, give at least {fewest}")


def _overlap(name: str, ours: Records, theirs: Records) -> list[str]:
    """A note on records that are on both sides by chance; more than 5% of either are a mix-up that hides a leak or forges one."""
    known, mine = {row.tobytes() for row in theirs.x}, {row.tobytes() for row in ours.x}
    both = sum(row.tobytes() in known for row in ours.x)
    if both > 0.05 * len(ours) or sum(row.tobytes() in mine for row in theirs.x) > 0.05 * len(theirs):
        raise InputError(f"{name}: {both} of {len(ours)} records also occur on another side; give disjoint sets")
    return [f"{both} of the {len(ours)} {name} also occur on another side, as equal records do."] if both else []


def _same_shape(*parts: Records) -> None:
    shapes = {part.x.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise InputError(
            f"members, non-members and reference have shapes {sorted(shapes)}: give them in the same layout"
        )
