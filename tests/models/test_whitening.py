"""Whitened features: as the textbook whitens, of one image, and shorter where dead leaves differ most."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dpcond.models import Scattering, Whitened, dead_leaves
from dpcond.models.whitening import FLOOR, IMAGES

BOUNDS = ((-1.0,), (3.0,))


class Pixels(nn.Module):
    """The image itself, as a row."""

    def __init__(self, size):
        super().__init__()
        self.embedding = size

    def embed(self, x):
        return x.flatten(1)


@pytest.mark.parametrize("shape", [(1, 6, 6), (2, 4, 7)])
def test_equals_whitening_by_eigenvectors_of_the_covariance(shape):
    """The slow way: numpy, float64, all directions at once."""
    size = math.prod(shape)
    whitened = Whitened(Pixels(size), shape, BOUNDS)
    leaves = dead_leaves(IMAGES, shape[0], max(shape[1:]), 0)[:, :, : shape[1], : shape[2]] * 4 - 1
    rows = leaves.flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    matrix = vectors @ np.diag((values / (FLOOR * values.max()) + 1) ** -0.5) @ vectors.T
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    expected = torch.from_numpy((x.flatten(1).double().numpy() - rows.mean(0)) @ matrix)
    torch.testing.assert_close(
        whitened.embed(x).double(), F.normalize(expected, dim=1) * math.sqrt(size), atol=2e-3, rtol=2e-3
    )


def test_a_row_is_of_one_image_of_known_length_and_the_same_again():
    features = Scattering(1, (16, 16), 2)
    x = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    whitened = Whitened(features, (1, 16, 16), BOUNDS)
    rows = whitened.embed(x)
    torch.testing.assert_close(rows.square().mean(1), torch.ones(4))
    torch.testing.assert_close(whitened.embed(x[2:3]), rows[2:3], atol=2e-5, rtol=1e-4)
    assert torch.equal(Whitened(features, (1, 16, 16), BOUNDS).embed(x), rows)
    assert torch.isfinite(whitened.embed(torch.full((1, 1, 16, 16), -1.0))).all()  # an empty image


def test_no_direction_has_the_largest_part_of_rows_any_more():
    """What the noise of training pays for: more than half of the squared length lies in five directions; less than a quarter of that is left."""
    features, leaves = Scattering(1, (28, 28), 2), dead_leaves(300, 1, 28, seed=5) * 4 - 1
    before, after = (f.embed(leaves) for f in (features, Whitened(features, (1, 28, 28), BOUNDS)))
    longest = [torch.linalg.svdvals(rows).square()[:5].sum() / rows.square().sum() for rows in (before, after)]
    assert longest[0] > 0.5
    assert longest[1] < 0.25 * longest[0]


def test_no_global_generator_is_touched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Whitened(Pixels(16), (1, 4, 4), BOUNDS)
    assert torch.equal(before, torch.get_rng_state())
