"""What ``privacy.json`` says: the promise, how it was computed, and what it takes for granted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from dpcond.errors import InputError
from dpcond.privacy.certificate import Certificate, round_up
from dpcond.privacy.events import Event, merge
from dpcond.privacy.plan import Plan
from dpcond.spec import DataSpec

INFINITE = "inf"  # how JSON, which has no infinity, says that nothing is promised
FIELDS = ("private", "epsilon", "delta", "adjacency", "noise", "assumptions")


def statement(
    plan: Plan,
    events: Iterable[Event],
    certificate: Certificate,
    spec: DataSpec,
    *,
    noise: str,
    noise_private: bool = True,
    assumptions: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of ``privacy.json`` for a run of ``plan`` whose ledger holds ``events``.

    Args:
        plan: the plan that was run.
        events: what the ledger says was spent.
        certificate: the certificate of those events.
        spec: the public description of the data.
        noise: the noise source, in words.
        noise_private: False for a seeded source; the release is then stamped not private.
        assumptions: further lines beside those that follow from ``spec``.
    """
    private = certificate.private and plan.private and noise_private
    found = certificate.to_json()
    if not private:  # no finite ε anywhere in a release that promises nothing
        found |= {"accountants": dict.fromkeys(found["accountants"]), "quoted": "none", "bracket": None}
    return {
        "private": private,
        "epsilon": certificate.epsilon if private else INFINITE,
        "delta": certificate.delta,
        "adjacency": str(certificate.adjacency),
        "accountants": found["accountants"],
        "quoted": found["quoted"],
        "bracket": found["bracket"],
        "versions": found["versions"],
        "events": [event.to_json() for event in merge(events)],
        "noise": {"source": noise, "private": noise_private},
        "plan": plan.to_json(),
        "plan_hash": plan.hash,
        "assumptions": [
            *declared(spec),
            *(conditions(spec, certificate.epsilon, plan.delta, plan.adjacency, found["quoted"]) if private else []),
            *assumptions,
        ],
    }


def not_private(spec: DataSpec, why: str) -> dict[str, Any]:
    """The content of ``privacy.json`` for records that no mechanism protects, such as a real subset."""
    return {
        "private": False,
        "epsilon": INFINITE,
        "delta": 0.0,
        "adjacency": "add_remove",
        "noise": {"source": "none", "private": False},
        "assumptions": [*declared(spec), why],
    }


def declared(spec: DataSpec) -> list[str]:
    """What the promise takes to be public already, one sentence each."""
    counts = (
        "The number of records of each class is private."
        if spec.class_counts is None
        else "The exact number of records of each class was declared public by the data holder: "
        + ", ".join(f"{name} {count:,}" for name, count in zip(spec.classes, spec.class_counts, strict=True))
        + "."
    )
    more = " and the table's schema (columns, categories)" if spec.kind == "table" else ""
    return [
        f"The nominal number of records, {spec.records:,}, was declared public; it was not counted.",
        counts,
        f"The shape of a record, the classes and the bounds of its values{more} were declared public.",
        "Normalisation constants are fixed and were not computed from the records.",
    ]


def conditions(spec: DataSpec, epsilon: float, delta: float, adjacency: str, quoted: str) -> list[str]:
    """What the number ε means only together with, one sentence each; none for a plain promise."""
    lines = []
    if spec.class_counts is not None and adjacency == "add_remove":
        addition = round_up(min(1.0, (1 + math.exp(min(epsilon, 700.0))) * delta), 2)
        lines.append(
            "Exact class counts tell by themselves of a record that changes them. The promise is about all else: with the "
            "counts held fixed, it compares what a record contributes with nothing. Exchanging a record for another of its "
            f"class is adding and removing: a factor of at most e^{round_up(2 * epsilon):g} and an addition of at most "
            f"{addition:g} (replace_one promises about exchanges)."
        )
    if spec.class_counts is not None and adjacency == "replace_one":
        lines.append(
            "Exact class counts tell by themselves of a record whose class is exchanged. The promise is about all else: with "
            "the counts held fixed, it compares what a record contributes with what another would."
        )
    if adjacency == "replace_one" and quoted == "pld":
        lines.append(
            "For sampled answers under replace_one the quoted epsilon takes the pair of opposite contributions to be the "
            "worst one, as privacy loss distributions of dp-accounting do; the epsilon of rdp beside it does not."
        )
    return lines


def epsilon_of(privacy: dict[str, Any]) -> float:
    """The ε that a ``privacy.json`` states (∞ when not private).

    Raises:
        InputError: it is incomplete, or claims privacy without a finite ε, or the reverse.
    """
    missing = [name for name in FIELDS if name not in privacy]
    if missing:
        raise InputError(f"privacy statement: {missing[0]} is missing; build it with dpcond.release.statement")
    stated, private = privacy["epsilon"], privacy["private"]
    if private is False and stated == INFINITE:
        return math.inf
    number = isinstance(stated, int | float) and not isinstance(stated, bool)
    if private is not True or not number or not math.isfinite(stated) or stated < 0:
        raise InputError(
            f"privacy statement: epsilon {stated!r} with private {private!r}; "
            'expected a finite epsilon and true, or "inf" and false'
        )
    return float(stated)


def in_words(privacy: dict[str, Any]) -> str:
    """``ε = 1 (δ = 1e-05)``, or that nothing is promised."""
    epsilon = epsilon_of(privacy)
    return f"ε = {epsilon:g} (δ = {privacy['delta']:g})" if math.isfinite(epsilon) else "NOT PRIVATE (ε = ∞)"
