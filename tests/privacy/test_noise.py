"""The wall's noise: right distribution, long tails, its own entropy. Each statistical test: false alarms ≤ 1e-6."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from dpcond.privacy.noise import DiscreteGaussianNoise, GaussianNoise, SeededEntropy, SystemEntropy

DRAWS = 200_000
ALARM = 1e-6
SOURCES = [GaussianNoise, DiscreteGaussianNoise]


def chi2_accepts(sample: np.ndarray, std: float) -> bool:
    """Two-sided variance test at level 1e-6: n·s²/σ² is χ²(n)."""
    statistic = float((sample**2).sum()) / std**2
    low, high = stats.chi2(len(sample)).ppf([ALARM / 2, 1 - ALARM / 2])
    return bool(low < statistic < high)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("std", [0.01, 1.0, 37.3])
def test_noise_is_gaussian_with_the_stated_variance(source, std):
    sample = source(SeededEntropy(1)).draw((DRAWS,), std).numpy()
    assert chi2_accepts(sample, std)
    assert stats.kstest(sample / std, "norm").pvalue > ALARM


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("wrong", [0.98, 1.02])
def test_the_variance_test_has_power_against_two_percent(source, wrong):
    assert not chi2_accepts(source(SeededEntropy(2)).draw((DRAWS,), wrong).numpy(), 1.0)


@pytest.mark.parametrize("source", SOURCES)
def test_draws_are_independent_of_each_other(source):
    sample = source(SeededEntropy(3)).draw((DRAWS,), 1.0).numpy()
    for lag in (1, 2, 7):
        correlation = float((sample[:-lag] * sample[lag:]).mean()) * math.sqrt(DRAWS - lag)
        assert abs(correlation) < stats.norm.isf(ALARM / 2)


def test_system_entropy_does_not_repeat_and_ignores_global_seeds():
    def draw():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the point of the test
        return GaussianNoise(SystemEntropy()).draw((64,), 1.0)

    assert not torch.equal(draw(), draw())


def test_global_generators_are_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    GaussianNoise().draw((10,), 1.0)
    DiscreteGaussianNoise().draw((10,), 1.0)
    assert torch.equal(before, torch.get_rng_state())


def test_seeded_entropy_is_reproducible_and_says_that_it_is_not_private():
    a, b = (GaussianNoise(SeededEntropy(9)).draw((32,), 1.0) for _ in range(2))
    assert torch.equal(a, b)
    assert not SeededEntropy(9).private
    assert SystemEntropy().private


def test_noise_is_float64_and_its_tail_passes_where_float32_stops():
    """float32 Box-Muller stops at 5.77 σ; the extreme words here reach 9.1 σ on both sides, and the middle is finite."""

    class Extreme:
        private = False

        def words(self, count):
            return np.array([0, 1, 2**64 - 2, 2**64 - 1], dtype=np.uint64)[:count]

    low, high, *middle = GaussianNoise(Extreme()).draw((4,), 1.0).tolist()
    assert low == -high < -9.1
    assert middle == [0.0, 0.0]
    assert GaussianNoise().draw((1,), 1.0).dtype == torch.float64


def test_discrete_noise_lies_on_its_grid_and_matches_the_exact_probabilities():
    """Against the definition, P(k) ∝ exp(−k²/2σ²), at a σ small enough to tabulate: χ², level 1e-6."""
    source = DiscreteGaussianNoise(SeededEntropy(4))
    sigma = 2.7
    sample = np.concatenate([source._propose(sigma, 50_000) for _ in range(8)])
    support = np.arange(-12, 13)
    weights = np.exp(-(support**2) / (2 * sigma**2))
    inside = sample[np.abs(sample) <= 12]
    observed = np.array([(inside == k).sum() for k in support])
    assert stats.chisquare(observed, weights / weights.sum() * observed.sum()).pvalue > ALARM

    drawn = source.draw((1000,), 3.3)
    step = source.grid(3.3)
    assert step is not None
    assert torch.equal(drawn, torch.round(drawn / step) * step)
    assert 2**20 <= 3.3 / step < 2**21


def test_no_noise_without_a_standard_deviation():
    assert DiscreteGaussianNoise().grid(0.0) is None
    assert torch.equal(DiscreteGaussianNoise().draw((3,), 0.0), torch.zeros(3, dtype=torch.float64))
