"""The ε that is promised for a list of events: every accountant is asked, and those that can must agree.

Rule: the quoted ε is the exact one where there is one, else the smaller of the upper bounds ``pld`` and ``rdp``, and it
is rounded up. PRV is a witness: it follows one direction of add/remove only, so its bracket is stated and compared, never quoted. Accountants that
contradict each other are a refusal, because then at least one of them is wrong and nobody knows which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from importlib.metadata import version
from typing import Any

from dpcond.errors import LedgerError
from dpcond.privacy import accountants
from dpcond.privacy.accountants import Bracket
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.events import Event, merge

LIBRARIES = ("dp-accounting", "opacus", "numpy", "scipy")


class AccountantsDisagree(LedgerError):
    """Two accountants contradict each other about the same events: no ε can be promised."""


def round_up(epsilon: float, digits: int = 4) -> float:
    """The smallest number of ``digits`` significant decimals that is not below ``epsilon``."""
    return _round(epsilon, digits, ROUND_CEILING)


def round_down(epsilon: float, digits: int = 4) -> float:
    """The largest number of ``digits`` significant decimals that is not above ``epsilon``."""
    return _round(epsilon, digits, ROUND_FLOOR)


def _round(epsilon: float, digits: int, how: str) -> float:
    if epsilon == 0.0 or not math.isfinite(epsilon):
        return epsilon
    exact = Decimal(repr(float(epsilon)))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), rounding=how))


@dataclass(frozen=True)
class Certificate:
    """What a list of events costs.

    Attributes:
        epsilon: the promise: tightest valid upper bound, rounded up to 4 significant decimals (∞ = not private).
        delta, adjacency: what the ε is stated for.
        accountants: ε by every accountant (``prv``: its upper bound); None where it does not apply.
        quoted: the accountant whose bound is ``epsilon``; ``"none"`` when not private.
        bracket: PRV's lower bound, estimate and upper bound, where they speak of this adjacency.
        versions: the libraries that computed it.
    """

    epsilon: float
    delta: float
    adjacency: Adjacency
    accountants: dict[str, float | None]
    quoted: str
    bracket: Bracket | None
    versions: dict[str, str]

    @property
    def private(self) -> bool:
        """Whether a finite ε is promised."""
        return math.isfinite(self.epsilon)

    def to_json(self) -> dict[str, Any]:
        """A plain dict of strict JSON values; an infinite ε is null beside ``"private": false``."""
        return {
            "private": self.private,
            "epsilon": _finite(self.epsilon),
            "delta": self.delta,
            "adjacency": str(self.adjacency),
            "accountants": {name: _finite(e) for name, e in self.accountants.items()},
            "quoted": self.quoted,
            "bracket": None if self.bracket is None else [_finite(e) for e in self.bracket],
            "versions": dict(self.versions),
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def certify(events: Iterable[Event], delta: float, adjacency: Adjacency | str) -> Certificate:
    """The certificate of ``events`` at ``delta`` (1e-12 to 1e-3).

    Raises:
        InputError: a delta, an adjacency or an event outside its range.
        AccountantsDisagree: no ε can be promised.
    """
    events, delta, adjacency = merge(events), accountants.check_delta(delta), Adjacency.parse(adjacency)
    versions = {name: version(name) for name in LIBRARIES}
    if not all(event.private for event in events):
        nothing: dict[str, float | None] = dict.fromkeys(("exact", "pld", "rdp", "prv"))
        return Certificate(math.inf, delta, adjacency, nothing, "none", None, versions)
    bracket = accountants.prv(events, delta, adjacency)
    bounds = {
        "exact": accountants.exact(events, delta, adjacency),
        "pld": accountants.pld(events, delta, adjacency),
        "rdp": accountants.rdp(events, delta, adjacency),
    }
    stated = {**bounds, "prv": None if bracket is None else bracket.upper}
    _refuse_contradiction(stated, bracket)
    known = {name: e for name, e in bounds.items() if e is not None}
    quoted = "exact" if "exact" in known else min(known, key=lambda name: known[name])
    if bracket is not None and math.isnan(bracket.estimate):
        bracket = None
    return Certificate(round_up(known[quoted]), delta, adjacency, stated, quoted, bracket, versions)


def _refuse_contradiction(stated: dict[str, float | None], bracket: Bracket | None) -> None:
    """Raise AccountantsDisagree unless lower bound ≤ tight bound ≤ loose bound, and the tight ones coincide."""
    exact, pld, rdp = stated["exact"], stated["pld"], stated["rdp"]
    assert pld is not None
    assert rdp is not None
    tight = pld if exact is None else exact
    slack = 1e-3 + 5e-3 * tight  # of the grids of PLD and PRV: see the sweep in tests/privacy/test_certificate.py
    claims = [
        ("pld is not a number of at least 0", not pld >= 0.0),
        ("rdp is not a number of at least 0", not rdp >= 0.0),
        ("exact is not a number of at least 0", exact is not None and not exact >= 0.0),
        ("exact and pld differ", exact is not None and not abs(exact - pld) <= 1e-4 + 1e-3 * exact),
        ("pld is above rdp", pld > rdp + slack),
        ("exact is above rdp", exact is not None and exact > rdp + 1e-9),
        ("the tight bound is below the lower bound of prv", bracket is not None and tight < bracket.lower - slack),
        ("the tight bound is above the upper bound of prv", bracket is not None and tight > bracket.upper + slack),
    ]
    for claim, broken in claims:
        if broken:
            values = ", ".join(f"{name} {e:.6g}" for name, e in stated.items() if e is not None)
            lower = "" if bracket is None else f", prv lower {bracket.lower:.6g}"
            raise AccountantsDisagree(
                f"accountants contradict each other ({claim}: {values}{lower}): no epsilon can be promised; "
                "report these events, or change the plan"
            )
