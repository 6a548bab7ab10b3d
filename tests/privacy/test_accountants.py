"""Each accountant against golden values, arbitrary precision, direct integration and a third party."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dpcond.errors import InputError
from dpcond.privacy import accountants
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.events import Event
from tests.oracles import accounting_oracles as oracle

AR, RO = Adjacency
BOTH = pytest.mark.parametrize("adjacency", [AR, RO])
DPSGD = [Event(1.1, 0.01, 1000)]

# Epsilon at δ = 1e-5 under add/remove, measured once with dp-accounting 0.6.0 (PLD, grid 1e-4), Opacus 1.6.0 (RDP) and
# prv-accountant 0.2.0 (estimate), each called by hand.
GOLDEN = {
    "DP-SGD": (DPSGD, 1.51537, 1.71177, 1.51537),
    "one full-data answer": ([Event(5.0)], 0.725522, 0.79452, 0.72554),
    "two rates": ([Event(1.1, 0.01, 1000), Event(2.0, 0.05, 300)], 2.49069, 2.72844, 2.49069),
    "histogram and DP-SGD": ([Event(10.0), *DPSGD], 1.56492, 1.75945, 1.56492),
    "many full-data answers": ([Event(20.0, 1.0, 100)], 1.993091, 2.16572, 1.99309),
    "a hundred times less noise than Gaussian composition": ([Event(0.5, 0.1, 200)], 45.3712, 50.30, 45.373),
    "almost no noise": ([Event(0.1)], 91.81729, 96.116, 91.8173),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name):
    events, pld, rdp, prv = GOLDEN[name]
    assert accountants.pld(events, 1e-5, AR) == pytest.approx(pld, rel=2e-5)
    assert accountants.rdp(events, 1e-5, AR) == pytest.approx(rdp, rel=2e-3)
    bracket = accountants.prv(events, 1e-5, AR)
    assert bracket.lower <= pld <= bracket.upper
    assert bracket.estimate == pytest.approx(prv, rel=2e-4)


def test_small_epsilon_is_not_lost_to_the_range_of_orders():
    """q=.001, z=10, T=100: true ε .00197; Opacus' own orders end at 63 and answer .1029."""
    events = [Event(10.0, 0.001, 100)]
    assert accountants.pld(events, 1e-5, AR) == pytest.approx(0.00197, abs=2e-5)
    assert accountants.pld(events, 1e-5, AR) < accountants.rdp(events, 1e-5, AR) < 0.0045


def test_third_party_prv_agrees():
    from prv_accountant import PoissonSubsampledGaussianMechanism, PRVAccountant

    one = PoissonSubsampledGaussianMechanism(sampling_probability=0.02, noise_multiplier=1.3)
    accountant = PRVAccountant(prvs=[one], max_self_compositions=[400], eps_error=0.01, delta_error=1e-9)
    low, _, high = accountant.compute_epsilon(delta=1e-6, num_self_compositions=[400])
    assert low <= accountants.pld([Event(1.3, 0.02, 400)], 1e-6, AR) <= high


@pytest.mark.parametrize(
    ("mu", "delta"), [(0.01, 1e-3), (0.2, 1e-5), (1.0, 1e-12), (3.0, 1e-6), (10.6, 1e-12), (14, 1e-3)]
)
def test_exact_is_an_upper_bound_to_nine_digits(mu, delta):
    truth = oracle.gaussian_epsilon(mu, delta)
    ours = accountants.exact([Event(1 / mu)], delta, AR)
    assert truth <= ours <= truth * (1 + 1e-9) + 2e-11
    assert accountants.exact([Event(1 / mu)], delta, RO) == ours


@pytest.mark.parametrize("delta", [1e-12, 1e-5, 1e-3])
@pytest.mark.parametrize(("q", "z"), [(0.01, 5.0), (0.01, 0.6), (0.3, 1.0), (0.9, 2.0), (0.001, 0.3)])
def test_one_sampled_step_against_the_closed_form(q, z, delta):
    truth = oracle.sampled_step_epsilon(q, z, delta)
    assert truth - 1e-9 <= accountants.pld([Event(z, q)], delta, AR) <= truth * 1.001 + 1e-5
    assert truth - 1e-9 <= accountants.rdp([Event(z, q)], delta, AR)


@BOTH
@pytest.mark.parametrize(("q", "z"), [(0.05, 1.0), (0.5, 0.5), (0.2, 0.4), (1.0, 1.0)])
def test_one_step_against_direct_integration(q, z, adjacency):
    truth = oracle.one_step_epsilon(q, z, 1e-5, adjacency is RO)
    assert truth - 1e-6 <= accountants.pld([Event(z, q)], 1e-5, adjacency) <= truth * 1.001 + 1e-5
    assert truth - 1e-6 <= accountants.rdp([Event(z, q)], 1e-5, adjacency)
    bracket = accountants.prv([Event(z, q)], 1e-5, adjacency)
    assert bracket is None or truth - 1e-6 <= bracket.upper


@BOTH
@pytest.mark.parametrize("steps", [[(0.2, 1.0)] * 4, [(0.5, 2.0), (1.0, 1.5), (0.1, 0.8)]])
def test_compositions_against_brute_force(steps, adjacency):
    lower, upper = oracle.composed_epsilon(steps, 1e-5, adjacency is RO)
    events = [Event(z, q) for q, z in steps]
    assert upper - lower < 3e-3 * len(steps)
    assert lower <= accountants.pld(events, 1e-5, adjacency) <= upper + 1e-6
    assert lower <= accountants.rdp(events, 1e-5, adjacency)
    bracket = accountants.prv(events, 1e-5, adjacency)
    assert lower <= bracket.upper


@pytest.mark.parametrize(
    ("event", "epsilon"),
    [
        (Event(2.5), 1.554982),  # multiplier 5 per added record: sensitivity 2, exact value by mpmath
        (
            Event(0.55, 0.01, 1000),
            2.4778,
        ),  # the DP-SGD above, as replace-one sees it (dp-accounting, REPLACE_ONE)
    ],
)
def test_replace_one_counts_both_records(event, epsilon):
    assert accountants.pld([event], 1e-5, RO) == pytest.approx(epsilon, rel=5e-5)
    assert accountants.rdp([event], 1e-5, RO) > epsilon


def test_full_data_answers_cost_the_same_under_both():
    events = [Event(3.0, 1.0, 7), Event(8.0)]
    for account in (accountants.exact, accountants.pld, accountants.rdp):
        assert account(events, 1e-6, AR) == pytest.approx(account(events, 1e-6, RO), rel=1e-9)


@BOTH
@pytest.mark.parametrize("name", ["exact", "pld", "rdp"])
def test_no_answers_cost_nothing_and_no_noise_costs_everything(name, adjacency):
    account = getattr(accountants, name)
    assert account([], 1e-5, adjacency) == 0.0
    assert account([Event(1.0), Event(0.0, 0.1)], 1e-5, adjacency) == math.inf
    assert account([Event(1.0), Event(0.0)], 1e-5, adjacency) == math.inf


@BOTH
def test_more_answers_or_less_noise_never_cost_less(adjacency):
    for account in (accountants.pld, accountants.rdp):
        base = account([Event(1.5, 0.05, 50)], 1e-6, adjacency)
        assert account([Event(1.5, 0.05, 51)], 1e-6, adjacency) > base
        assert account([Event(1.45, 0.05, 50)], 1e-6, adjacency) > base
        assert account([Event(1.5, 0.051, 50)], 1e-6, adjacency) > base
        assert account([Event(1.5, 0.05, 50), Event(50.0)], 1e-6, adjacency) > base


@pytest.mark.parametrize("delta", [math.nan, math.inf, 0.0, -1e-5, 1.0, 2.0, 0.01, 1e-14, True, "1e-5", None])
@pytest.mark.parametrize("name", ["exact", "pld", "rdp", "prv"])
def test_delta_refused_before_a_library_sees_it(name, delta):
    with pytest.raises(InputError, match="delta"):
        getattr(accountants, name)([Event(1.0)], delta, AR)


@pytest.mark.parametrize("events", [[Event(1e-3)], [Event(1e-3, 0.5, 10)], [Event(i + 1.0, 0.1) for i in range(20)]])
def test_prv_says_not_applicable_instead_of_taking_the_machine(events):
    assert accountants.prv(events, 1e-5, AR) is None


def test_rdp_series_that_fail_are_dropped(monkeypatch):
    from opacus.accountants.analysis import rdp

    def failing(*, q, noise_multiplier, steps, orders):
        if isinstance(orders, float) and orders < 10:
            raise ValueError("The result of subtraction must be non-negative.")
        return real(q=q, noise_multiplier=noise_multiplier, steps=steps, orders=orders)

    real = rdp.compute_rdp
    healthy = accountants.rdp([Event(4.321, 0.01, 10)], 1e-5, AR)
    accountants._sampled_rdp.cache_clear()
    monkeypatch.setattr(rdp, "compute_rdp", failing)
    assert accountants.rdp([Event(4.321, 0.01, 10)], 1e-5, AR) >= healthy
    accountants._sampled_rdp.cache_clear()


def test_rounding_below_zero_is_never_a_gain():
    """At q=1e-6, z=100 Opacus' series ends below zero: −5.7e-15 per step at order 1.005."""
    assert np.all(accountants._sampled_rdp(1e-6, 100.0) > 0)
