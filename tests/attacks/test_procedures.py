"""Reference procedures: exact optimum of linear matching, batched runs equal to separate ones, the naive baseline's line."""

import numpy as np
import pytest
import torch

from attacks.errors import InputError
from attacks.procedures import ConvNetDM, LinearDM, Subset, Verbatim, build


def images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((n, 1, 12, 12)).astype("f4"), np.arange(n) % 3


@pytest.mark.parametrize("init", ["noise", "data"])
def test_linear_dm_is_where_gradient_descent_on_random_linear_maps_ends(init: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)), np.zeros(40, dtype=int)
    closed = LinearDM(5, init)(x.astype("f4"), y, 3).x
    start = LinearDM(5, init)._start(x.astype("f4").astype(float), np.random.default_rng(3))
    s = start.copy()
    for _ in range(800):  # every step a fresh random extractor, as in the paper
        psi = rng.standard_normal((6, 8)) / np.sqrt(8)
        s -= 0.3 * (psi @ psi.T @ (s.mean(0) - x.mean(0)))[None]
    np.testing.assert_allclose(s, closed, atol=1e-5)
    assert np.ptp(s - start, axis=0).max() < 1e-12  # one common shift


@pytest.mark.parametrize("init", ["noise", "data"])
def test_batched_condensation_equals_separate_ones(init: str) -> None:
    x, y = images(60)
    mask = np.random.default_rng(1).random((4, 60)) < 0.6
    seeds = [5, 6, 7, 8]
    procedure = ConvNetDM(ipc=2, steps=8, init=init, width=4)
    together = procedure.many(x, y, mask, seeds)
    for k in range(4):
        alone = procedure(x[mask[k]], y[mask[k]], seeds[k])
        np.testing.assert_allclose(together[k].x, alone.x, atol=2e-5)
        np.testing.assert_array_equal(together[k].y, alone.y)
    assert np.abs(together[0].x - together[1].x).max() > 0.01


def test_condensation_lowers_its_loss_and_leaves_global_randomness_alone() -> None:
    from attacks.procedures.convnet_dm import embed

    x, y = images(60)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    procedure = ConvNetDM(ipc=3, steps=40, width=8)
    first, last = ConvNetDM(ipc=3, steps=1, learning_rate=0.0, width=8)(x, y, 0), procedure(x, y, 0)
    assert torch.equal(before, torch.get_rng_state())
    network = procedure._network(1, 10_000)  # a network that no step has seen

    def distance(release) -> float:
        real, made = embed(network, torch.from_numpy(x)), embed(network, torch.from_numpy(release.x))
        return sum(float(((made[release.y == c].mean(0) - real[y == c].mean(0)) ** 2).sum()) for c in range(3))

    assert distance(last) < 0.8 * distance(first)


def test_subset_never_passes_the_line_m_over_n() -> None:
    """(0, m/n)-DP: the best attack (was x released?) has TPR − FPR = m/n exactly, on average."""
    x, y = np.arange(50, dtype="f4")[:, None] * np.ones((1, 2)), np.zeros(50, dtype=int)
    hits = np.mean([np.isin(np.arange(50), Subset(5)(x.astype("f4"), y, s).x[:, 0]) for s in range(400)], axis=0)
    assert hits.mean() == pytest.approx(5 / 50)
    assert np.abs(hits - 0.1).max() < 6 * np.sqrt(0.1 * 0.9 / 400)  # 50 records, two sides: 1e-7


def test_verbatim_and_bad_options() -> None:
    x, y = images(9)
    np.testing.assert_array_equal(Verbatim(4)(x, y, 0).x, x[:4])
    with pytest.raises(InputError, match="choose 1 to 9"):
        Subset(10)(x, y, 0)
    with pytest.raises(InputError, match="choose noise or data"):
        build("linear_dm", per_class=2, init="real")
    with pytest.raises(InputError, match="not known"):
        build("magic")
    with pytest.raises(InputError, match="has no member in a shadow"):
        ConvNetDM(ipc=1, steps=1).many(x, y, np.arange(9)[None] % 3 > 0, [0])
