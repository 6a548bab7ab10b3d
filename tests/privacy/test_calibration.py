"""Calibration: never over the budget, hardly under it."""

from __future__ import annotations

import math
import time

import pytest

from dpcond.errors import InputError
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.calibration import calibrate
from dpcond.privacy.certificate import certify
from dpcond.privacy.events import Event
from dpcond.privacy.plan import Stage
from tests.oracles import accounting_oracles as oracle

AR, RO = Adjacency
PLANS = {
    "one shot": (Stage("a", 1, 10, 1.0),),
    "several full-data stages": (Stage("a", 1, 10, 0.1), Stage("b", 40, 10, 0.9)),
    "one Poisson step": (Stage("a", 1, 10, 1.0, 0.01),),
    "Poisson": (Stage("a", 5000, 10, 1.0, 0.01),),
    "histogram and Poisson": (Stage("h", 1, 10, 0.1), Stage("a", 1000, 10, 0.9, 0.004)),
    "two rates": (Stage("a", 300, 10, 0.5, 0.05), Stage("b", 1000, 10, 0.5, 0.01)),
}


def certified(stages, noise, delta, adjacency):
    events = [Event(z, s.sampling_rate, s.count) for z, s in zip(noise, stages, strict=True)]
    return certify(events, delta, adjacency).epsilon


@pytest.mark.parametrize(
    ("epsilon", "sigma"),
    [
        (0.1, 30.7496),
        (1, 3.73063),
        (2, 1.99381),
        (3, 1.39059),
        (10, 0.499889),
        (30, 0.214720),
        (100, 0.0946699),
    ],
)
def test_golden_one_shot(epsilon, sigma):
    """dp-accounting's exact get_sigma_gaussian at δ = 1e-5; checked against mpmath below."""
    for adjacency in (AR, RO):
        (noise,) = calibrate(PLANS["one shot"], epsilon, 1e-5, adjacency)
        assert noise == pytest.approx(sigma, rel=3e-5)
        assert oracle.gaussian_delta(epsilon, 1 / noise) <= 1e-5


GRID = [(0.05, 1e-12), (1.0, 1e-5), (8.0, 1e-6), (100.0, 1e-3)]


@pytest.mark.parametrize("adjacency", [AR, RO])
@pytest.mark.parametrize("name", PLANS)
def test_on_budget_and_not_wasteful(name, adjacency):
    # a different corner of the grid for each plan and relation; full-data plans, which are instant, visit all of it
    stages, first = PLANS[name], list(PLANS).index(name) + (adjacency is RO)
    full = all(stage.sampling_rate == 1.0 for stage in stages)
    for epsilon, delta in GRID if full else [GRID[first % 3]]:
        noise = calibrate(stages, epsilon, delta, adjacency)
        assert 0.97 * epsilon <= certified(stages, noise, delta, adjacency) <= epsilon


def test_epsilon_100_with_sampling():
    stages = PLANS["Poisson"]
    noise = calibrate(stages, 100, 1e-5, AR)
    assert 97 <= certified(stages, noise, 1e-5, AR) <= 100


def test_a_budget_between_grid_points_is_kept():
    for epsilon in (1.23456789, 0.3, 0.1 + 0.2, 7.77777):
        noise = calibrate(PLANS["several full-data stages"], epsilon, 1e-5, AR)
        assert 0.97 * epsilon <= certified(PLANS["several full-data stages"], noise, 1e-5, AR) <= epsilon


def test_shares_are_shares_of_squared_mu():
    stages = PLANS["several full-data stages"]
    noise = calibrate(stages, 1.0, 1e-5, AR)
    mu2 = [s.count / z**2 for s, z in zip(stages, noise, strict=True)]
    assert mu2[0] / sum(mu2) == pytest.approx(0.1)


def test_more_budget_never_means_more_noise():
    for name in ("one shot", "Poisson"):
        noise = [calibrate(PLANS[name], epsilon, 1e-5, AR)[0] for epsilon in (0.5, 1.0, 2.0)]
        assert noise == sorted(noise, reverse=True)


def test_fast_enough():
    calibrate(PLANS["one shot"], 1.0, 1e-5, AR)  # loads the libraries
    start = time.process_time()
    calibrate(PLANS["several full-data stages"], 1.0, 1e-5, AR)
    assert time.process_time() - start < 2
    start = time.process_time()
    calibrate(PLANS["Poisson"], 1.0, 1e-5, AR)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("epsilon", [0, -1, 0.049, 100.1, math.nan, math.inf, "1", True, None])
def test_epsilon_refused(epsilon):
    with pytest.raises(InputError, match="epsilon"):
        calibrate(PLANS["one shot"], epsilon, 1e-5, AR)


@pytest.mark.parametrize("delta", [0, 1e-13, 1e-2, 1, math.nan, None])
def test_delta_refused(delta):
    with pytest.raises(InputError, match="delta"):
        calibrate(PLANS["one shot"], 1.0, delta, AR)


def test_no_stages_refused():
    with pytest.raises(InputError, match="without stages"):
        calibrate((), 1.0, 1e-5, AR)
