"""The ledger: what was spent, on disk before it is spent, so that no crash can hide it.

A file of JSON lines. Line 0 holds the plan, every further line one charge; each carries the sha256 of itself and of its
predecessor, so that no line can be altered, dropped from the middle or moved unnoticed (the last hash, ``head``, goes
into the release and anchors the end). A charge is written, flushed and fsynced before :meth:`Ledger.charge` returns, and
the noise is drawn after that: a crash can waste budget, it can never hide spending. A last line without its newline is a
write that was cut short; no answer ever followed it, so :meth:`Ledger.resume` drops it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from dpcond.errors import BudgetError, InputError, LedgerError
from dpcond.privacy.certificate import certify
from dpcond.privacy.events import Event, merge
from dpcond.privacy.plan import Plan, canonical

GENESIS = "0" * 64
_CHARGE_FIELDS = {"kind", "stage", "index", "event", "query", "prev", "hash"}


@dataclass(frozen=True)
class _State:
    """What the file says: its plan, the answers charged per stage, the last hash and the length in bytes."""

    plan: Plan
    charged: dict[str, int]
    head: str
    size: int


class Ledger:
    """An append-only record of charges against one plan. Make one with ``create``, ``resume`` or ``read``."""

    def __init__(self, path: Path, state: _State, lock: FileLock | None) -> None:
        self.path = path
        self._state: _State | None = state
        self._lock = lock  # None: read-only
        self._process = os.getpid()
        self._thread = threading.Lock()

    @classmethod
    def create(cls, path: str | os.PathLike[str], plan: Plan) -> Ledger:
        """A new ledger at ``path`` for ``plan``, open for charging.

        Raises:
            BudgetError: the plan costs more than the budget it states.
            LedgerError: the file exists, is in use, or cannot be written.
        """
        path = Path(path)
        if plan.private:
            cost = certify(plan.events(), plan.delta, plan.adjacency).epsilon
            if cost > plan.epsilon:
                raise BudgetError(f"plan costs epsilon {cost:g}, its budget is {plan.epsilon:g}: calibrate it again")
        lock = _lock(path)
        try:
            if os.path.lexists(path):
                raise LedgerError(f"ledger {path}: exists already; resume it, or choose another folder")
            line, head = _seal({"kind": "open", "plan": plan.to_json(), "prev": GENESIS})
            draft = path.with_name(path.name + ".new")  # renamed when whole: a ledger never lacks its opening line
            try:
                _write(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), line)
                os.rename(draft, path)
                _sync_folder(path.parent)
            except OSError as error:
                raise _unwritable(path, error) from None
            return cls(path, _State(plan, {}, head, len(line)), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def resume(cls, path: str | os.PathLike[str], plan: Plan) -> Ledger:
        """The ledger at ``path``, open for charging what ``plan`` has left; a line that a crash cut short is dropped.

        Raises:
            LedgerError: the plan or the budget differs from the one in the file (naming what changed), the chain is
                broken, the file is in use, missing or cannot be written.
        """
        path = Path(path)
        lock = _lock(path)
        try:
            content = _content(path)
            whole = content[: content.rfind(b"\n") + 1]
            state = _verify(path, whole)
            changed = _changes(state.plan, plan)
            if changed:
                raise LedgerError(f"ledger {path}: cannot resume, {'; '.join(changed)}; restore it, or start a new run")
            try:
                file = os.open(path, os.O_WRONLY)
                try:
                    os.ftruncate(file, len(whole))
                    os.fsync(file)
                finally:
                    os.close(file)
            except OSError as error:
                raise _unwritable(path, error) from None
            return cls(path, state, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Ledger:
        """The ledger at ``path``, read-only, after checking every line; raises LedgerError when any does not hold."""
        path = Path(path)
        content = _content(path)
        if not content.endswith(b"\n"):
            raise LedgerError(f"ledger {path}: its last line is cut short; resume the run to repair it")
        return cls(path, _verify(path, content), None)

    @property
    def plan(self) -> Plan:
        """The plan in the opening line."""
        return self._known.plan

    @property
    def head(self) -> str:
        """Hash of the last line: the whole history in 64 hex digits."""
        return self._known.head

    def charged(self, stage: str) -> int:
        """How many answers of ``stage`` were paid for."""
        self.plan.stage(stage)
        return self._known.charged.get(stage, 0)

    def events(self) -> tuple[Event, ...]:
        """All that was charged so far, grouped."""
        state = self._known
        paid = ((state.plan.event(stage), count) for stage, count in state.charged.items())
        return merge(Event(one.noise_multiplier, one.sampling_rate, count) for one, count in paid)

    def charge(self, stage: str, index: int, event: Event, query: str) -> None:
        """Put answer ``index`` of ``stage`` on disk; only after this returns may its noise be drawn.

        Args:
            stage: a stage of the plan.
            index: 0, 1, 2… in order, each once.
            event: what the answer costs; must be the plan's, with count 1.
            query: fingerprint of the query (public).

        Raises:
            BudgetError: not in the plan, out of order, twice, or beyond the planned count.
            LedgerError: the ledger is read-only, closed, changed by somebody else, or the disk refused; then nothing
                was charged.
        """
        with self._thread:
            state = self._known
            self._refuse_unplanned(state.plan, stage, index, event, query)
            body = {"kind": "charge", "stage": stage, "index": index, "event": event.to_json(), "query": query}
            line, head = _seal({**body, "prev": state.head})
            after = _State(state.plan, {**state.charged, stage: index + 1}, head, state.size + len(line))
            self._append(state, after, line)

    def close(self) -> None:
        """Let go of the file; what is charged stays charged. A closed ledger answers no more."""
        self._state = None
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _known(self) -> _State:
        if self._state is None:
            raise LedgerError(f"ledger {self.path}: closed, or its last write failed; resume it to go on")
        return self._state

    def _refuse_unplanned(self, plan: Plan, stage: str, index: int, event: Event, query: str) -> None:
        if self._lock is None:
            raise LedgerError(f"ledger {self.path}: opened read-only; resume it to charge")
        if os.getpid() != self._process:
            raise LedgerError(f"ledger {self.path}: belongs to process {self._process}; a forked copy may not charge")
        try:
            planned, limit = plan.event(stage), plan.stage(stage).count
        except InputError as error:
            raise BudgetError(f"refused: {error}") from None
        due = self.charged(stage)
        where = f"refused: answer {index!r} of stage {stage!r}:"
        if isinstance(index, bool) or not isinstance(index, int):
            raise BudgetError(f"{where} expected a whole number")
        if event != planned:
            raise BudgetError(f"{where} {event} is not the planned {planned}")
        if due >= limit:
            raise BudgetError(f"{where} all {limit} planned answers are spent")
        if index != due:
            raise BudgetError(f"{where} {'spent already' if index < due else 'out of order'}; the next is {due}")
        if not isinstance(query, str) or not query or len(query) > 1000:
            raise InputError(f"query fingerprint {query!r}: expected a text of 1 to 1000 characters")

    def _append(self, before: _State, after: _State, line: bytes) -> None:
        """Write ``line`` and move to ``after``; on any failure (or interrupt) take the line back off the disk."""
        file = -1
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            if os.fstat(file).st_size != before.size:
                raise LedgerError(f"ledger {self.path}: somebody else changed it; nothing was charged")
            _write_all(file, line)
            os.fsync(file)
            self._state = after
        except LedgerError:
            raise
        except BaseException as error:
            if self._state is not after:
                self._take_back(file, before)
            if isinstance(error, OSError):
                raise _unwritable(self.path, error) from None
            raise
        finally:
            if file >= 0:
                os.close(file)

    def _take_back(self, file: int, before: _State) -> None:
        if file < 0:
            return  # nothing was written
        try:
            os.ftruncate(file, before.size)
        except OSError:
            self._state = None  # the line may be on disk or not: only a resume can tell


def _seal(body: dict[str, Any]) -> tuple[bytes, str]:
    """The line of ``body`` with its hash, and the hash."""
    digest = hashlib.sha256(canonical(body).encode()).hexdigest()
    return (canonical({**body, "hash": digest}) + "\n").encode(), digest


def _verify(path: Path, content: bytes) -> _State:
    """Replay ``content`` from the first line to the last; raises LedgerError at the first that does not hold."""
    lines = content.split(b"\n")[:-1]
    if not lines:
        raise LedgerError(f"ledger {path}: empty or cut short before its first line; nothing was ever charged to it")
    plan: Plan | None = None
    charged: dict[str, int] = {}
    head = GENESIS
    for number, raw in enumerate(lines):
        where = f"ledger {path}, line {number + 1}:"
        entry = _entry(where, raw)
        if entry.get("prev") != head:
            raise LedgerError(f"{where} does not follow the line before it; a line was removed, added or moved")
        head = entry["hash"]
        try:
            if plan is None:
                if set(entry) != {"kind", "plan", "prev", "hash"} or entry["kind"] != "open":
                    raise LedgerError(f"{where} expected the opening line with the plan")
                plan = Plan.from_json(entry["plan"])
                continue
            if set(entry) != _CHARGE_FIELDS or entry["kind"] != "charge":
                raise LedgerError(f"{where} expected a charge")
            stage, due = entry["stage"], charged.get(entry["stage"], 0)
            if Event.from_json(entry["event"]) != plan.event(stage):
                raise LedgerError(f"{where} its event is not the planned one")
            if entry["index"] != due or due >= plan.stage(stage).count:
                raise LedgerError(f"{where} answer {entry['index']} of stage {stage!r}, expected {due}")
            charged[stage] = due + 1
        except (InputError, TypeError) as error:
            raise error if isinstance(error, LedgerError) else LedgerError(f"{where} {error}") from None
    assert plan is not None
    return _State(plan, charged, head, len(content))


def _entry(where: str, raw: bytes) -> dict[str, Any]:
    """The line ``raw`` as a dict whose own hash holds, byte for byte."""
    try:
        entry = json.loads(raw)
        body = {key: value for key, value in entry.items() if key != "hash"}
        whole, _ = _seal(body)
    except (ValueError, AttributeError, RecursionError):
        raise LedgerError(f"{where} not a line of a ledger; it was altered or damaged") from None
    if whole != raw + b"\n":
        raise LedgerError(f"{where} does not match its hash; it was altered or damaged")
    return dict(entry)


def _changes(old: Plan, new: Plan) -> list[str]:
    """What differs between two plans, one phrase each."""
    a, b = old.to_json(), new.to_json()
    short = {"epsilon", "delta", "adjacency", "private"}
    return [
        f"{key} changed from {a[key]!r} to {b[key]!r}"
        if key in short
        else f"{key.replace('_', ' ')} changed ({detail})"
        for key in a
        if a[key] != b[key]
        for detail in [_difference(a[key], b[key])]
    ]


def _difference(a: Any, b: Any) -> str:
    """Where two JSON values first differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        key = next(k for k in sorted({*a, *b}) if a.get(k) != b.get(k) or (k in a) != (k in b))
        return f"{key}: {_difference(a.get(key), b.get(key))}"
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return _difference(*next((x, y) for x, y in zip(a, b, strict=True) if x != y))
    return f"{a!r:.60} to {b!r:.60}"


def _lock(path: Path) -> FileLock:
    """The lock that keeps a second process off ``path``; raises LedgerError when it is taken."""
    real = path.resolve()
    if not real.parent.is_dir():
        raise LedgerError(f"ledger {path}: the folder {path.parent} does not exist")
    lock = FileLock(f"{real}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise LedgerError(f"ledger {path}: another process is writing it; wait for it, or stop it") from None
    except OSError as error:
        raise _unwritable(path, error) from None
    return lock


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LedgerError(f"ledger {path}: cannot be read ({error.strerror})") from None


def _unwritable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"ledger {path}: cannot be written ({error.strerror or error}), nothing was charged; "
        "free space or choose a writable folder, then resume"
    )


def _write_all(file: int, content: bytes) -> None:
    while content:  # a nearly full disk takes a part
        content = content[os.write(file, content) :]


def _write(file: int, content: bytes) -> None:
    try:
        _write_all(file, content)
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    """Make a new name in ``folder`` survive a power cut."""
    if hasattr(os, "O_DIRECTORY"):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # some network file systems refuse; the file itself is synced
                os.fsync(file)
        finally:
            os.close(file)
