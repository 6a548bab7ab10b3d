"""Siamese augmentation: one set of parameters for all, by seed; the authors' ranges; differentiable."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dpcond.augment import OPERATIONS, Augment, default_strategy
from dpcond.errors import InputError


def images(n: int = 6, channels: int = 3, side: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", OPERATIONS)
@settings(deadline=None, derandomize=True, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_siamese_treats_every_image_alike(operation, channels, seed):
    """Image by image and together is the same, and order does not matter; so is a second call with the seed."""
    x, augment = images(4, channels), Augment(operation)
    together = augment(x, seed)
    alone = torch.cat([augment(x[i : i + 1], seed) for i in range(4)])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(augment(x.flip(0), seed).flip(0), together)
    assert torch.equal(augment(x, seed), together)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_siamese_images_differ(operation):
    x = images(1).expand(64, -1, -1, -1)
    varied = Augment(operation, siamese=False)(x, 1)
    assert (varied != varied[:1]).flatten(1).any(1).any()
    assert varied.shape == x.shape
    assert torch.equal(varied, Augment(operation, siamese=False)(x, 1))


@pytest.mark.parametrize("siamese", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_differentiable(operation, siamese):
    x = images(2, 3, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: Augment(operation, siamese)(v, 7), (x,))


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    for siamese in (True, False):
        Augment(default_strategy("cifar10"), siamese)(images(), 3)
    assert torch.equal(before, torch.get_rng_state())


def test_one_operation_per_call_all_of_them_in_turn():
    """Mode S: over 300 seeds the choice is uniform over five; each count is within 6 standard deviations (p < 1e-8)."""
    x = images(1, 3, 12) + 5
    augment = Augment("crop_cutout_flip_scale_rotate")
    single = {name: Augment(name) for name in augment.operations}
    counts = dict.fromkeys(single, 0)
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        name = augment.operations[int(torch.randint(5, (1,), generator=generator))]
        counts[name] += 1
        expected = getattr(single[name], f"_{name}")(x, lambda g=generator: torch.rand(1, 1, 1, 1, generator=g))
        assert torch.equal(augment(x, seed), expected)
    assert all(abs(count - 60) < 6 * math.sqrt(300 * 0.2 * 0.8) for count in counts.values())


def test_crop_shifts_by_at_most_an_eighth_and_pads_with_zero():
    x = torch.zeros(1, 1, 16, 16)
    x[0, 0, 8, 8] = 1
    seen = set()
    for seed in range(300):
        position = Augment("crop")(x, seed)[0, 0].nonzero()
        assert len(position) == 1
        seen.add((int(position[0, 0]) - 8, int(position[0, 1]) - 8))
    assert {dy for dy, _ in seen} == set(range(-2, 3)) == {dx for _, dx in seen}
    assert (Augment("crop")(torch.ones(1, 1, 16, 16), 3) == 0).any()


@pytest.mark.parametrize("operation", ["crop", "cutout"])
def test_crop_and_cutout_match_the_slow_obvious_way(operation):
    """Per-image calls read their parameters as the formula in words does: shift or hole, pixel by pixel."""
    x = images(5, 2, 9)
    fast = Augment(operation, siamese=False)(x, 4)
    generator = torch.Generator().manual_seed(4)
    torch.randint(1, (1,), generator=generator)
    u, v = (torch.rand(5, 1, 1, 1, generator=generator).flatten().tolist() for _ in range(2))
    slow = x.clone()
    for i in range(5):
        for row in range(9):
            for column in range(9):
                if operation == "crop":  # 9 · 0.125 → shifts of −1, 0, 1
                    r, c = row + int(u[i] * 3) - 1, column + int(v[i] * 3) - 1
                    inside = 0 <= r < 9 and 0 <= c < 9
                    slow[i, :, row, column] = x[i, :, r, c] if inside else 0.0
                else:  # a 5×5 hole whose start lies in −2 … 6
                    top, left = int(u[i] * 9) - 2, int(v[i] * 9) - 2
                    if top <= row < top + 5 and left <= column < left + 5:
                        slow[i, :, row, column] = 0.0
    assert torch.equal(fast, slow)


def test_color_keeps_its_ranges_and_gray_has_no_saturation():
    x = images(1, 3, 12)
    for seed in range(200):
        y = Augment("color")(x, seed)
        shift = float(y.mean() - x.mean())
        assert abs(shift) <= 0.5 + 1e-5
    gray = images(1, 1, 12)
    out = Augment("color")(gray, 3)
    ratio = ((out - out.mean()) / (gray - gray.mean())).flatten()
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), atol=1e-3, rtol=1e-3)
    assert 0.5 <= float(ratio[0]) <= 1.5


def test_rotation_and_scale_at_zero_strength_change_nothing():
    x = images()
    torch.testing.assert_close(Augment("rotate", rotate=0.0)(x, 1), x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(Augment("scale", scale=1.0)(x, 1), x, atol=1e-5, rtol=1e-5)


def test_strategies():
    assert default_strategy("MNIST") == default_strategy("digits") == "color_crop_cutout_scale_rotate"
    assert "flip" in default_strategy("fashion-mnist")
    x = images()
    assert Augment("none")(x, 0) is x
    assert Augment("")(x, 0) is x
    with pytest.raises(InputError, match="did you mean 'cutout'"):
        Augment("color_cutuot")
