"""The language of spending: a frozen description of noised answers, from which every ε is computed.

Libraries of accounting answer ε = 0 to a NaN, hang on an infinity and go negative on a negative count, so nothing
reaches them but an :class:`Event`, whose fields are checked here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from dpcond.errors import InputError

SMALLEST_NOISE, LARGEST_NOISE = 1e-3, 1e9
SMALLEST_RATE = 1e-9
LARGEST_COUNT = 10**9


def number(what: str, value: object) -> float:
    """``value`` as a finite float; raises InputError naming ``what`` (a bool or a string is not a number)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(f"{what} {value!r}: expected a finite number")
    return float(value)


def whole(what: str, value: object, largest: int = LARGEST_COUNT) -> int:
    """``value`` as an int in [1, largest]; raises InputError naming ``what``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 1 <= int(value) <= largest:
        raise InputError(f"{what} {value!r}: expected a whole number from 1 to {largest}")
    return int(value)


def rate(what: str, value: object) -> float:
    """``value`` as a Poisson sampling rate in [1e-9, 1]; raises InputError naming ``what``."""
    checked = number(what, value)
    if not SMALLEST_RATE <= checked <= 1.0:
        raise InputError(f"{what} {value!r}: expected a rate from {SMALLEST_RATE:g} to 1 (1 = every record)")
    return checked


@dataclass(frozen=True)
class Event:
    """``count`` Gaussian mechanisms, each over the whole data (rate 1) or over a fresh Poisson sample of it.

    Attributes:
        noise_multiplier: standard deviation of the noise over the L2 sensitivity *under the adjacency of the ledger*;
            0 = no noise, not private (ε = ∞).
        sampling_rate: probability that a record takes part, independently of all others.
        count: how many such mechanisms.

    Under replace-one every query of the wall has twice its add/remove sensitivity. A full-data event therefore is the
    same Gaussian mechanism under both relations; a Poisson event of rate q and multiplier z is, under replace-one,
    the pair (1−q)N(0, z²) + qN(±1/2, z²).
    """

    noise_multiplier: float
    sampling_rate: float = 1.0
    count: int = 1

    def __post_init__(self) -> None:
        noise = number("noise multiplier", self.noise_multiplier)
        if noise != 0.0 and not SMALLEST_NOISE <= noise <= LARGEST_NOISE:
            raise InputError(
                f"noise multiplier {self.noise_multiplier!r}: expected {SMALLEST_NOISE:g} to {LARGEST_NOISE:g}, "
                "or 0 for an answer that is not private"
            )
        object.__setattr__(self, "noise_multiplier", abs(noise))
        object.__setattr__(self, "sampling_rate", rate("sampling rate", self.sampling_rate))
        object.__setattr__(self, "count", whole("event count", self.count))

    @property
    def private(self) -> bool:
        """Whether any noise was added."""
        return self.noise_multiplier > 0.0

    def to_json(self) -> dict[str, Any]:
        """A plain dict of JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(value: object) -> Event:
        """The inverse of :meth:`to_json`; raises InputError on a missing or unknown field."""
        fields = {"noise_multiplier", "sampling_rate", "count"}
        if not isinstance(value, dict) or set(value) != fields:
            raise InputError(f"event {value!r}: expected exactly the fields {', '.join(sorted(fields))}")
        return Event(**value)


def merge(events: Iterable[Event]) -> tuple[Event, ...]:
    """The same spending with equal (noise multiplier, rate) grouped into one event, in order of appearance."""
    counts: dict[tuple[float, float], int] = {}
    for event in events:
        if not isinstance(event, Event):
            raise InputError(f"event {event!r}: expected an Event")
        key = (event.noise_multiplier, event.sampling_rate)
        counts[key] = counts.get(key, 0) + event.count
    return tuple(Event(z, q, count) for (z, q), count in counts.items())
