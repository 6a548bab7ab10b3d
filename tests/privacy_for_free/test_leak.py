"""Rates of an attack: paired differences against a plain oracle, and widened intervals."""

from __future__ import annotations

import numpy as np
import pytest

from attacks.shadows.membership import membership
from attacks.statistics import auc, tpr_at_fpr
from experiments.privacy_for_free.leak import paired_difference, widened


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A strong attack, a weak one, and who was in."""
    member = membership(16, np.arange(200), 0)
    noise = np.random.default_rng(0).standard_normal((2, *member.shape))
    return noise[0] + 2 * member, noise[1] + 0.2 * member, member


@pytest.mark.parametrize("fpr", [0.01, 0.1, None])
def test_a_paired_difference_is_the_difference_of_the_rates(scores, fpr: float | None) -> None:
    strong, weak, member = scores

    def rate(values: np.ndarray) -> float:
        sides = values[member], values[~member]
        return auc(*sides).value if fpr is None else tpr_at_fpr(*sides, fpr).value

    value, low, high = paired_difference(strong, weak, member, fpr)
    assert value == pytest.approx(rate(strong) - rate(weak), abs=1e-12)
    assert 0 < low < value < high


def test_the_same_scores_differ_by_nothing_and_equal_attacks_are_not_told_apart(scores) -> None:
    _, weak, member = scores
    assert paired_difference(weak, weak, member) == (0.0, 0.0, 0.0)
    twin = np.random.default_rng(9).standard_normal(member.shape) + 0.2 * member
    _, low, high = paired_difference(weak, twin, member)
    assert low < 0 < high


def test_looking_often_widens_an_interval() -> None:
    assert widened(0.5, 0.4, 1) == pytest.approx(0.4)
    assert widened(0.5, 0.4, 10) < widened(0.5, 0.4, 2) < 0.4
    assert widened(0.5, 0.6, 10) > 0.6
