"""The card: one page about a release that can be read without knowing the program."""

from __future__ import annotations

import math
from typing import Any

from dpcond.privacy.certificate import round_up
from dpcond.release.privacy_statement import epsilon_of, in_words
from dpcond.spec import DataSpec


def render(spec: DataSpec, privacy: dict[str, Any], method: str, options: dict[str, Any], size: int) -> bytes:
    """``card.md`` of a release of ``size`` synthetic records."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dpcond.release"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    epsilon = epsilon_of(privacy)
    finite = math.isfinite(epsilon)
    return (
        environment.get_template("card.md.j2")
        .render(
            spec=spec,
            privacy=privacy,
            method=method,
            options=options,
            size=size,
            promise=in_words(privacy),
            private=finite,
            factor=f"{round_up(math.exp(epsilon), 4):.4g}" if epsilon < 700 else "astronomical",
            confidence=sure(epsilon),
            pair=of_two(epsilon, privacy["delta"]),
            counts_public=spec.class_counts is not None,
            stages=privacy.get("plan", {}).get("stages", []),
            chosen=privacy.get("plan", {}).get("public", {}).get("chosen"),
            first=privacy.get("plan", {}).get("public", {}).get("method", "not stated"),
            made_from=privacy.get("made_from", []),
            accountants={k: v for k, v in privacy.get("accountants", {}).items() if v is not None},
        )
        .encode()
    )


def sure(epsilon: float) -> str:
    """How sure a wager at even odds may become, rounded up and never to certainty: ``73.11 %``."""
    doubt = 100 / (1 + math.exp(min(epsilon, 700.0)))  # 100 % less the confidence
    if doubt < 1e-6:
        return "all but 100 %"
    digits = max(1, 1 - math.floor(math.log10(doubt)))
    return f"{100 - math.floor(doubt * 10**digits) / 10**digits:.{digits}f} %"


def of_two(epsilon: float, delta: float) -> str:
    """The promise to two records of one person: ``ε = 2 (δ = 3.8e-05)`` , two steps of the definition: δ + e^ε δ."""
    addition = min(1.0, (1 + math.exp(min(epsilon, 700.0))) * delta)
    return f"ε = {round_up(2 * epsilon):g} (δ = {round_up(addition, 2):g})"
