"""The audit of a mechanism: broken walls are found, honest ones are not accused."""

import json
import warnings

import numpy as np
import pytest
from scipy import stats

from attacks.errors import InputError
from attacks.mechanism import GaussianSum, audit_mechanism, audit_one_run, poisson_log_ratio, weighted_sum
from attacks.mechanism.protocol import project
from attacks.statistics import mu_from_epsilon

DELTA, ONE = 1e-5, np.eye(1)


def sigma(epsilon, delta=DELTA):
    """Calibrated by another hand than ours."""
    from dp_accounting.gaussian_mechanism import get_sigma_gaussian

    return get_sigma_gaussian(epsilon, delta)


def poisson_epsilon(noise_multiplier, rate, count):
    import dp_accounting
    from dp_accounting.pld import PLDAccountant

    gaussian = dp_accounting.GaussianDpEvent(noise_multiplier)
    event = dp_accounting.SelfComposedDpEvent(dp_accounting.PoissonSampledDpEvent(rate, gaussian), count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PLDAccountant().compose(event).get_epsilon(DELTA)


@pytest.mark.parametrize("claimed", [2.0, 7.0])
def test_without_any_noise_a_claim_never_holds(claimed):
    """The ceiling is what the very bound shows of a perfect attack: a claim above it cannot be told, one below is violated."""
    one = audit_one_run(GaussianSum(0.0, np.eye(1000)), claimed, DELTA)
    many = audit_mechanism(GaussianSum(0.0, ONE), claimed, DELTA, runs=2000)
    for found, measured in ((one, one.steinke.value), (many, many.guesses.value)):
        assert found.verdict.outcome == ("violated" if measured > claimed else "cannot tell")
        assert found.verdict.ceiling == pytest.approx(measured)
    assert many.guesses.value > 4


class NoiseOff(GaussianSum):
    def release(self, include):
        self.noise_multiplier = 0.0
        return super().release(include)


class NoiseHalved(GaussianSum):
    @property
    def sensitivity(self):
        return super().sensitivity / 2


class DoubleCounted(GaussianSum):
    """The first record enters every sum twice, the noise is drawn for once."""

    def release(self, include):
        once = super().release(include)
        return once + include[:, :1, None] * self.canaries[0]


class ClipSkipped(GaussianSum):
    """A record of norm 3 enters as it is; the auditor knows the direction only."""

    def release(self, include):
        return super().release(include) + include[:, :1, None] * (self.raw[0] - self.canaries[0])


class ReplaceOneAccountedAsAddRemove(GaussianSum):
    """Neighbours swap a record for its opposite, the noise is scaled as if one were added."""

    @property
    def sensitivity(self):
        return self.clipping_norm


@pytest.mark.parametrize("epsilon", [0.5, 1, 4])
@pytest.mark.parametrize("adjacency", ["add_remove", "replace_one"])
@pytest.mark.parametrize("answers", [1, 5])
def test_honest_wall_is_not_accused(epsilon, adjacency, answers):
    """At confidence 1 - 1e-7, so that twelve pairs of verdicts cry wolf with probability below 3e-6 over all seeds."""
    wall = GaussianSum(
        sigma(epsilon) * np.sqrt(answers), ONE, clipping_norm=2.5, answers=answers, adjacency=adjacency, seed=1
    )
    report = audit_mechanism(wall, epsilon, DELTA, runs=40_000, confidence=1 - 1e-7)
    assert report.verdict.outcome == "holds"
    assert report.gaussian_verdict.outcome == "holds"
    json.dumps(report.to_json(), allow_nan=False)


BROKEN = [
    NoiseOff(sigma(1), ONE),
    NoiseHalved(sigma(1), ONE),
    DoubleCounted(sigma(1), ONE),
    ClipSkipped(sigma(1), 3 * ONE),
    ReplaceOneAccountedAsAddRemove(sigma(1), ONE, adjacency="replace_one"),
    NoiseHalved(sigma(1) * 2, ONE, answers=4),
]


@pytest.mark.parametrize("wall", BROKEN, ids=lambda w: f"{type(w).__name__}-{w.answers}")
def test_broken_wall_is_violated_at_claimed_epsilon_1(wall):
    report = audit_mechanism(wall, 1.0, DELTA)
    assert report.verdict.outcome == "violated"
    assert report.gaussian_verdict.outcome == "violated"
    assert "violated" in report.verdict.sentence


def test_honest_walls_are_accused_no_more_often_than_stated():
    """False-alarm rate of this test: 1e-6 per assertion."""
    audits, confidence = 300, 0.95
    wall = GaussianSum(sigma(1), ONE, seed=2)
    reports = [audit_mechanism(wall, 1.0, DELTA, runs=2000, confidence=confidence, seed=i) for i in range(audits)]
    limit = stats.binom.isf(1e-6, audits, 1 - confidence)
    for verdicts in ([r.verdict for r in reports], [r.gaussian_verdict for r in reports]):
        assert sum(v.outcome == "violated" for v in verdicts) <= limit
    assert sum(r.clopper_pearson.value > 1 for r in reports) <= limit


def test_poisson_composition_honest_and_halved():
    rate, answers, z = 0.1, 10, 1.0
    claimed = poisson_epsilon(z, rate, answers)
    assert 1 < claimed < 4
    honest = GaussianSum(z, ONE, answers=answers, sampling_rate=rate, seed=3)
    score = poisson_log_ratio(rate, z)
    report = audit_mechanism(honest, claimed, DELTA, runs=40_000, confidence=1 - 1e-7, score=score)
    assert report.verdict.outcome == "holds"
    halved = NoiseHalved(z, ONE, answers=answers, sampling_rate=rate, seed=3)
    report = audit_mechanism(halved, claimed, DELTA, runs=40_000, score=poisson_log_ratio(rate, z / 2))
    assert report.verdict.outcome == "violated"


def test_too_few_runs_cannot_tell():
    report = audit_mechanism(GaussianSum(sigma(10), ONE), 10.0, DELTA, runs=1000)
    assert report.verdict.outcome == "cannot tell"


def test_multi_run_reaches_most_of_the_claim():
    """Tightness: at 100,000 runs the GDP bound shows 0.8 of the claim, the assumption-free one less."""
    for epsilon in (1, 4, 10):
        report = audit_mechanism(GaussianSum(sigma(epsilon), ONE, seed=4), epsilon, DELTA, confidence=0.95)
        assert 0.8 < report.gaussian.value / epsilon < 1
        assert 0.35 < report.guesses.value / epsilon < 1


@pytest.mark.parametrize("adjacency", ["add_remove", "replace_one"])
def test_one_run_finds_noise_off_and_spares_the_honest(adjacency):
    basis = np.eye(400)
    honest = audit_one_run(GaussianSum(sigma(1), basis, adjacency=adjacency), 1.0, DELTA)
    broken = audit_one_run(NoiseOff(sigma(1), basis, adjacency=adjacency), 1.0, DELTA)
    assert honest.verdict.outcome == "holds"
    assert broken.verdict.outcome == "violated"
    assert broken.f_dp.kind == "conditional on Gaussian family"
    json.dumps(broken.to_json(), allow_nan=False)


def test_one_run_with_guesses_fixed_in_advance():
    wall = GaussianSum(sigma(4), np.eye(1000), seed=5)
    report = audit_one_run(wall, 4.0, DELTA, guesses=(100, 100), confidence=0.95)
    assert 0.5 < report.steinke.value < report.f_dp.value < 4
    assert "k+ 100, k- 100" in report.steinke.rule


def test_projection_of_an_included_canary_is_one():
    marks = np.array([[3.0, 0, 0], [0, 0, 5.0]])
    wall = GaussianSum(0.0, marks, clipping_norm=2.0, answers=2)
    include = np.array([[True, False], [True, True]])
    assert np.allclose(project(wall, include), np.repeat(include[:, :, None], 2, axis=2))
    apart = GaussianSum(0.0, marks, clipping_norm=2.0, answers=2, adjacency="replace_one")
    assert np.allclose(project(apart, include)[:, :, 0], np.where(include, 1, -1))


def test_marks_that_differ_by_answer():
    class Turning:
        canaries = np.array([[[2.0, 0.0], [0.0, 1.0]]])  # one canary, two answers

        def release(self, include):
            return include[:, :, None] * self.canaries[0][None]

    assert np.allclose(project(Turning(), np.array([[True], [False]]))[:, 0], [[1, 1], [0, 0]])


def test_poisson_score_at_rate_one_orders_as_the_sum():
    x = np.random.default_rng(0).normal(size=(50, 3))
    ratio, total = poisson_log_ratio(1.0, 0.7)(x), weighted_sum()(x)
    assert np.allclose(ratio, (2 * total - 3) / (2 * 0.49))


class Wrong:
    canaries = ONE

    def __init__(self, answer):
        self.answer = answer

    def release(self, include):
        return np.broadcast_to(self.answer, (include.shape[0], *np.shape(self.answer)))


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        (Wrong(np.array([1.0])), "release gave"),
        (Wrong(np.array([[1.0, 2.0]])), "release gave"),
        (Wrong(np.array([[np.nan]])), "NaN"),
        (Wrong(np.array([[1.0]])), "says nothing"),
        (GaussianSum(1.0, 0 * ONE), "non-zero"),
    ],
)
def test_what_cannot_be_audited_is_refused(mechanism, message):
    with pytest.raises(InputError, match=message):
        audit_mechanism(mechanism, 1.0, DELTA, runs=64)


def test_one_run_refuses_canaries_that_overlap():
    with pytest.raises(InputError, match="orthogonal"):
        audit_one_run(GaussianSum(1.0, np.ones((2, 2))), 1.0, DELTA)


def test_reference_is_calibrated_as_the_inverse_of_mu():
    """The experiment calibrates by 1 / mu(epsilon, delta); dp_accounting agrees."""
    for epsilon in (0.5, 1, 4, 10):
        assert 1 / mu_from_epsilon(epsilon, DELTA) == pytest.approx(sigma(epsilon), rel=1e-4)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(-1.0, DELTA), (float("nan"), DELTA), (np.inf, DELTA), (1.0, 0.0), (1.0, 1.0)]
)
@pytest.mark.parametrize("audit", [audit_mechanism, audit_one_run])
def test_a_claim_that_is_none_is_refused_before_a_run(audit, epsilon, delta):
    with pytest.raises(InputError, match="claimed"):
        audit(None, epsilon, delta)


def test_tightness_command_writes_its_table(tmp_path, monkeypatch, capsys):
    from experiments.audit_tightness import __main__ as command

    monkeypatch.setattr(command, "RUNS", (2000,))
    monkeypatch.setattr(command, "CANARIES", (64,))
    monkeypatch.setattr("sys.argv", ["audit_tightness", "--out", str(tmp_path / "t.json"), "--repeats", "1"])
    command.main()
    result = json.loads((tmp_path / "t.json").read_text())
    assert len(result["tightness"]) == 6
    assert [row["verdict"]["outcome"] for row in result["faults"]] == ["holds", "violated", "violated"]
    assert "multi-run" in capsys.readouterr().out
