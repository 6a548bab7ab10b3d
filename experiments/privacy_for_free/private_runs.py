"""Shadow runs with a guarantee: releases made by dpcond itself, wall included, and DP-SGD models, on the halves of a cell's pool."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from attacks import Records
from attacks.release_set import ReleaseSet
from attacks.shadows.engine import run_shadows
from attacks.students.noisy_linear import NoisyLinear
from dpcond.auditing import Tally
from dpcond.config import Config, checked, load_config
from dpcond.data import Records as Private
from dpcond.decoding import denormalize
from dpcond.methods import registry
from dpcond.methods.base import Run
from dpcond.pipeline import plan
from dpcond.privacy.certificate import certify
from dpcond.privacy.curator import Curator
from dpcond.privacy.noise import GaussianNoise
from dpcond.privacy.plan import Stage, make_plan
from dpcond.spec import DataSpec
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.profile import Strict
from experiments.privacy_for_free.shadows import CellResult, Setup, save_cell, setup, student_scores

DELTA = 1e-5
Fault = Literal["none", "noise_off"]


class PlaneSizes(Strict):
    """parts.E9: what the guarantees cost and how the runs are made."""

    epsilons: tuple[float, ...] = (0.5, 1.0, 4.0, 10.0)
    method: str = "merf"
    ipc: int = Field(10, ge=1)
    options: dict[str, Any] = Field(default_factory=lambda: {"frequencies": 500, "steps": 60, "lr": 0.15})
    steps: int = Field(40, ge=1)
    rates: tuple[float, ...] = (2.0, 2.0, 8.0, 8.0)  # of gradient descent, one per epsilon: noise wants small ones


def plane_sizes(frame: Frame) -> PlaneSizes:
    """The profile's parts.E9."""
    found: PlaneSizes = checked(PlaneSizes, frame.profile.part("E9"), "parts.E9")
    return found


def public_side(frame: Frame) -> tuple[Cell, Setup]:
    """The focus pool and its coins: the same as those of every cell of the focus."""
    cell = Cell(frame.profile.focus, "dm", frame.profile.few)
    return cell, setup(cell, frame.profile, frame.pool(cell.data))


def pool_spec(frame: Frame, records: int) -> DataSpec:
    """Public description of the focus pool's images, as dpcond wants it."""
    pool = frame.pool(frame.profile.focus)
    classes = tuple(str(label) for label in np.unique(pool.candidates.y))
    return DataSpec(pool.name, "image", pool.candidates.x.shape[1:], classes, records)


def private_releases(frame: Frame, epsilon: float, fault: Fault = "none") -> CellResult:
    """K sets by dpcond at this ε, one per half of the focus pool: every one through the wall with fresh noise.

    `fault` plants a fault in the wall: the releases then break the claim.
    """
    sizes, (cell, public) = plane_sizes(frame), public_side(frame)
    half = len(public.pool) // 2
    given = {"method": sizes.method, "ipc": sizes.ipc, "options": sizes.options, "privacy.epsilon": epsilon}
    procedure = WallRun(pool_spec(frame, half), load_config(given=given | {"privacy.delta": DELTA}))
    name = f"private-{sizes.method}-eps{epsilon:g}-{fault}-{_digest(frame, given)}"
    path, begun = frame.out / "cells" / f"{name}.npz", time.monotonic()
    if path.exists():
        with np.load(path) as stored:
            releases = [ReleaseSet(x, y) for x, y in zip(stored["x"], stored["y"], strict=True)]
            seconds = {part: float(stored[f"seconds_{part}"]) for part in ("condense", "students")}
            return _result(cell, public, releases, stored["phi"].astype(np.float64), stored["accuracy"], seconds)
    with _planted(fault):
        releases = run_shadows(
            procedure,
            public.pool,
            public.member,
            public.seeds,
            out=frame.out / "cells" / name,
            progress=lambda done, of, left: (
                frame.say(f"{name}: {done} of {of}, {left:.0f} s to go") if done % 16 == 0 else None
            ),
        )
    condensed = time.monotonic()
    phi, accuracy = student_scores(releases, public.pool, frame.pool(cell.data).test, frame.profile)
    seconds = {"condense": condensed - begun, "students": time.monotonic() - condensed}
    result = _result(cell, public, releases, phi, accuracy, seconds)
    save_cell(result, path)
    return result


class WallRun:
    """A dpcond method as a procedure of attacks: planned and certified once, then one fresh curator and fresh noise per run.

    The public seed (of frequencies, networks and starting noise) is the same in every run: an attacker reads it off the release.
    """

    def __init__(self, spec: DataSpec, config: Config) -> None:
        self.spec, self.config, self.plan = spec, config, plan(spec, config)

    def __repr__(self) -> str:
        """The plan holds every setting."""
        return f"WallRun({self.plan.hash})"

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet:
        """The release of one run; `seed` is not used, since the wall's noise repeats with no seed."""
        pixels = torch.from_numpy(np.ascontiguousarray(x)).mul(255).round().to(torch.uint8)
        members = Private(pixels, torch.from_numpy(y), self.spec)
        curator = Curator(self.spec, self.plan, members, Tally(), noise=GaussianNoise())  # type: ignore[arg-type]
        method = registry.get(self.config.method, self.spec)
        options = method.options(**self.plan.public["options"])
        synthetic = method.condense(curator, options, Run(self.config.ipc, self.config.seed))
        with torch.no_grad():
            images, labels = synthetic.clamp_().decode()
        return ReleaseSet(denormalize(images.detach().numpy(), self.spec), labels.numpy())


@dataclass(frozen=True, eq=False)
class Models:
    """K models trained on the members: scores [K, n], accuracy [K], the certified ε (∞: no noise) and seconds in all."""

    phi: np.ndarray
    accuracy: np.ndarray
    epsilon: float
    noise_multiplier: float
    seconds: float


def noisy_models(frame: Frame, epsilon: float | None, rate: float) -> Models:
    """K linear classifiers by full-batch DP-SGD on the halves of the focus pool; `None`: the same without clip and noise."""
    sizes, (cell, public) = plane_sizes(frame), public_side(frame)
    test, begun = frame.pool(cell.data).test, time.monotonic()
    features, classes = unit_pixels(public.pool), int(public.pool.y.max()) + 1
    multiplier, certified = 0.0, float("inf")
    if epsilon is not None:
        multiplier, certified = dpsgd_noise(sizes.steps, features.shape[1] * classes, epsilon)
    method = NoisyLinear(sizes.steps, rate, 1e6 if epsilon is None else 1.0, multiplier)
    y, half = torch.from_numpy(public.pool.y), len(public.pool) // 2
    heads = method.fit(features, y, classes, public.member, public.seeds, half)
    accuracy = heads.accuracy(unit_pixels(test), torch.from_numpy(test.y))
    seconds = time.monotonic() - begun
    return Models(heads.log_odds(features, y), accuracy, certified, multiplier, seconds)


def dpsgd_noise(steps: int, parameters: int, epsilon: float) -> tuple[float, float]:
    """Noise multiplier of full-batch DP-SGD, calibrated by the wall's planner, and the ε that is certified for it."""
    plan = make_plan([Stage("gradients", steps, parameters, 1.0)], epsilon, DELTA, "add_remove", {})
    return plan.noise_multipliers[0], certify(plan.events(), DELTA, plan.adjacency).epsilon


def unit_pixels(records: Records) -> Tensor:
    """Public features [N, d + 1]: centred pixels at unit norm and a constant."""
    rows = F.normalize(torch.from_numpy(records.x).flatten(1).float() - 0.3, dim=1)
    return F.normalize(torch.cat([rows, torch.full((len(rows), 1), 0.5)], dim=1), dim=1)


def _planted(fault: Fault) -> AbstractContextManager[None]:
    if fault == "none":
        return nullcontext()
    from experiments.wall_audit.faults import FAULTS

    return FAULTS[fault]()


def _digest(frame: Frame, given: dict[str, Any]) -> str:
    """Hash of what the runs depend on besides the name."""
    profile = frame.profile
    settings = [
        given,
        profile.data[profile.focus].model_dump(),
        profile.students.model_dump(),
        profile.shadows,
        profile.seed,
    ]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _result(
    cell: Cell,
    public: Setup,
    releases: list[ReleaseSet],
    phi: np.ndarray,
    accuracy: np.ndarray,
    seconds: dict[str, float],
) -> CellResult:
    nobody = np.zeros_like(public.member)
    named = replace(cell, ipc=len(releases[0]) // len(np.unique(public.pool.y)), init="noise")
    return CellResult(named, public.pool, public.families, public.member, nobody, releases, phi, accuracy, seconds)
