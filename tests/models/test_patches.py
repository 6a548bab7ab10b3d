"""Features of a random process: the images have edges at every scale, the filters do what the formula says."""

import pytest
import torch
from torch.nn import functional as F

from dpcond.models import Patches, dead_leaves
from dpcond.models.patches import POOL, SIDE, STRIDE, THRESHOLD, contrast_normalised, learned_filters

STD = (0.5, 0.4, 0.3)


def images(count=3, side=16, seed=0):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_dead_leaves_are_public_seeded_and_inside_the_range_of_pixels():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    drawn = dead_leaves(20, 3, 24, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert drawn.shape == (20, 3, 24, 24)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert torch.equal(drawn, dead_leaves(20, 3, 24, seed=1))
    assert not torch.equal(drawn, dead_leaves(20, 3, 24, seed=2))


def test_dead_leaves_have_more_of_low_frequencies_than_noise_and_are_mostly_grey():
    drawn = dead_leaves(200, 3, 32, seed=0)
    power = torch.fft.fft2(drawn - drawn.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    low, high = power[1:4, 1:4].mean(), power[10:16, 10:16].mean()
    assert low > 10 * high  # of white noise: equal
    grey = drawn.mean(1, keepdim=True)
    assert (drawn - grey).var() < 0.5 * grey.var()  # of uniform colours: 2
    assert dead_leaves(5, 1, 8, seed=0).shape == (5, 1, 8, 8)


def test_filters_are_learned_once_and_prefer_edges_to_noise():
    """They are smoother than white noise: neighbouring weights of a filter agree."""
    weights, offset = learned_filters(3, 8)
    assert learned_filters(3, 8)[0] is weights
    assert offset.shape == (8,)
    leaves = dead_leaves(50, 3, SIDE, seed=9).flatten(1)
    noise = torch.rand(50, 3 * SIDE**2, generator=torch.Generator().manual_seed(9))
    answers, chance = (
        F.normalize(weights, dim=1) @ F.normalize(x - x.mean(1, keepdim=True), dim=1).T for x in (leaves, noise)
    )
    assert answers.square().mean() > 1.5 * chance.square().mean()


def test_every_patch_is_normalised_filtered_and_averaged_as_written():
    """The obvious way: patch by patch, filter by filter."""
    features, x = Patches(3, STD, filters=5), images()
    weights, offset = learned_filters(3, 5)
    pixels = x * torch.tensor(STD)[:, None, None]
    places = range(0, 16 - SIDE + 1, STRIDE)
    answers = torch.empty(3, 10, len(places), len(places))
    for row, top in enumerate(places):
        for column, left in enumerate(places):
            patch = contrast_normalised(pixels[:, :, top : top + SIDE, left : left + SIDE].flatten(1))
            answer = patch @ weights.T - offset
            answers[:, :5, row, column] = (answer - THRESHOLD).clamp_min(0)
            answers[:, 5:, row, column] = (-answer - THRESHOLD).clamp_min(0)
    rows = F.adaptive_avg_pool2d(answers, POOL).flatten(1)
    expected = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(features.embed(x), expected, atol=1e-4, rtol=1e-3)
    assert features.embedding == expected.shape[1]


def test_no_record_sees_another():
    features, x = Patches(3, STD, filters=4), images(6)
    torch.testing.assert_close(features.embed(x)[2:3], features.embed(x[2:3]), atol=1e-5, rtol=1e-4)


def test_a_patch_without_contrast_has_a_gradient():
    x = torch.zeros(2, 3, 16, 16, requires_grad=True)
    Patches(3, STD, filters=4).embed(x).square().sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("shift", [0.3, -0.2])
def test_a_brighter_image_has_the_same_features(shift):
    features, x = Patches(3, STD, filters=4), images()
    brighter = x + shift / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(features.embed(x), features.embed(brighter), atol=1e-3, rtol=1e-3)
