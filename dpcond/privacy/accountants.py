"""Four ways from events to ε(δ), by two independent libraries; each says what it supports.

============ =========================================== ====================================================
name         source                                      answer
============ =========================================== ====================================================
``exact``    analytic Gaussian (dp-accounting)           ε itself; only when every event is over the full data
``pld``      privacy loss distribution (dp-accounting)   upper bound, tight; both directions of add/remove
``rdp``      Rényi orders (Opacus)                       upper bound, loose; cheap, so it tracks a running job
``prv``      privacy random variables (Opacus)           a bracket: a witness, never quoted (one direction only)
============ =========================================== ====================================================

Sources: Balle & Wang 2018 (arXiv:1805.06530) Eq. 6; Doroshenko et al. 2022 (arXiv:2207.04380) for the PLD;
Mironov et al. 2019 (arXiv:1908.10530) and Balle et al. 2020 (arXiv:1905.09982) Theorem 21 for RDP; Gopi et al. 2021
(arXiv:2106.02848) for PRV. dp-accounting's own RDP is never used: under replace-one it forgets the factor two of the
sensitivity (google/differential-privacy #378). Opacus' "gdp" is never used: it is not an upper bound.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from dpcond.errors import InputError
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.events import Event, merge, number

SMALLEST_DELTA, LARGEST_DELTA = 1e-12, 1e-3

# Opacus' own orders end at 63, which loses every ε below ln(1/δ)/62; its binomials overflow near order 1024.
_ORDERS = (
    *(1.005, 1.01, 1.02, 1.05),
    *(1 + i / 10 for i in range(1, 100)),
    *range(11, 64),
    *(64, 72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1000),
)
_FULL_DATA_ORDERS = (*_ORDERS, *(10 ** (3 + i / 20) for i in range(1, 81)))  # closed form: no overflow

_PRV_POINTS, _PRV_SEGMENTS = 2**21, 6


class Bracket(NamedTuple):
    """Lower bound, estimate and upper bound of ε."""

    lower: float
    estimate: float
    upper: float


def check_delta(delta: object) -> float:
    """``delta`` as a float in [1e-12, 1e-3]; raises InputError."""
    checked = number("delta", delta)
    if not SMALLEST_DELTA <= checked <= LARGEST_DELTA:
        raise InputError(f"delta {delta!r}: expected {SMALLEST_DELTA:g} to {LARGEST_DELTA:g}")
    return checked


class _Spending(NamedTuple):
    """Events as the accountants need them: one Gaussian for all full-data answers, and the Poisson-sampled rest.

    ``mu`` is √Σ count/z² (a composition of Gaussians is a Gaussian, Dong et al. 2022, Corollary 3.3).
    """

    private: bool
    mu: float
    sampled: tuple[Event, ...]


def _spending(events: Iterable[Event]) -> _Spending:
    merged = merge(events)
    if not all(e.private for e in merged):
        return _Spending(False, math.inf, ())
    mu = math.sqrt(math.fsum(e.count / e.noise_multiplier**2 for e in merged if e.sampling_rate == 1.0))
    return _Spending(True, mu, tuple(e for e in merged if e.sampling_rate < 1.0))


def _per_record(spent: _Spending) -> _Spending:
    """The same answers as add/remove sees them: twice the noise per sensitivity of what replace-one sees."""
    sampled = (Event(2 * e.noise_multiplier, e.sampling_rate, e.count) for e in spent.sampled)
    return spent._replace(mu=spent.mu / 2, sampled=tuple(sampled))


def exact(events: Iterable[Event], delta: float, adjacency: Adjacency) -> float | None:
    """ε of full-data Gaussian answers, the same under both relations; None when any answer is sampled."""
    Adjacency.parse(adjacency)
    delta, spent = check_delta(delta), _spending(events)
    if not spent.private:
        return math.inf
    if spent.sampled:
        return None
    return gaussian_epsilon(spent.mu, delta)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """ε of one Gaussian mechanism with sensitivity over noise ``mu``."""
    from dp_accounting import get_epsilon_gaussian

    if mu == 0.0:
        return 0.0
    # the library's root is good to 1e-12 + 1e-15 relative: step over it
    return float(get_epsilon_gaussian(1 / mu, delta)) * (1 + 1e-12) + 1e-11


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The largest sensitivity over noise whose Gaussian mechanism is (``epsilon``, ``delta``)-private."""
    from dp_accounting import get_sigma_gaussian

    return 1 / float(get_sigma_gaussian(epsilon, delta))


def rdp(events: Iterable[Event], delta: float, adjacency: Adjacency) -> float:
    """Upper bound on ε by Opacus' Rényi accountant; milliseconds, so it tracks what a run has spent so far."""
    adjacency, delta, spent = Adjacency.parse(adjacency), check_delta(delta), _spending(events)
    if not spent.private:
        return math.inf
    if adjacency is Adjacency.REPLACE_ONE and spent.sampled:
        half = _per_record(spent)
        return 2 * _group(lambda d: _rdp_epsilon(half, d), delta)
    return _rdp_epsilon(spent, delta)


def _group(epsilon: Callable[[float], float], delta: float) -> float:
    """The add/remove ε' with (1 + e^ε')·δ' = δ: replacing a record is one removal and one addition, hence (2ε', δ)."""
    from scipy.optimize import brentq

    def share(x: float) -> float:
        return delta / (1 + math.exp(min(x, 600.0)))

    high = 1.0
    while epsilon(share(high)) > high:
        high *= 2
        if high > 600.0:
            return math.inf  # e^ε' leaves the range of floats: nothing is promised
    root = float(brentq(lambda x: epsilon(share(x)) - x, 0.0, high, xtol=1e-9)) if epsilon(share(0.0)) > 0 else 0.0
    while epsilon(share(root)) > root:  # step to the side of the root where ε(δ') ≤ ε' holds
        root = root * (1 + 1e-9) + 1e-9
    return root


def _rdp_epsilon(spent: _Spending, delta: float) -> float:
    import numpy as np
    from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent

    if spent.mu == 0.0 and not spent.sampled:
        return 0.0
    orders = _FULL_DATA_ORDERS if not spent.sampled else _ORDERS
    total = np.zeros(len(orders))
    if spent.mu > 0.0:
        total += compute_rdp(q=1.0, noise_multiplier=1 / spent.mu, steps=1, orders=list(orders))
    for event in spent.sampled:
        total += event.count * _sampled_rdp(event.sampling_rate, event.noise_multiplier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "optimal order is the smallest/largest": the bound is valid all the same
        epsilon, _ = get_privacy_spent(orders=list(orders), rdp=total, delta=delta)
    return max(float(epsilon), 0.0)


@lru_cache(maxsize=256)
def _sampled_rdp(q: float, noise_multiplier: float) -> Any:
    """Rényi divergence of one Poisson-sampled Gaussian at every order, float64 array; ∞ where the series fails."""
    import numpy as np
    from opacus.accountants.analysis.rdp import compute_rdp

    values = []
    for order in _ORDERS:
        if noise_multiplier > 1000 and order % 1:
            values.append(math.inf)  # slow there near q = 1/2, and useless: the best order is large
            continue
        try:
            value = float(compute_rdp(q=q, noise_multiplier=noise_multiplier, steps=1, orders=float(order)))
        except (ValueError, OverflowError, ZeroDivisionError):
            value = math.inf
        # the fractional series stops at e^-30 and may end below zero by rounding: a margin well above both
        values.append(max(value, 0.0) + 1e-12 / (order - 1) if math.isfinite(value) else math.inf)
    return np.array(values)


def pld(events: Iterable[Event], delta: float, adjacency: Adjacency, interval: float | None = None) -> float:
    """Upper bound on ε by dp-accounting's pessimistic privacy loss distribution, natively under both relations.

    ``interval`` is the grid of the loss (default: :func:`pld_interval`); any grid gives an upper bound.
    """
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld import privacy_loss_distribution as distribution

    adjacency, delta, spent = Adjacency.parse(adjacency), check_delta(delta), _spending(events)
    if not spent.private:
        return math.inf
    if spent.mu == 0.0 and not spent.sampled:
        return 0.0
    relation, scale = NeighboringRelation.ADD_OR_REMOVE_ONE, 1.0
    if adjacency is Adjacency.REPLACE_ONE:
        relation, scale = NeighboringRelation.REPLACE_ONE, 2.0  # the library's unit is the add/remove sensitivity
    if interval is None:
        interval = pld_interval(_rdp_epsilon(spent, delta), sum(e.count for e in spent.sampled))
    steps = [(1.0, 1 / spent.mu, 1)] if spent.mu > 0.0 else []
    steps += [(e.sampling_rate, e.noise_multiplier, e.count) for e in spent.sampled]
    total = distribution.identity(value_discretization_interval=interval)
    for q, noise_multiplier, count in steps:
        one = distribution.from_gaussian_mechanism(
            standard_deviation=scale * noise_multiplier,
            sampling_prob=q,
            value_discretization_interval=interval,
            neighboring_relation=relation,
        )
        total = total.compose(one.self_compose(count))
    return float(total.get_epsilon_for_delta(delta))


def pld_interval(epsilon: float, steps: int, *, rough: bool = False) -> float:
    """Grid of the privacy loss for ``steps`` sampled answers of about ``epsilon`` together: 1e-4, with exceptions.

    Any grid gives an upper bound. Each step's rounding adds variance of about the grid squared, so many steps of a tiny
    loss need a finer grid to stay tight (``coarsest`` costs about 0.3 % of ε); few steps or a large ε afford a coarser
    one, which bounds time and memory. ``rough`` is for a search whose result is certified again.
    """
    if not math.isfinite(epsilon):
        return 1.0
    coarsest = 0.02 * epsilon / math.sqrt(max(steps, 1))
    if rough:
        return max(1e-6, min(coarsest, 1e-3 * max(1.0, epsilon)))
    usual = max(1e-4, min(coarsest / 20, 1e-3))
    return max(1e-6, min(coarsest, usual), 5e-6 * epsilon)


def prv(events: Iterable[Event], delta: float, adjacency: Adjacency) -> Bracket | None:
    """Bracket of ε by Opacus' PRV accountant; None where it does not apply (too fine a grid, too many segments).

    Under replace-one with sampled answers only ``upper`` speaks of this relation, through the group bound; the
    lower bound and the estimate are then 0 and NaN.
    """
    adjacency, delta, spent = Adjacency.parse(adjacency), check_delta(delta), _spending(events)
    if not spent.private:
        return Bracket(math.inf, math.inf, math.inf)
    if spent.mu == 0.0 and not spent.sampled:
        return Bracket(0.0, 0.0, 0.0)
    if adjacency is Adjacency.REPLACE_ONE and spent.sampled:
        half = _per_record(spent)
        # any ε' at least the accountant's own makes (2ε', (1+e^ε')δ') valid; RDP's ε' is one
        part = _group(lambda d: _rdp_epsilon(half, d), delta)
        if not math.isfinite(part) or delta / (1 + math.exp(part)) < 1e-13:
            return None
        bracket = _prv_bracket(half, delta / (1 + math.exp(part)))
        return None if bracket is None else Bracket(0.0, math.nan, 2 * min(bracket.upper, part))
    return _prv_bracket(spent, delta)


def _prv_bracket(spent: _Spending, delta: float) -> Bracket | None:
    import numpy as np
    from opacus.accountants import PRVAccountant
    from opacus.accountants.analysis.prv import PoissonSubsampledGaussianPRV, compute_safe_domain_size

    history = [(1 / spent.mu, 1.0, 1)] if spent.mu > 0.0 else []
    history += [(e.noise_multiplier, e.sampling_rate, e.count) for e in spent.sampled]
    loose = _rdp_epsilon(spent, delta)
    if len(history) > _PRV_SEGMENTS or not loose < 200.0:
        return None
    delta_error, epsilon_error = delta / 1000, min(max(0.01, 0.005 * loose), 0.5)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            reach = compute_safe_domain_size(
                prvs=[PoissonSubsampledGaussianPRV(q, z) for z, q, _ in history],
                max_self_compositions=[count for _, _, count in history],
                eps_error=epsilon_error,
                delta_error=delta_error,
            )
            total = sum(count for _, _, count in history)
            points = 2 * reach / epsilon_error * math.sqrt(total * math.log(12 / delta_error) / 2)
            if not points <= _PRV_POINTS:
                return None
            accountant = PRVAccountant()
            accountant.history = history
            composed = accountant._get_dprv(eps_error=epsilon_error, delta_error=delta_error)
            bracket = Bracket(*(float(e) for e in composed.compute_epsilon(delta, delta_error, epsilon_error)))
        except (RuntimeError, ValueError, OverflowError):
            return None  # "discrete mean differs", "floating point errors will dominate", series that do not converge
    return bracket if all(math.isfinite(e) for e in bracket) and bracket.lower <= bracket.upper else None
