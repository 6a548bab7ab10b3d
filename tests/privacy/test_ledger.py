"""The ledger: never less on disk than was answered, never more than planned, whatever happens in between."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dpcond.errors import BudgetError, InputError, LedgerError
from dpcond.privacy import ledger as module
from dpcond.privacy.events import Event
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.plan import Plan, Stage, make_plan

PUBLIC = {"method": "dm", "third": 0.1 + 0.2}


def planned(count: int = 5, epsilon: float = 1.0, **changes) -> Plan:
    stages = [Stage("counts", 1, 10, 0.1), Stage("sums", count, 100, 0.9)]
    return make_plan(
        stages, **{"epsilon": epsilon, "delta": 1e-5, "adjacency": "add_remove", "public": PUBLIC, **changes}
    )


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "ledger.jsonl"


def charge(ledger: Ledger, times: int = 1, stage: str = "sums") -> None:
    for _ in range(times):
        ledger.charge(stage, ledger.charged(stage), ledger.plan.event(stage), "fingerprint")


def filled(path: Path, plan: Plan, times: int = 3) -> list[bytes]:
    """A ledger of ``times`` charges at ``path``; its lines."""
    with Ledger.create(path, plan) as ledger:
        charge(ledger, times)
    return path.read_bytes().splitlines(keepends=True)


def test_charges_are_on_disk_before_charge_returns(path, plan):
    with Ledger.create(path, plan) as ledger:
        for n in range(1, 4):
            charge(ledger)
            assert Ledger.read(path).charged("sums") == ledger.charged("sums") == n
            assert Ledger.read(path).head == ledger.head


def test_fsync_before_the_charge_counts(path, plan, monkeypatch):
    with Ledger.create(path, plan) as ledger:
        seen = []
        real = os.fsync
        monkeypatch.setattr(
            os, "fsync", lambda fd: (seen.append((ledger.charged("sums"), os.fstat(fd).st_size)), real(fd))
        )
        charge(ledger)
        assert seen == [(0, path.stat().st_size)]  # the whole line was there, and not yet counted


def test_read_back(path, plan):
    lines = filled(path, plan)
    read = Ledger.read(path)
    assert read.plan == plan
    assert read.plan.public["third"] == 0.30000000000000004
    assert read.events() == (Event(plan.noise_multipliers[1], 1.0, 3),)
    assert read.head == json.loads(lines[-1])["hash"]
    assert [json.loads(line)["kind"] for line in lines] == ["open", "charge", "charge", "charge"]
    assert set(json.loads(lines[1])) == {"kind", "stage", "index", "event", "query", "prev", "hash"}
    with pytest.raises(LedgerError, match="read-only"):
        charge(read)


def test_resume_goes_on_where_it_stopped(path, plan):
    filled(path, plan)
    with Ledger.resume(path, plan) as ledger:
        assert ledger.charged("sums") == 3
        charge(ledger, 2)
        charge(ledger, stage="counts")
        with pytest.raises(BudgetError, match="all 5 planned"):
            charge(ledger)
    assert set(Ledger.read(path).events()) == set(plan.events())


@pytest.mark.parametrize(
    ("stage", "index", "message"),
    [
        ("votes", 0, "not in the plan"),
        ("sums", 1, "out of order"),
        ("sums", -1, "spent already"),
        ("sums", True, "whole number"),
        ("sums", "0", "whole number"),
        ("sums", 5, "out of order"),
    ],
)
def test_unplanned_charge_refused(path, plan, stage, index, message):
    with Ledger.create(path, plan) as ledger:
        before = path.read_bytes()
        with pytest.raises(BudgetError, match=message):
            ledger.charge(stage, index, plan.event("sums"), "q")
        assert path.read_bytes() == before


def test_charging_twice_refused(path, plan):
    with Ledger.create(path, plan) as ledger:
        charge(ledger)
        with pytest.raises(BudgetError, match="spent already"):
            ledger.charge("sums", 0, plan.event("sums"), "q")


@pytest.mark.parametrize("event", [Event(0.0), Event(1.0), Event(1.0, 0.5), None])
def test_another_event_refused(path, plan, event):
    with Ledger.create(path, plan) as ledger, pytest.raises(BudgetError, match="planned"):
        ledger.charge("sums", 0, event, "q")


def test_two_answers_in_one_charge_refused(path, plan):
    with Ledger.create(path, plan) as ledger, pytest.raises(BudgetError):
        ledger.charge("sums", 0, Event(plan.noise_multipliers[1], 1.0, 2), "q")


@pytest.mark.parametrize("query", ["", None, b"x", "x" * 1001])
def test_fingerprint_refused(path, plan, query):
    with Ledger.create(path, plan) as ledger, pytest.raises(InputError, match="fingerprint"):
        ledger.charge("sums", 0, plan.event("sums"), query)


def test_plan_over_its_own_budget_refused(path, plan):
    thin = Plan.from_json({**plan.to_json(), "noise_multipliers": [z / 2 for z in plan.noise_multipliers]})
    with pytest.raises(BudgetError, match="budget is 1"):
        Ledger.create(path, thin)
    assert not path.exists()


def test_not_private_plan_is_recorded_too(path):
    plan = planned(private=False)
    filled(path, plan)
    assert Ledger.read(path).events() == (Event(0.0, 1.0, 3),)


def test_create_never_overwrites(path, plan):
    filled(path, plan)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="exists already"):
        Ledger.create(path, plan)
    assert path.read_bytes() == before


def test_one_writer_at_a_time(path, plan):
    with Ledger.create(path, plan):
        code = (
            "import sys; from dpcond.privacy.ledger import Ledger\n"
            "try: Ledger.resume(sys.argv[1], Ledger.read(sys.argv[1]).plan)\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        out = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
        assert out.startswith("LedgerError")
        assert "another process" in out
    Ledger.resume(path, plan).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_copy_may_not_charge(path, plan):
    with Ledger.create(path, plan) as ledger:
        child = os.fork()
        if child == 0:
            try:
                charge(ledger)
            except LedgerError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        charge(ledger)


def test_closed_ledger_answers_no_more(path, plan):
    ledger = Ledger.create(path, plan)
    ledger.close()
    for use in (
        lambda: charge(ledger),
        lambda: ledger.events(),
        lambda: ledger.head,
        lambda: ledger.charged("sums"),
    ):
        with pytest.raises(LedgerError, match="closed"):
            use()


def test_changed_underneath_refused(path, plan):
    with Ledger.create(path, plan) as ledger:
        charge(ledger)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]))
        with pytest.raises(LedgerError, match="somebody else"):
            charge(ledger)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epsilon": 2.0}, "epsilon changed from 1.0 to 2.0"),
        ({"delta": 1e-6}, "delta changed from 1e-05 to 1e-06"),
        ({"adjacency": "replace_one"}, "adjacency changed from 'add_remove' to 'replace_one'"),
        ({"private": False}, "private changed from True to False"),
        ({"public": {**PUBLIC, "method": "dc"}}, "public changed .method: 'dm' to 'dc'"),
        ({"count": 6}, "stages changed .count: 5 to 6"),
    ],
)
def test_changed_plan_refused_by_name(path, plan, change, named):
    filled(path, plan)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=named) as caught:
        Ledger.resume(path, planned(**change))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    Ledger.resume(path, plan).close()  # and the lock was let go


def test_every_cut_of_the_last_line_resumes_to_the_charges_before(path, plan):
    """A crash inside the write, at each of its bytes: that charge was never answered, all others stay."""
    lines = filled(path, plan)
    kept = b"".join(lines[:-1])
    for cut in range(len(lines[-1])):
        path.write_bytes(kept + lines[-1][:cut])
        if cut:
            with pytest.raises(LedgerError, match="cut short"):
                Ledger.read(path)
        with Ledger.resume(path, plan) as ledger:
            assert ledger.charged("sums") == 2
        assert path.read_bytes() == kept
    with Ledger.resume(path, plan) as ledger:
        charge(ledger)
    assert path.read_bytes() == b"".join(lines)


def test_every_flipped_bit_is_noticed(path, plan):
    whole = b"".join(filled(path, plan))
    for position in range(0, len(whole) - 1, 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        with pytest.raises(LedgerError):
            Ledger.read(path)
        with pytest.raises(LedgerError):
            Ledger.resume(path, plan)


@pytest.mark.parametrize(
    "edit",
    [
        lambda a: [a[0], a[2], a[3]],
        lambda a: [a[1], a[2], a[3]],
        lambda a: [a[0], a[2], a[1], a[3]],
        lambda a: [a[0], a[1], a[1], a[2], a[3]],
        lambda a: [*a, a[0]],
        lambda a: [*a, b"\n"],
        lambda a: [b"\xff" + a[0], *a[1:]],
        lambda a: [a[0].replace(b'":', b'": ', 1), *a[1:]],
        lambda a: [],
        lambda a: [a[0][:40]],
        lambda a: [b"null\n"],
        lambda a: [b"[" * 100_000 + b"\n"],
    ],
)
def test_removed_moved_or_foreign_lines_refused(path, plan, edit):
    path.write_bytes(b"".join(edit(filled(path, plan))))
    with pytest.raises(LedgerError) as caught:
        Ledger.read(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(LedgerError):
        Ledger.resume(path, plan)


def resealed(lines: list[bytes], change) -> bytes:
    """The lines with every hash recomputed after ``change``: a forger who knows the format."""
    out, prev = [], module.GENESIS
    for number, line in enumerate(lines):
        body = {**json.loads(line), "prev": prev}
        del body["hash"]
        change(number, body)
        sealed, prev = module._seal(body)
        out.append(sealed)
    return b"".join(out)


@pytest.mark.parametrize(
    "change",
    [
        lambda n, body: body.update(seed=7) if n == 1 else None,
        lambda n, body: body.update(index=4) if n == 1 else None,
        lambda n, body: body.update(stage="votes") if n == 1 else None,
        lambda n, body: body.update(stage=["sums"]) if n == 1 else None,
        lambda n, body: body["event"].update(noise_multiplier=99.0) if n == 1 else None,
        lambda n, body: body["event"].update(count=2) if n == 1 else None,
        lambda n, body: body["plan"].update(extra=1) if n == 0 else None,
        lambda n, body: body["plan"]["stages"][1].update(count=2) if n == 0 else None,
    ],
)
def test_forged_with_valid_hashes_still_must_be_a_ledger(path, plan, change):
    forged = resealed(filled(path, plan), change)
    path.write_bytes(forged)
    with pytest.raises(LedgerError):
        Ledger.read(path)


def test_a_cut_at_a_line_boundary_shows_in_the_head(path, plan):
    lines = filled(path, plan)
    head = Ledger.read(path).head
    path.write_bytes(b"".join(lines[:-1]))
    assert Ledger.read(path).head != head


@pytest.mark.parametrize("taken", [0, 1, 50])
def test_full_disk_charges_nothing(path, plan, monkeypatch, taken):
    with Ledger.create(path, plan) as ledger:
        charge(ledger)
        before, head = path.read_bytes(), ledger.head
        real, calls = os.write, []

        def full(fd, content):
            calls.append(len(content))
            if taken and len(calls) == 1:
                return real(fd, bytes(content[:taken]))
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(LedgerError, match="No space left") as caught:
            charge(ledger)
        assert "\n" not in str(caught.value)
        monkeypatch.undo()
        assert (path.read_bytes(), ledger.charged("sums"), ledger.head) == (before, 1, head)
        charge(ledger)  # space was freed
        assert Ledger.read(path).charged("sums") == 2


def test_failed_fsync_charges_nothing(path, plan, monkeypatch):
    with Ledger.create(path, plan) as ledger:
        before = path.read_bytes()

        def broken(fd):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(LedgerError, match="Input/output"):
            charge(ledger)
        monkeypatch.undo()
        assert (path.read_bytes(), ledger.charged("sums")) == (before, 0)


def test_interrupt_inside_the_write_charges_nothing(path, plan, monkeypatch):
    with Ledger.create(path, plan) as ledger:
        before = path.read_bytes()

        def interrupted(fd):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            charge(ledger)
        monkeypatch.undo()
        assert (path.read_bytes(), ledger.charged("sums")) == (before, 0)
        charge(ledger)
    assert Ledger.read(path).charged("sums") == 1


def test_disk_that_cannot_even_shrink_leaves_nothing_claimed(path, plan, monkeypatch):
    """The line may be on disk or not: the ledger then says neither, and a resume finds out."""
    with Ledger.create(path, plan) as ledger:

        def broken(*_):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", broken)
        monkeypatch.setattr(os, "ftruncate", broken)
        with pytest.raises(LedgerError):
            charge(ledger)
        monkeypatch.undo()
        for use in (lambda: ledger.charged("sums"), lambda: charge(ledger), lambda: ledger.events()):
            with pytest.raises(LedgerError, match="resume"):
                use()
    with Ledger.resume(path, plan) as ledger:
        assert ledger.charged("sums") == 1  # wasted, not hidden


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
def test_create_on_a_failing_disk(path, plan, monkeypatch, call):
    def broken(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, call, broken)
    with pytest.raises(LedgerError, match="Read-only") as caught:
        Ledger.create(path, plan)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert not path.exists()
    Ledger.create(path, plan).close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_read_only_folder(tmp_path, plan):
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger.create(tmp_path / "ledger.jsonl", plan)


def test_missing_places(tmp_path, plan):
    with pytest.raises(LedgerError, match="does not exist"):
        Ledger.create(tmp_path / "nowhere" / "ledger.jsonl", plan)
    with pytest.raises(LedgerError, match="cannot be read"):
        Ledger.resume(tmp_path / "ledger.jsonl", plan)
    with pytest.raises(LedgerError, match="cannot be read"):
        Ledger.read(tmp_path)


CHILD = """
import os, sys
from dpcond.privacy.ledger import Ledger
path, answers = sys.argv[1], os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
with Ledger.resume(path, Ledger.read(path).plan) as ledger:
    os.write(1, b'.')
    for index in range(ledger.charged('sums'), 5000):
        ledger.charge('sums', index, ledger.plan.event('sums'), 'q')
        os.write(answers, b'.')
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_kill_nine_at_any_moment(tmp_path):
    """Killed again and again while it spends: never fewer charges on disk than answers given, at most one more each."""
    path, answers, kills = tmp_path / "ledger.jsonl", tmp_path / "answers", 12
    plan = planned(5000)
    Ledger.create(path, plan).close()
    answers.touch()
    given = 0
    for trial in range(kills):
        child = subprocess.Popen([sys.executable, "-c", CHILD, path, answers], stdout=subprocess.PIPE)
        assert child.stdout.read(1) == b"."
        while answers.stat().st_size < given + 1 + trial % 4:  # then at whatever point of the loop it happens to be
            assert child.poll() is None
        time.sleep(trial * 7.3e-4)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        given = answers.stat().st_size
        with Ledger.resume(path, plan) as ledger:
            assert given <= ledger.charged("sums") <= min(given + 1 + trial, 5000)
    assert given >= kills
