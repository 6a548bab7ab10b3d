"""Plan, then spend: everything a run will ask of the private records, fixed and priced before one of them is read."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dpcond.errors import InputError
from dpcond.privacy import accountants
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.calibration import calibrate, check_epsilon
from dpcond.privacy.certificate import round_up
from dpcond.privacy.events import Event, number, rate, whole


def canonical(value: Any) -> str:
    """``value`` as the one JSON text that is hashed: sorted keys, no spaces, ASCII, no NaN or infinity."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"not a JSON value: {error}") from None


@dataclass(frozen=True)
class Stage:
    """A group of like queries.

    Attributes:
        name: letters, digits, ``-``, ``_`` or ``.``; unique in the plan.
        count: number of answers.
        dimension: numbers in one answer.
        share: part of the budget, as a share of μ² (Gaussian differential privacy), in (0, 1].
        sampling_rate: Poisson rate over the whole data; 1 = every record.
        purpose: one line for people.
        keep: whether answers are stored, so that a resumed run need not lose them.
    """

    name: str
    count: int
    dimension: int
    share: float
    sampling_rate: float = 1.0
    purpose: str = ""
    keep: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.name):
            raise InputError(f"stage name {self.name!r}: expected 1 to 64 letters, digits, '-', '_' or '.'")
        where = f"stage {self.name!r}:"
        object.__setattr__(self, "count", whole(f"{where} count", self.count))
        object.__setattr__(self, "dimension", whole(f"{where} dimension", self.dimension, 10**12))
        object.__setattr__(self, "sampling_rate", rate(f"{where} sampling rate", self.sampling_rate))
        share = number(f"{where} share", self.share)
        if not 1e-9 <= share <= 1 + 1e-9:
            raise InputError(f"{where} share {self.share!r}: expected a part of the budget, above 0 and at most 1")
        object.__setattr__(self, "share", share)
        if not isinstance(self.purpose, str) or not isinstance(self.keep, bool):
            raise InputError(f"{where} purpose must be a text and keep true or false")


@dataclass(frozen=True)
class Plan:
    """Stages, their noise and the budget they were calibrated for.

    Attributes:
        stages: what will be asked.
        noise_multipliers: noise standard deviation over L2 sensitivity under ``adjacency``, one per stage.
        epsilon: the budget (∞ when not private; null in JSON).
        delta, adjacency: what ε is stated for.
        private: False = no noise, no clip.
        public: JSON values that identify the run (data description, method, options); copied.
    """

    stages: tuple[Stage, ...]
    noise_multipliers: tuple[float, ...]
    epsilon: float
    delta: float
    adjacency: Adjacency
    private: bool
    public: dict[str, Any]

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "stages", tuple(self.stages))
        set_(self, "noise_multipliers", tuple(self.noise_multipliers))
        set_(self, "delta", accountants.check_delta(self.delta))
        set_(self, "adjacency", Adjacency.parse(self.adjacency))
        _check_stages(self.stages)
        if len(self.noise_multipliers) != len(self.stages):
            raise InputError(f"plan: {len(self.noise_multipliers)} noise multipliers for {len(self.stages)} stages")
        if not isinstance(self.private, bool):
            raise InputError(f"plan: private {self.private!r}: expected true or false")
        events = [Event(z, s.sampling_rate, s.count) for z, s in zip(self.noise_multipliers, self.stages, strict=True)]
        set_(self, "noise_multipliers", tuple(event.noise_multiplier for event in events))
        if any(event.private is not self.private for event in events):
            raise InputError("plan: a private plan has noise in every stage, one that is not private in none")
        if self.private:
            set_(self, "epsilon", check_epsilon(self.epsilon))
        elif self.epsilon != math.inf:
            raise InputError(
                f"plan: epsilon {self.epsilon!r} without noise: a plan that is not private has epsilon inf"
            )
        if not isinstance(self.public, dict):
            raise InputError("plan: public must be a table of JSON values")
        set_(self, "public", json.loads(canonical(self.public)))

    def events(self) -> tuple[Event, ...]:
        """All that the plan may spend, one event per stage."""
        pairs = zip(self.noise_multipliers, self.stages, strict=True)
        return tuple(Event(z, stage.sampling_rate, stage.count) for z, stage in pairs)

    def stage(self, name: str) -> Stage:
        """The stage called ``name``; raises InputError."""
        return self.stages[self._index(name)]

    def event(self, name: str) -> Event:
        """What one answer of stage ``name`` costs; raises InputError when the plan has no such stage."""
        index = self._index(name)
        return Event(self.noise_multipliers[index], self.stages[index].sampling_rate)

    def mean_noise(self, name: str, records: float) -> float:
        """Planned noise on one number of a mean over ``records``, in clipping norms: its standard deviation.

        ``records`` are those that the mean is of, known publicly; an answer of a sampled stage expects fewer.
        """
        doubled = 2 if self.adjacency is Adjacency.REPLACE_ONE else 1
        return doubled * self.event(name).noise_multiplier / (self.stage(name).sampling_rate * records)

    def _index(self, name: str) -> int:
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise InputError(f"stage {name!r} is not in the plan; its stages: {', '.join(names)}")
        return names.index(name)

    def to_json(self) -> dict[str, Any]:
        """A plain dict of strict JSON values (an infinite ε is null)."""
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "noise_multipliers": list(self.noise_multipliers),
            "epsilon": self.epsilon if self.private else None,
            "delta": self.delta,
            "adjacency": str(self.adjacency),
            "private": self.private,
            "public": json.loads(canonical(self.public)),
        }

    @staticmethod
    def from_json(value: object) -> Plan:
        """The inverse of :meth:`to_json`; raises InputError on a missing or unknown field."""
        if not isinstance(value, dict):
            raise InputError(f"plan {value!r}: expected a table")
        try:
            fields = {**value, "stages": tuple(Stage(**stage) for stage in value["stages"])}
            fields["epsilon"] = math.inf if value["epsilon"] is None else value["epsilon"]
            return Plan(**fields)
        except (KeyError, TypeError) as error:
            raise InputError(f"plan: missing or unknown field ({error})") from None

    @property
    def hash(self) -> str:
        """sha256 of the canonical JSON, hex."""
        return hashlib.sha256(canonical(self.to_json()).encode()).hexdigest()

    def describe(self) -> list[dict[str, Any]]:
        """One row per stage for a table: stage, purpose, events, rate, dimension, noise multiplier, share, own ε.

        ``epsilon_alone`` is an upper bound on what the stage would cost if it were the only one.
        """
        return [
            {
                "stage": stage.name,
                "purpose": stage.purpose,
                "events": stage.count,
                "sampling_rate": stage.sampling_rate,
                "dimension": stage.dimension,
                "noise_multiplier": event.noise_multiplier,
                "share": stage.share,
                "epsilon_alone": _alone(event, self.delta, self.adjacency),
            }
            for stage, event in zip(self.stages, self.events(), strict=True)
        ]


def _alone(event: Event, delta: float, adjacency: Adjacency) -> float:
    known = accountants.exact([event], delta, adjacency)
    return round_up(accountants.pld([event], delta, adjacency) if known is None else known)


def _check_stages(stages: Sequence[Stage]) -> None:
    if not stages or not all(isinstance(stage, Stage) for stage in stages):
        raise InputError("plan: expected at least one stage")
    names = [stage.name for stage in stages]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"plan: stage name {twice[0]!r} is used twice; names must differ")
    total = math.fsum(stage.share for stage in stages)
    if abs(total - 1.0) > 1e-9:
        raise InputError(f"plan: the shares of its stages sum to {total!r}; they must sum to 1")


def make_plan(
    stages: Sequence[Stage],
    epsilon: float,
    delta: float,
    adjacency: Adjacency | str,
    public: dict[str, Any],
    *,
    private: bool = True,
) -> Plan:
    """A plan calibrated to (``epsilon``, ``delta``); with ``private=False`` the same plan without noise and ε = ∞.

    Raises:
        InputError: a budget outside its range, or stages that do not make a plan.
    """
    _check_stages(stages)
    relation = Adjacency.parse(adjacency)
    if not private:
        return Plan(tuple(stages), (0.0,) * len(stages), math.inf, delta, relation, False, public)
    noise = calibrate(stages, epsilon, delta, relation)
    return Plan(tuple(stages), noise, epsilon, delta, relation, True, public)
