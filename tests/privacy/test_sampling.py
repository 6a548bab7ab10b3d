"""Poisson sampling: the stated rate, never more, every record on its own. False alarms ≤ 1e-6."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from dpcond.errors import InputError
from dpcond.privacy.noise import SeededEntropy
from dpcond.privacy.sampling import poisson_sample


class Fixed:
    private = False

    def __init__(self, words):
        self._words = np.array(words, dtype=np.uint64)

    def words(self, count):
        return self._words[:count]


def test_batch_size_is_binomial_not_fixed():
    sizes = np.array([len(poisson_sample(1000, 0.1, SeededEntropy(s))) for s in range(2000)])
    assert abs(sizes.mean() - 100) < 5 * math.sqrt(90 / 2000)
    low, high = stats.chi2(1999).ppf([5e-7, 1 - 5e-7])
    assert low < sizes.var(ddof=1) * 1999 / 90 < high


def test_records_are_included_independently():
    masks = np.zeros((4000, 20))
    for s in range(4000):
        masks[s, poisson_sample(20, 0.3, SeededEntropy(s))] = 1
    correlations = np.corrcoef(masks.T)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < stats.norm.isf(1e-6 / (2 * 190)) / math.sqrt(4000)


@pytest.mark.parametrize("rate", [1e-6, 1e-3, 0.3, 1 - 2**-53])
def test_the_true_rate_never_passes_the_stated_one(rate):
    threshold = math.floor(Fraction(rate) * 2**64)
    assert len(poisson_sample(1, rate, Fixed([threshold - 1]))) == 1
    assert len(poisson_sample(1, rate, Fixed([threshold]))) == 0
    assert Fraction(threshold, 2**64) <= Fraction(rate)


def test_rate_one_takes_everybody_and_empty_batches_are_ordinary():
    assert poisson_sample(5, 1.0, SeededEntropy(0)).tolist() == [0, 1, 2, 3, 4]
    assert len(poisson_sample(0, 0.5, SeededEntropy(0))) == 0
    assert len(poisson_sample(3, 1e-9, SeededEntropy(0))) == 0


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, math.nan, math.inf, "0.1"])
def test_bad_rates_are_refused(rate):
    with pytest.raises(InputError, match="sampling rate"):
        poisson_sample(3, rate, SeededEntropy(0))
