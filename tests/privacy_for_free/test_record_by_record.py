"""E13: records that were chosen for standing out are measured where nothing of that choice is known."""

from __future__ import annotations

import numpy as np

from attacks import Records
from attacks.shadows.membership import membership
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.parts.e13 import found, top_percent
from experiments.privacy_for_free.shadows import CellResult

RUNS, SIZE = 64, 1000


def result(seed: int, leak: np.ndarray) -> CellResult:
    """Runs of which a student's score grows by leak [n] for members."""
    member = membership(RUNS, np.arange(SIZE), seed)
    phi = np.random.default_rng(seed).standard_normal(member.shape) + leak * member
    pool = Records(np.zeros((SIZE, 1, 2, 2), np.float32), np.arange(SIZE) % 2)
    return CellResult(Cell("any", "dm", 10), pool, {}, member, member, [], phi, np.ones(RUNS), {})


def test_without_a_leak_the_chosen_records_are_found_as_seldom_as_any() -> None:
    """3,200 memberships at 1% each: a rate of 2.5% has odds below 1e-12; scores that had seen both halves gave 5%."""
    rates = [top_percent(result(seed, np.zeros(SIZE)), "lira")[0][0] for seed in range(20)]
    assert np.mean(rates) < 0.025


def test_records_that_always_leak_are_chosen_and_found() -> None:
    leak = np.zeros(SIZE)
    leak[:10] = 4.0
    (rate, low, high, of), population = top_percent(result(0, leak), "lira")
    assert 0.6 < low < rate < high
    assert population < 0.03
    assert of == 10 * RUNS // 4


def test_the_interval_counts_records_and_pairs_of_runs_not_single_hits() -> None:
    """Ten records of which two are always found: as if each had been seen once."""
    inside = membership(32, np.arange(10), 0)
    hits = inside & (np.arange(10) < 2)
    value, low, high, _ = found(hits, inside)
    assert value == 0.2
    assert low < 0.03
    assert high > 0.5
