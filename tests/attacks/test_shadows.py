"""Shadow runs: balance, attacks against slow oracles, one result whatever the engine, resuming, calibration of the bound."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import norm

from attacks.errors import InputError
from attacks.measure import matrix_metrics
from attacks.procedures import ConvNetDM, LinearDM, Subset
from attacks.records import Records
from attacks.shadows.canaries import COPIES, add_canaries
from attacks.shadows.compare import LIRA, compare, named
from attacks.shadows.engine import run_shadows
from attacks.shadows.exposure import record_auc
from attacks.shadows.lira import lira_fixed, lira_offline, lira_online
from attacks.shadows.membership import membership
from attacks.shadows.moments import PRIOR, left_out
from attacks.shadows.pooled_bound import halves, pooled_bounds
from attacks.shadows.rmia import left_out_average, rank_among
from attacks.statistics import roc


def pool(n: int = 60, d: int = 5, seed: int = 0) -> Records:
    rng = np.random.default_rng(seed)
    return Records(rng.standard_normal((n, d)), np.arange(n) % 2)


def test_every_record_is_in_exactly_half_of_the_runs_and_pairs_are_complements() -> None:
    coins = membership(16, np.arange(100), 3)
    assert (coins.sum(axis=0) == 8).all()
    np.testing.assert_array_equal(coins[0::2], ~coins[1::2])
    tied = membership(8, np.array([0, 1, 1, 2]), 0)
    np.testing.assert_array_equal(tied[:, 1], tied[:, 2])
    for bad in (6, 9):
        with pytest.raises(InputError, match="even number, at least 8"):
            membership(bad, np.arange(5), 0)


def test_coins_of_a_run_are_fair_and_independent() -> None:
    first = membership(2000, np.arange(20), 0)[0::2].astype(float)  # 1000 independent runs
    assert np.abs(first.mean(0) - 0.5).max() < 5.6 * 0.5 / np.sqrt(1000)  # 20 means: 4e-7
    off = np.corrcoef(first.T)[np.triu_indices(20, 1)]
    assert np.abs(off).max() < 6.2 / np.sqrt(1000)  # 190 correlations: 1e-7


def test_left_out_moments_and_lira_against_the_obvious_loop() -> None:
    rng = np.random.default_rng(0)
    member = membership(12, np.arange(9), 1)
    phi = rng.standard_normal((12, 9)) + 2 * member + 50  # an offset that careless subtraction would lose
    moments = left_out(phi, member)
    squares, freedom = np.zeros((12, 1)), 9 * 2 * (5 - 1)
    for k in range(12):
        others = [j for j in range(12) if j // 2 != k // 2]
        for t in range(9):
            for side, name in ((True, "inside"), (False, "outside")):
                values = [phi[j, t] for j in others if member[j, t] == side]
                assert getattr(moments, name).count[k, t] == len(values) == 5
                assert getattr(moments, name).mean[k, t] == pytest.approx(np.mean(values))
                squares[k] += (len(values) - 1) * np.var(values, ddof=1)
    np.testing.assert_allclose(moments.pooled, squares / freedom)
    k, t = 3, 4
    values = {s: [phi[j, t] for j in range(12) if j // 2 != 1 and member[j, t] == s] for s in (True, False)}
    sigma = {
        s: np.sqrt((PRIOR * squares[k, 0] / freedom + 4 * np.var(v, ddof=1)) / (PRIOR + 4)) for s, v in values.items()
    }
    online = norm.logpdf(phi[k, t], np.mean(values[True]), sigma[True]) - norm.logpdf(
        phi[k, t], np.mean(values[False]), sigma[False]
    )
    assert lira_online(phi, moments)[k, t] == pytest.approx(online)
    assert lira_offline(phi, moments)[k, t] == pytest.approx(
        norm.logcdf(phi[k, t], np.mean(values[False]), sigma[False])
    )
    average = np.log(np.mean([np.exp(phi[j, t]) for j in range(12) if j // 2 != 1]))
    assert left_out_average(phi)[k, t] == pytest.approx(average)


def test_an_average_without_the_largest_run_is_that_of_the_others() -> None:
    phi = np.full((8, 3), -40.0)
    phi[2] = 0.0  # far above the rest: a sum less its share would leave nothing of them
    assert left_out_average(phi)[[2, 3]] == pytest.approx(np.full((2, 3), -40.0))
    assert left_out_average(phi)[0] == pytest.approx(np.log(1 / 6), abs=1e-12)


def test_a_procedure_that_cannot_be_told_from_another_is_not_resumed(tmp_path) -> None:
    records, coins = pool(), membership(8, np.arange(60), 0)

    def noisy(x, y, seed, noise):
        return Subset(3)(x, y, seed)

    with pytest.raises(InputError, match="give it a __repr__"):
        run_shadows(partial(noisy, noise=3), records, coins, list(range(8)), out=tmp_path)
    starts = [ConvNetDM(ipc=1, init="public", public=pool(60, seed=seed)) for seed in (0, 0, 1)]
    assert repr(starts[0]) == repr(starts[1]) != repr(starts[2])


def test_few_runs_give_no_nan() -> None:
    rng = np.random.default_rng(0)
    for shadows in (8, 16):
        member = membership(shadows, np.arange(50), 0)
        phis = {"dcr": rng.standard_normal(member.shape) + member, "mean": rng.standard_normal(member.shape)}
        wanted = [(m, s) for m in (*LIRA, "rmia", "base") for s in phis] + [("groundhog", "all")]
        for score in compare(phis, member, wanted, 0).values():
            assert np.isfinite(score).all()
        assert all(np.isfinite(b.value) for b in pooled_bounds(phis, member, wanted, 1e-5, 0)[1])


@pytest.mark.parametrize("method", [*LIRA, "rmia", "base", "groundhog"])
def test_a_left_out_score_carries_no_trace_of_its_own_coin(method: str) -> None:
    """Without a leak the AUC is ½: leaving out one run alone, not its complement, would bias it at few runs."""
    areas = []
    for seed in range(30 if method != "groundhog" else 2):
        member = membership(8, np.arange(400), seed)
        phi = np.random.default_rng(1000 + seed).standard_normal(member.shape)
        score = compare({"dcr": phi}, member, [(method, "dcr")], seed)[f"{method}:dcr"]
        areas.append(roc(score[member], score[~member]).auc)
    # 3200 scores an audit, sd of its AUC 1/sqrt(6·1600) = 0.0102; twice that, for scores share their shadows
    assert abs(np.mean(areas) - 0.5) < 5 * 2 * 0.0102 / np.sqrt(len(areas))


def test_lira_sees_a_planted_shift_as_well_as_theory_allows() -> None:
    member = membership(64, np.arange(300), 0)
    phi = np.random.default_rng(0).standard_normal(member.shape) + member
    score = lira_fixed(phi, left_out(phi, member))
    assert roc(score[member], score[~member]).auc == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.02)  # 0.760, mu = 1


def test_pooled_bound_passes_zero_no_more_often_than_stated() -> None:
    """200 audits without a leak: bound > 0 has probability at most 5%; 24 of 200 or more would be a 1e-4 event per test run."""
    above = 0
    for seed in range(200):
        member = membership(8, np.arange(40), seed)
        phi = np.random.default_rng(10_000 + seed).standard_normal(member.shape)
        above += pooled_bounds({"dcr": phi}, member, [("lira_fixed", "dcr")], 0.0, seed)[1][0].value > 0
    assert above < 29  # P[Bin(200, 0.05) >= 29] < 1e-6


def test_intervals_of_a_matrix_of_scores_hold_without_a_leak() -> None:
    """Clustered by run alone they would not: a record's left-out scores share the other runs' coins."""
    missed = 0
    for seed in range(60):
        member = membership(16, np.arange(60), seed)
        rng = np.random.default_rng(5000 + seed)
        phi = rng.standard_normal(member.shape) + (seed % 2) * rng.standard_normal((16, 1))  # half with a shift by run
        auc = matrix_metrics(lira_fixed(phi, left_out(phi, member)), member).auc
        missed += not auc.low <= 0.5 <= auc.high
    assert missed < 16  # P[Bin(60, 0.05) >= 16] < 1e-7


def test_fitting_and_guessed_runs_share_no_coin() -> None:
    fit, test = halves(64)
    assert fit.sum() == 32
    assert test.sum() == 16
    assert not set(np.flatnonzero(fit) // 2) & set(np.flatnonzero(test) // 2)
    assert len(set(np.flatnonzero(test) // 2)) == 16


def test_rank_among_is_the_obvious_share() -> None:
    rng = np.random.default_rng(0)
    ratio, z = rng.integers(0, 9, 40).astype(float), rng.integers(0, 9, 30).astype(float)
    slow = [np.mean([(r > w) + 0.5 * (r == w) for w in z]) for r in ratio]
    np.testing.assert_allclose(rank_among(ratio, z), slow)


def test_record_auc_against_pairs() -> None:
    member = membership(8, np.arange(3), 0)
    score = np.random.default_rng(0).standard_normal(member.shape)
    for t, area in enumerate(record_auc(score, member)):
        inside, outside = score[member[:, t], t], score[~member[:, t], t]
        assert area == pytest.approx(np.mean(inside[:, None] > outside[None]))


@pytest.mark.parametrize(("workers", "backend"), [(2, "loky"), (2, "threading")])
def test_engines_give_the_same_releases(workers: int, backend: str) -> None:
    records, coins = pool(), membership(8, np.arange(60), 0)
    one = run_shadows(LinearDM(3, "data"), records, coins, list(range(8)))
    two = run_shadows(LinearDM(3, "data"), records, coins, list(range(8)), workers=workers, backend=backend)
    assert [r.hash for r in one] == [r.hash for r in two]


class Counting:
    """A procedure that fails after some calls, as an interruption would."""

    def __init__(self, last: int) -> None:
        self.calls, self.last = 0, last

    def __repr__(self) -> str:
        return "Counting"

    def __call__(self, x, y, seed):
        self.calls += 1
        if self.calls > self.last:
            raise KeyboardInterrupt
        return Subset(3)(x, y, seed)


def test_an_interrupted_audit_resumes_where_it_was(tmp_path) -> None:
    records, coins, seeds = pool(), membership(8, np.arange(60), 0), list(range(8))
    with pytest.raises(KeyboardInterrupt):
        run_shadows(Counting(5), records, coins, seeds, out=tmp_path)
    ticks, second = [], Counting(99)
    resumed = run_shadows(second, records, coins, seeds, out=tmp_path, progress=lambda *t: ticks.append(t))
    assert second.calls == 3
    assert [t[0] for t in ticks] == [5, 6, 7, 8]
    assert all(t[1] == 8 for t in ticks)
    assert [r.hash for r in resumed] == [r.hash for r in run_shadows(Subset(3), records, coins, seeds)]
    with pytest.raises(InputError, match="another seeds"):
        run_shadows(Counting(9), records, coins, seeds[::-1], out=tmp_path)
    with pytest.raises(InputError, match="holds shadows already"):
        run_shadows(Counting(9), records, coins, seeds, out=tmp_path, resume=False)


def test_batches_of_a_batched_procedure_do_not_change_it(tmp_path) -> None:
    rng = np.random.default_rng(0)
    records = Records(rng.random((40, 8, 8)), np.arange(40) % 2)
    coins, seeds = membership(8, np.arange(40), 0), list(range(8))
    procedure, ticks = ConvNetDM(ipc=1, steps=2, width=4, depth=2), []
    all_at_once = run_shadows(procedure, records, coins, seeds)
    by_three = run_shadows(procedure, records, coins, seeds, batch=3, progress=lambda *t: ticks.append(t), out=tmp_path)
    for a, b in zip(all_at_once, by_three, strict=True):
        np.testing.assert_allclose(a.x, b.x, atol=1e-5)
    assert ticks[-1][:2] == (8, 8)


def test_canaries_are_appended_and_duplicates_share_a_coin() -> None:
    planted = add_canaries(pool(60), each=5)
    assert len(planted.pool) == 60 + 5 * (3 + COPIES)  # "hard" ones are the pool's own
    first = planted.families["duplicated"]
    for c in first:
        copies = np.flatnonzero(planted.groups == planted.groups[c])
        assert len(copies) == 1 + COPIES
        assert copies[0] < 60 <= copies[1], "the pool's own record goes in and out with its copies"
        assert all(np.array_equal(planted.pool.x[c], planted.pool.x[j]) for j in copies)
    blank = planted.pool.x[planted.families["blank"]]
    assert np.ptp(blank, axis=1).max() == 0
    assert planted.families["hard"].max() < 60
    with pytest.raises(InputError, match="not known"):
        add_canaries(pool(), ("weird",))


def test_attack_names() -> None:
    assert named(["lira_online:mean"], False) == [("lira_online", "mean")]
    assert ("rmia", "dcr") in named(["rmia"], False)
    assert named(["mean"], False) == [(m, "mean") for m in LIRA]
    for bad in ("nothing", "lira_online:nothing", "student"):
        with pytest.raises(InputError):
            named([bad], False)
