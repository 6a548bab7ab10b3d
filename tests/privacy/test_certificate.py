"""Certificates: the quoted ε is an upper bound, rounded up; accountants that contradict each other are a refusal."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpcond.errors import InputError, LedgerError
from dpcond.privacy import accountants
from dpcond.privacy.accountants import Bracket
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.certificate import AccountantsDisagree, certify, round_down, round_up
from dpcond.privacy.events import Event
from tests.oracles import accounting_oracles as oracle

AR, RO = Adjacency


@given(st.floats(1e-6, 1e6))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_rounding_brackets_the_value(epsilon):
    up, down = round_up(epsilon), round_down(epsilon)
    assert down <= epsilon <= up
    assert up - down <= 1.0000001e-3 * epsilon
    assert (round_up(up), round_down(down), round_up(down)) == (up, down, down)
    assert len(f"{up:.10g}".replace(".", "").strip("0").split("e")[0]) <= 4


@pytest.mark.parametrize(
    ("value", "up"),
    [
        (1.51537, 1.516),
        (1.0, 1.0),
        (1.0000001, 1.001),
        (0.002151, 0.002151),
        (45.3712, 45.38),
        (99.999, 100.0),
        (0.0, 0.0),
        (math.inf, math.inf),
    ],
)
def test_rounding_up(value, up):
    assert round_up(value) == up


def test_full_data_quotes_the_exact_value():
    certificate = certify([Event(5.0)], 1e-5, AR)
    assert certificate.quoted == "exact"
    assert certificate.epsilon == 0.7256  # 0.7255217508 (mpmath)
    assert set(certificate.accountants) == {"exact", "pld", "rdp", "prv"}
    assert certificate.bracket.lower < 0.7255 < certificate.bracket.upper


def test_sampled_quotes_pld():
    certificate = certify([Event(1.1, 0.01, 500), Event(1.1, 0.01, 500)], 1e-5, "add_remove")
    assert (certificate.quoted, certificate.epsilon) == ("pld", 1.516)
    assert certificate.accountants["exact"] is None
    assert set(certificate.versions) >= {"dp-accounting", "opacus"}


def test_replace_one_states_no_bracket_where_it_speaks_of_another_relation():
    certificate = certify([Event(0.55, 0.01, 1000)], 1e-5, RO)
    assert certificate.epsilon == 2.478
    assert certificate.bracket is None
    assert certificate.accountants["prv"] > certificate.accountants["pld"]


def test_no_noise_is_infinite_and_asks_nobody(monkeypatch):
    for name in ("exact", "pld", "rdp", "prv"):
        monkeypatch.setattr(accountants, name, lambda *a: pytest.fail("an accountant was asked"))
    certificate = certify([Event(1.0, 0.5), Event(0.0)], 1e-5, AR)
    assert certificate.epsilon == math.inf
    assert not certificate.private
    text = json.dumps(certificate.to_json(), allow_nan=False)
    assert json.loads(text)["epsilon"] is None
    assert json.loads(text)["private"] is False


@pytest.mark.parametrize("adjacency", [AR, RO])
def test_nothing_asked_costs_nothing(adjacency):
    assert certify([], 1e-5, adjacency).epsilon == 0.0


def test_json_is_strict():
    for adjacency in (AR, RO):
        value = certify([Event(1.0), Event(1.0, 0.1, 3)], 1e-5, adjacency).to_json()
        assert json.loads(json.dumps(value, allow_nan=False)) == value


@pytest.mark.parametrize(
    ("events", "delta", "adjacency"),
    [([Event(1.0)], math.nan, AR), ([Event(1.0)], 0.1, AR), ([Event(1.0)], 1e-5, "both"), ([1.0], 1e-5, AR)],
)
def test_bad_input(events, delta, adjacency):
    with pytest.raises(InputError):
        certify(events, delta, adjacency)


SAMPLED = [Event(1.1, 0.01, 100)]


@pytest.mark.parametrize(
    ("name", "answer", "claim"),
    [
        ("pld", 0.0, "below the lower bound of prv"),
        ("pld", math.nan, "pld is not a number"),
        ("pld", -1.0, "pld is not a number"),
        ("pld", 50.0, "pld is above rdp"),
        ("rdp", 0.0, "pld is above rdp"),
        ("rdp", math.nan, "rdp is not a number"),
        ("prv", Bracket(9.0, 9.1, 9.2), "below the lower bound of prv"),
        ("prv", Bracket(0.0, 0.0, 0.01), "above the upper bound of prv"),
    ],
)
def test_contradiction_refused(monkeypatch, name, answer, claim):
    monkeypatch.setattr(accountants, name, lambda *a: answer)
    with pytest.raises(AccountantsDisagree, match=claim) as caught:
        certify(SAMPLED, 1e-5, AR)
    assert isinstance(caught.value, LedgerError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [0.71, 0.74, 0.0, math.nan])
def test_exact_and_pld_must_coincide(monkeypatch, wrong):
    monkeypatch.setattr(accountants, "exact", lambda *a: wrong)
    with pytest.raises(AccountantsDisagree):
        certify([Event(5.0)], 1e-5, AR)


def test_random_plans_are_certified_above_the_truth():
    """Ten heterogeneous plans over the whole range: no false contradiction, each within seconds."""
    random = np.random.default_rng(5)
    for trial in range(10):
        events = []
        for _ in range(random.integers(1, 4)):
            q = 1.0 if random.random() < 0.3 else float(np.exp(random.uniform(np.log(1e-4), 0)))
            count = int(random.integers(1, 30)) if q == 1.0 else int(np.exp(random.uniform(0, np.log(5000))))
            z = float(np.exp(random.uniform(np.log(0.5), np.log(30)))) * max(1.0, q * math.sqrt(count))
            events.append(Event(z, q, count))
        delta = 10.0 ** -float(random.uniform(3, 12))
        start = time.process_time()
        certificate = certify(events, delta, (AR, RO)[trial % 2])
        assert time.process_time() - start < 20
        known = [e for e in certificate.accountants.values() if e is not None]
        assert certificate.epsilon >= min(known)


@pytest.mark.parametrize("delta", [1e-12, 1e-3])
@pytest.mark.parametrize("noise", [0.08, 0.5, 40.0, 3000.0])
def test_full_data_over_the_whole_range(noise, delta):
    certificate = certify([Event(noise * math.sqrt(7), 1.0, 7)], delta, AR)
    truth = oracle.gaussian_epsilon(1 / noise, delta)
    assert truth <= certificate.epsilon <= truth * 1.0011 + 1e-9


def test_huge_epsilon_is_stated_not_refused():
    """Far beyond any budget the grid of the PLD is coarse: 1575.93 for 1574.97, which is no contradiction."""
    events = [Event(25.119543235451943, 1.0, 249), Event(0.5125673283499103, 1.0, 683)]
    assert certify(events, 3.141730789122675e-08, AR).epsilon == 1575.0
