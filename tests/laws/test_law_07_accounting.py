"""Law 7, the claimed ε is an upper bound: checks that know the truth from an oracle, and planted faults they catch.

Each check below runs twice: on the program as it is, where it must hold, and on the program with one fault planted,
where it must fail (or the program must refuse).
"""

from __future__ import annotations

import pytest

from dpcond.errors import LedgerError
from dpcond.privacy import accountants, certificate
from dpcond.privacy import ledger as ledger_module
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.certificate import certify
from dpcond.privacy.events import Event
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.plan import Stage, make_plan
from tests.oracles import accounting_oracles as oracle

AR, RO = Adjacency
DELTA = 1e-5


@pytest.fixture(scope="module")
def plan():
    return make_plan([Stage("sums", 10, 100, 1.0)], 1.0, DELTA, AR, {})


# -- the checks: what must hold ---------------------------------------------------------------------------------------


def promise_covers_the_truth() -> None:
    """The quoted ε is at least the true one, for Gaussians whose truth is known to many digits."""
    for mu in (0.2, 0.3, 1.0, 3.0):
        assert certify([Event(1 / mu)], DELTA, AR).epsilon >= oracle.gaussian_epsilon(mu, DELTA)


def replace_one_covers_the_truth() -> None:
    """One sampled step under replace-one costs at least what direct integration says."""
    for q, z in ((0.2, 0.6), (0.5, 0.5)):
        truth = oracle.one_step_epsilon(q, z, DELTA, replace_one=True)
        assert certify([Event(z, q)], DELTA, RO).epsilon >= truth - 1e-6


def every_answer_is_on_the_ledger(path, plan) -> None:
    """Ten answers: ten charges when read back, and an ε recomputed from the file alone that covers all ten."""
    with Ledger.create(path, plan) as ledger:
        for index in range(10):
            ledger.charge("sums", index, plan.event("sums"), "fingerprint")
    read = Ledger.read(path)
    assert sum(event.count for event in read.events()) == 10
    mu = 10**0.5 / plan.noise_multipliers[0]
    assert certify(read.events(), DELTA, AR).epsilon >= oracle.gaussian_epsilon(mu, DELTA)


# -- they hold --------------------------------------------------------------------------------------------------------


def test_promise_covers_the_truth():
    promise_covers_the_truth()


def test_replace_one_covers_the_truth():
    replace_one_covers_the_truth()


def test_every_answer_is_on_the_ledger(tmp_path, plan):
    every_answer_is_on_the_ledger(tmp_path / "ledger", plan)


# -- and fail with a fault planted ------------------------------------------------------------------------------------


def test_fault_epsilon_rounded_down(monkeypatch):
    monkeypatch.setattr(certificate, "round_up", certificate.round_down)
    with pytest.raises(AssertionError):
        promise_covers_the_truth()


def test_fault_epsilon_rounded_to_nearest(monkeypatch):
    monkeypatch.setattr(certificate, "round_up", lambda epsilon: float(f"{epsilon:.4g}"))
    with pytest.raises(AssertionError):
        promise_covers_the_truth()


def forgets_the_second_record(account):
    """Replace-one accounted as if one record of the pair counted (google/differential-privacy #378)."""

    def faulty(events, delta, adjacency):
        if adjacency is RO:
            events = [Event(2 * e.noise_multiplier, e.sampling_rate, e.count) for e in events]
        return account(events, delta, AR)

    return faulty


@pytest.mark.parametrize("name", ["rdp", "pld", "both"])
def test_fault_replace_one_with_half_the_sensitivity(monkeypatch, name):
    for one in ("rdp", "pld") if name == "both" else (name,):
        monkeypatch.setattr(accountants, one, forgets_the_second_record(getattr(accountants, one)))
    # alone, either the promise falls short of the truth or a healthy accountant contradicts the faulty one
    with pytest.raises((AssertionError, certificate.AccountantsDisagree)):
        replace_one_covers_the_truth()


def test_fault_replace_one_full_data_with_half_the_sensitivity(monkeypatch):
    monkeypatch.setattr(accountants, "pld", forgets_the_second_record(accountants.pld))
    with pytest.raises(certificate.AccountantsDisagree, match="exact and pld differ"):
        certify([Event(2.5)], DELTA, RO)


def test_fault_one_event_too_few_on_disk(tmp_path, plan, monkeypatch):
    append = Ledger._append

    def forgetful(self, before, after, line):
        if after.charged["sums"] == 10:
            self._state = after  # counted in memory, never written
        else:
            append(self, before, after, line)

    monkeypatch.setattr(Ledger, "_append", forgetful)
    with pytest.raises(AssertionError):
        every_answer_is_on_the_ledger(tmp_path / "ledger", plan)


def test_fault_one_event_too_few_when_summed(tmp_path, plan, monkeypatch):
    events = Ledger.events
    monkeypatch.setattr(
        Ledger,
        "events",
        lambda self: tuple(Event(e.noise_multiplier, e.sampling_rate, e.count - 1) for e in events(self)),
    )
    with pytest.raises(AssertionError):
        every_answer_is_on_the_ledger(tmp_path / "ledger", plan)


def test_fault_event_dropped_by_the_merge(tmp_path, plan, monkeypatch):
    """Grouping that forgets the counts: ten answers priced as one."""
    monkeypatch.setattr(
        ledger_module,
        "merge",
        lambda events: tuple(Event(e.noise_multiplier, e.sampling_rate) for e in events),
    )
    with pytest.raises(AssertionError):
        every_answer_is_on_the_ledger(tmp_path / "ledger", plan)


def test_fault_line_removed_from_the_file(tmp_path, plan):
    path = tmp_path / "ledger"
    every_answer_is_on_the_ledger(path, plan)
    lines = path.read_bytes().splitlines(keepends=True)
    for gone in range(len(lines) - 1):
        path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
        with pytest.raises(LedgerError):
            Ledger.read(path)
