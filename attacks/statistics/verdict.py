"""The claim against the measurement, in one word and one sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite, isnan
from typing import Any, Literal

from attacks.errors import InputError
from attacks.statistics.epsilon import EpsilonBound

Outcome = Literal["holds", "violated", "cannot tell"]


@dataclass(frozen=True)
class Verdict:
    """`outcome` of a claim; `measured` is the lower bound, `ceiling` the most this audit could show."""

    outcome: Outcome
    claimed: float | None
    measured: float
    ceiling: float
    confidence: float
    delta: float
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def check_claimed(claimed: float | None) -> None:
    """A claim is None or a number of at least 0; raises InputError."""
    if claimed is not None and (isnan(claimed) or claimed < 0):
        raise InputError(f"claimed epsilon is {claimed!r}: give a number >= 0, or None")


def verdict(claimed: float | None, bound: EpsilonBound, ceiling: float, unfair: float = 0.0) -> Verdict:
    """Compare a claimed epsilon (None or inf: none is claimed) with a lower bound at the same delta.

    violated: the lower bound passes the claim. cannot tell: it does not, but no attack could have passed it
    with this many records or runs (ceiling <= claim). holds: the audit could have contradicted the claim and
    did not, which is evidence for this attack, not a proof. `unfair` is what the same bound shows of a release
    that depends on no member: above 0, the sides differ by more than fair coins, and nothing is proved. Raises
    InputError for a Bayesian bound or a negative claim.
    """
    if bound.kind == "bayesian":
        raise InputError("a credible interval carries no verdict: give a Clopper-Pearson or one-run bound")
    check_claimed(claimed)
    at = f"at {bound.confidence:.10g} confidence (delta {bound.delta:g}, {bound.method})"
    if bound.kind != "frequentist":
        at += ", if the mechanism is Gaussian"
    if claimed is None or not isfinite(claimed):
        outcome: Outcome = "cannot tell"
        sentence = f"No finite epsilon is claimed; the audit shows epsilon >= {bound.value:.3g} {at}."
        claimed = None
    elif bound.value > claimed and unfair > 0:
        outcome = "cannot tell"
        sentence = (
            f"Cannot tell: members and non-members differ without any release (the same bound shows epsilon >= "
            f"{unfair:.3g} where none went in), so that epsilon >= {bound.value:.3g} proves nothing; draw the sides by coins."
        )
    elif bound.value > claimed:
        outcome = "violated"
        sentence = f"Claimed epsilon {claimed:g} is violated: the audit shows epsilon >= {bound.value:.3g} {at}."
    elif ceiling <= claimed:
        outcome = "cannot tell"
        sentence = (
            f"Cannot tell at this power: even a perfect attack would show only epsilon >= {ceiling:.3g} "
            f"{at}, below the claimed {claimed:g}; measured {bound.value:.3g}."
        )
    else:
        outcome = "holds"
        sentence = (
            f"Claimed epsilon {claimed:g} holds against this attack: it shows epsilon >= {bound.value:.3g} "
            f"and could have shown up to {ceiling:.3g} {at}."
        )
    return Verdict(outcome, claimed, bound.value, ceiling, bound.confidence, bound.delta, sentence)
