"""From a budget to noise: the noise multipliers with which a plan costs at most (ε, δ), and hardly less.

Every stage holds a share of μ², the squared parameter of Gaussian differential privacy, because that is what adds up
under composition. Full-data stages are exact; a Poisson stage turns its μ into noise by the central limit theorem
(Bu et al. 2020, arXiv:1911.11607: μ = q·√(T·(e^{1/z²} − 1))), which only fixes the *ratio* between stages: the one
remaining scale is searched against the pessimistic accountant, and the result certified again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dpcond.errors import InputError
from dpcond.privacy import accountants
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.certificate import certify, round_down
from dpcond.privacy.events import Event, number

if TYPE_CHECKING:
    from dpcond.privacy.plan import Stage

SMALLEST_EPSILON, LARGEST_EPSILON = 0.05, 100.0


def check_epsilon(epsilon: object) -> float:
    """``epsilon`` as a float in [0.05, 100]; raises InputError."""
    checked = number("epsilon", epsilon)
    if not SMALLEST_EPSILON <= checked <= LARGEST_EPSILON:
        raise InputError(f"epsilon {epsilon!r}: expected {SMALLEST_EPSILON:g} to {LARGEST_EPSILON:g}")
    return checked


def calibrate(stages: Sequence[Stage], epsilon: float, delta: float, adjacency: Adjacency | str) -> tuple[float, ...]:
    """Noise multipliers, one per stage, whose certified ε at ``delta`` is at most ``epsilon``.

    Raises:
        InputError: ε outside [0.05, 100], δ outside [1e-12, 1e-3], or no noise meets the budget.
    """
    epsilon, delta = check_epsilon(epsilon), accountants.check_delta(delta)
    adjacency = Adjacency.parse(adjacency)
    if not stages:
        raise InputError("plan without stages: there is nothing to calibrate")
    target = round_down(epsilon)  # the certificate rounds up to the same grid
    start = math.log(accountants.gaussian_mu(target * (1 - 1e-9), delta))
    scale = start
    if any(stage.sampling_rate < 1.0 for stage in stages):
        steps = sum(stage.count for stage in stages if stage.sampling_rate < 1.0)
        interval = accountants.pld_interval(target, steps, rough=True)

        def excess(log_mu: float) -> float:
            spent = accountants.pld(_events(stages, log_mu, adjacency), delta, adjacency, interval)
            return math.log(max(spent, 1e-9) / target)

        scale = _largest_feasible(excess, start)
    for _ in range(40):
        events = _events(stages, scale, adjacency)
        if certify(events, delta, adjacency).epsilon <= epsilon:
            return tuple(event.noise_multiplier for event in events)
        scale -= 1e-4
    raise InputError(
        f"epsilon {epsilon:g}: no noise meets this budget for this plan; fewer queries or a larger epsilon"
    )


def _events(stages: Sequence[Stage], log_mu: float, adjacency: Adjacency) -> list[Event]:
    """The plan's events at total μ = e^``log_mu``, each stage with its share of μ²."""
    return [
        Event(_noise(stage, log_mu + 0.5 * math.log(stage.share), adjacency), stage.sampling_rate, stage.count)
        for stage in stages
    ]


def _noise(stage: Stage, log_mu: float, adjacency: Adjacency) -> float:
    """The noise multiplier of ``stage`` at μ = e^``log_mu`` (logarithms: at ε = 100, q = 1e-3 its μ is about e^50)."""
    if stage.sampling_rate == 1.0:
        return math.sqrt(stage.count) * math.exp(-log_mu)
    # replace-one is two steps of add/remove, each with half the μ and twice the noise multiplier
    halves = 2.0 if adjacency is Adjacency.REPLACE_ONE else 1.0
    power = 2 * (log_mu - math.log(halves * stage.sampling_rate)) - math.log(stage.count)
    log_term = power if power > 500 else math.log1p(math.exp(power))
    return 1 / (halves * math.sqrt(log_term))


def _largest_feasible(excess: Callable[[float], float], start: float) -> float:
    """The largest scale, to 1e-4, at which ``excess`` (increasing) is not positive, searched from ``start``."""
    from scipy.optimize import brentq

    known = {start: excess(start)}
    direction, step, here = (1.0 if known[start] <= 0 else -1.0), 0.1, start
    while known[here] * direction <= 0:
        there = here
        here, step = here + direction * step, step * 2
        if abs(here - start) > 700:
            return there
        known[here] = excess(here)
    low, high = sorted((there, here))
    root = float(brentq(lambda x: known[x] if x in known else excess(x), low, high, xtol=1e-4))
    return root - 1e-4
