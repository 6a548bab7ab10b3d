"""What is computed rather than trained agrees with its definition: E10's closed forms, E11's enumeration, DP-SGD's sum, closest-record shares."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from attacks.students.noisy_linear import NoisyLinear
from dpcond.privacy.queries import GradientSum
from experiments.privacy_for_free.parts import e10, e11, e19, e20
from experiments.privacy_for_free.private_runs import dpsgd_noise


def test_the_mean_attack_meets_its_closed_form() -> None:
    row = e10.gaussian_mean(60, 300, 60)
    # the mean of 60 runs has a standard error of about 0.0025: five of them, and the formula's own 0.002
    assert row["AUC"] == pytest.approx(row["theory"], abs=0.015)
    assert row["theory"] == pytest.approx(0.6241, abs=1e-4)


def test_the_offset_attack_finds_every_start_and_nobody_else() -> None:
    row = e10.gaussian_offset(60, 300, 10, 3)
    assert (row["found"], row["others flagged"]) == (30, 0)


def test_the_effective_dimension_of_whitened_gaussians_is_their_dimension() -> None:
    from attacks import Records
    from attacks.scores.background import Background

    x = np.random.default_rng(0).standard_normal((4000, 5)) * [1, 2, 3, 4, 5]
    records = Records(x, np.zeros(4000, dtype=int))
    assert e10.effective_dimension(records, Background(records)) == pytest.approx(5, rel=0.02)


def test_a_random_subset_is_exactly_0_m_over_n_private() -> None:
    for n, m in ((3, 1), (6, 2), (7, 6)):
        row = e11.enumerated(n, m)
        assert row["δ replace one"] == row["δ remove one"] == Fraction(m, n)
        assert row["error"] == 0


def test_cross_entropy_of_the_theorem_is_torchs() -> None:
    random = np.random.default_rng(0)
    theta, x, y = random.standard_normal((4, 6, 3)), random.standard_normal((5, 6)), np.array([0, 1, 2, 0, 1])
    wanted = [
        torch.nn.functional.cross_entropy(torch.from_numpy(x @ one), torch.from_numpy(y), reduction="none").numpy()
        for one in theta
    ]
    np.testing.assert_allclose(e11.losses(theta, x, y), wanted)


def test_the_sum_of_dp_sgd_is_the_walls_gradient_query() -> None:
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 6, generator=random), torch.arange(40) % 3
    network = torch.nn.Linear(6, 3, bias=False)
    torch.nn.init.zeros_(network.weight)
    wall = GradientSum(network, 0.5, "test").sum(x, y).view(3, 6).T
    heads = NoisyLinear(steps=1, rate=1.0, clip=0.5).fit(x, y, 3, np.ones((1, 40), bool), [0], 40)
    # the wall clips a hair under the bound
    torch.testing.assert_close(-40 * heads.weights[0].double(), wall, rtol=1e-3, atol=1e-5)


def test_the_noise_of_dp_sgd_keeps_its_epsilon() -> None:
    few, certified = dpsgd_noise(10, 100, 1.0)
    many, _ = dpsgd_noise(40, 100, 1.0)
    assert certified <= 1.0
    assert many == pytest.approx(2 * few, rel=1e-3)  # full batches compose like one Gaussian of √steps the size


def test_ranks_among_held_out_records() -> None:
    ranks = e20.rank(np.array([[0.5, 2.5, 9.0]]), np.array([[1.0, 2.0, 3.0, 4.0]]))
    np.testing.assert_allclose(ranks, [[0.0, 0.5, 1.0]], atol=1e-5)
    assert ranks[0, 0] < ranks[0, 1] < ranks[0, 2]


def test_a_share_counts_ties_by_half() -> None:
    assert e19._less(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 2.0, 5.0])) == pytest.approx(0.625)
