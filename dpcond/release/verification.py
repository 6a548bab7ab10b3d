"""Check a release against itself: its hashes, its ledger, and ε recomputed from the ledger alone.

What this shows: the files belong together, nothing was asked beyond the plan, and the stated ε covers what the ledger
holds. What it cannot show: that the ledger is the one of these records. A release is signed by nobody, so whoever can
rewrite every file can also rewrite their hashes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dpcond.errors import InputError
from dpcond.release import bundle
from dpcond.release.privacy_statement import conditions, declared, epsilon_of, in_words
from dpcond.spec import DataSpec


class Check(NamedTuple):
    """One thing that was checked: its name, whether it holds, and what was found."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class VerifyReport:
    """The result of :func:`verify`.

    Attributes:
        checks: everything that was checked, in order.
        stated: the ε that the release states (∞ when not private); None when it states none.
        epsilon: ε recomputed from the ledger alone (∞ when not private); None when that could not be done.
    """

    checks: tuple[Check, ...]
    stated: float | None
    epsilon: float | None

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


class _Failed(Exception):
    """A check found a fault; its text says which."""


def verify(path: str | Path) -> VerifyReport:
    """Check the release in the folder ``path``. Never raises on what it finds there; it reports."""
    found = _Release(Path(path))
    named: list[tuple[str, Callable[[], str]]] = [
        ("files match the manifest", found.files),
        ("records open and fit their description", found.records),
        ("privacy statement is complete", found.statement),
        ("ledger is whole and its chain holds", found.chain),
        ("every charge is stated and in the plan", found.charges),
        ("plan is the stated one", found.plan),
        ("promise is the one of its source", found.lineage),
        ("epsilon recomputed from the ledger", found.recompute),
        ("card states the same promise", found.card),
    ]
    checks = []
    for name, check in named:
        try:
            checks.append(Check(name, True, check()))
        except _Failed as fault:
            checks.append(Check(name, False, str(fault)))
        except Exception as error:  # tampered input may provoke anything; it is a finding, not a crash
            reason = (str(error).splitlines() or [""])[0]
            checks.append(Check(name, False, f"{type(error).__name__}: {reason}"))
    return VerifyReport(tuple(checks), found.stated, found.epsilon)


class _Release:
    """The folder under examination; each method returns what it found or raises."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stated: float | None = None
        self.epsilon: float | None = None

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_bytes())

    def _ledger(self) -> Any:
        from dpcond.privacy.ledger import Ledger

        return Ledger.read(self.folder / bundle.LEDGER)

    def _no_ledger(self) -> bool:
        """Only a release that promises nothing may come without a ledger."""
        absent = not (self.folder / bundle.LEDGER).exists()
        if absent and self.stated != math.inf:
            raise _Failed("ledger.jsonl is missing from a release that promises privacy")
        return absent

    def files(self) -> str:
        faults = list(bundle.check_folder(self.folder))
        if faults:
            raise _Failed("; ".join(faults))
        return f"{len(list(self.folder.iterdir()))} files"

    def records(self) -> str:
        from dpcond.release.reading import open_release

        release = open_release(self.folder)
        options, classes = release.options, release.spec.num_classes
        made = options["ipc"] * options.get("factor", 1) ** 2 * classes if "ipc" in options else len(release)
        if len(release) != made:
            raise _Failed(f"{len(release)} records, where its options make {made}")
        return f"{len(release)} records of shape {release.spec.shape}, {release.spec.num_classes} classes"

    def statement(self) -> str:
        privacy = self._json(bundle.PRIVACY)
        self.stated = epsilon_of(privacy)
        return in_words(privacy)

    def chain(self) -> str:
        if self._no_ledger():
            return "no ledger, and nothing is promised"
        return f"head {self._ledger().head}"

    def charges(self) -> str:
        from dpcond.privacy.events import Event, merge

        if self._no_ledger():
            return "no ledger, and nothing is promised"
        ledger = self._ledger()
        planned = {(e.noise_multiplier, e.sampling_rate): e.count for e in merge(ledger.plan.events())}
        spent = merge(ledger.events())
        for event in spent:
            allowed = planned.get((event.noise_multiplier, event.sampling_rate), 0)
            if event.count > allowed:
                raise _Failed(f"{event} was charged; the plan allows {allowed} of its kind")
        for stage in ledger.plan.stages:
            if ledger.charged(stage.name) > stage.count:
                raise _Failed(f"stage {stage.name}: {ledger.charged(stage.name)} charges, {stage.count} planned")
        stated = self._json(bundle.PRIVACY)["events"]
        if merge(Event.from_json(e) for e in stated) != spent:
            raise _Failed(f"the ledger holds {sum(e.count for e in spent)} charges, not those privacy.json lists")
        total, limit = sum(e.count for e in spent), sum(planned.values())
        return f"{total} of {limit} planned charges"

    def plan(self) -> str:
        from dpcond.privacy.plan import Plan
        from dpcond.release.lineage import MADE_FROM
        from dpcond.release.reading import open_release

        if self._no_ledger():
            return "no ledger, and nothing is promised"
        privacy, plan = self._json(bundle.PRIVACY), self._ledger().plan
        if not plan.hash == privacy["plan_hash"] == Plan.from_json(privacy["plan"]).hash:
            raise _Failed(f"the ledger opens with plan {plan.hash}, privacy.json states {privacy['plan_hash']}")
        if "spec" in plan.public and plan.public["spec"] != self._json(bundle.SPEC):
            raise _Failed("spec.json is not the data description of the plan")
        release = open_release(self.folder)
        if MADE_FROM not in privacy:  # else the plan is the one of its source, and so is what it says of the method
            _same_procedure(plan.public, release.method, release.options)
        if privacy["private"] and not plan.private:
            raise _Failed("privacy.json promises privacy, the plan has no noise")
        if privacy["private"] and ("NOT PRIVATE" in str(plan.public.get("entropy")) or not privacy["noise"]["private"]):
            raise _Failed("privacy.json promises privacy, the noise can be replayed")
        spec = DataSpec.from_json(self._json(bundle.SPEC))
        said = declared(spec)
        if privacy["private"]:
            said += conditions(spec, epsilon_of(privacy), plan.delta, str(plan.adjacency), privacy["quoted"])
        unsaid = [line for line in said if line not in privacy["assumptions"]]
        if unsaid:
            raise _Failed(f"privacy.json leaves out what it assumes: {unsaid[0]}")
        return f"sha256 {plan.hash}"

    def lineage(self) -> str:
        from dpcond.release.lineage import check
        from dpcond.release.reading import open_release

        try:
            return check(open_release(self.folder))
        except InputError as fault:
            raise _Failed(str(fault)) from None

    def recompute(self) -> str:
        from dpcond.privacy.certificate import certify, round_up
        from dpcond.privacy.events import merge

        if self.stated is None:
            raise _Failed("privacy.json states no epsilon to compare with")
        if self._no_ledger():
            self.epsilon = math.inf
            return "no ledger: epsilon is infinite, as stated"
        ledger, privacy = self._ledger(), self._json(bundle.PRIVACY)
        plan = ledger.plan
        if (privacy["delta"], privacy["adjacency"]) != (plan.delta, str(plan.adjacency)):
            raise _Failed(
                f"stated for δ = {privacy['delta']} and {privacy['adjacency']}, "
                f"planned for δ = {plan.delta} and {plan.adjacency}"
            )
        self.epsilon = certify(ledger.events(), plan.delta, plan.adjacency).epsilon
        if not self.epsilon <= self.stated:
            raise _Failed(f"the ledger costs epsilon {self.epsilon:g}, above the stated {self.stated:g}")
        if merge(ledger.events()) != merge(plan.events()):  # a ledger cut short must not lower what the method asked
            whole = certify(plan.events(), plan.delta, plan.adjacency).epsilon
            if not whole <= self.stated:
                raise _Failed(
                    f"the plan costs epsilon {whole:g}, above the stated {self.stated:g}: charges are missing"
                )
        if privacy["private"] and not self.stated <= plan.epsilon:
            raise _Failed(f"the stated epsilon {self.stated:g} is above the plan's budget {plan.epsilon:g}")
        if privacy["private"] and round_up(privacy["accountants"][privacy["quoted"]]) != self.stated:
            raise _Failed(f"the stated epsilon {self.stated:g} is not the one of the accountant it quotes")
        return f"epsilon {self.epsilon:g}, stated {self.stated:g}"

    def card(self) -> str:
        promise = in_words(self._json(bundle.PRIVACY))
        text = (self.folder / bundle.CARD).read_text(encoding="utf-8")
        if f"**{promise}**" not in text.splitlines():
            raise _Failed(f"card.md does not state {promise}")
        for step in self._json(bundle.PRIVACY).get("made_from", []):
            if step["source"] not in text:
                raise _Failed(f"card.md does not name the source {step['source']}")
        return promise


def _same_procedure(public: dict[str, Any], method: str, options: dict[str, Any]) -> None:
    """Raise unless a release names the method and the options of its plan (where the plan says them)."""
    if public.get("method", method) != method:
        raise _Failed(f"the release names method {method!r}, the plan {public['method']!r}")
    planned = {name: public[name] for name in ("ipc", "seed") if name in public} | public.get("options", options)
    differ = [name for name in sorted({*planned, *options}) if planned.get(name) != options.get(name)]
    if differ:
        raise _Failed(f"the release names another {differ[0]} than the plan")
