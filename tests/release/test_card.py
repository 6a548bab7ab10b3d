"""The card's figures: a wager that never rounds to certainty, and what the promise is worth to two records."""

from __future__ import annotations

import math

import pytest

from dpcond.release.card import of_two, sure


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1.0, 4.0, 10.0, 15.0])
def test_the_wager_is_rounded_up_and_not_to_certainty(epsilon: float) -> None:
    exact = 100 / (1 + math.exp(-epsilon))
    said = float(sure(epsilon).removesuffix(" %"))
    assert exact <= said < 100
    assert said - exact < 0.1 * (100 - exact)


def test_beyond_all_decimals_the_wager_is_all_but_certain() -> None:
    assert sure(50.0) == sure(5000.0) == "all but 100 %"


def test_two_records_have_twice_epsilon_and_a_larger_delta() -> None:
    """Two steps between neighbours: δ + e^ε δ."""
    assert of_two(1.0, 1e-5) == "ε = 2 (δ = 3.8e-05)"
    assert of_two(10.0, 1e-5) == "ε = 20 (δ = 0.23)"
    assert of_two(100.0, 1e-5).endswith("(δ = 1)")
