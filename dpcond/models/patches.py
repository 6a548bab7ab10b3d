"""Filters learned on patches of dead leaves, applied to patches without their mean and contrast: fixed public features.

Whitening and k-means as in Coates & Ng (2012, "Learning feature representations with k-means"), but on images of a random
process, so that no data is looked at. They see what scattering does not: colours beside one another.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpcond.models.leaves import dead_leaves

SIDE = 6  # of a patch, pixels
STRIDE = 2
POOL = 3  # regions per side over which an answer is averaged
FLOOR = 0.01  # added to the variance of a patch, in units of a pixel's range: quiet patches stay quiet
THRESHOLD = 0.5  # of an answer, in standard deviations of a whitened patch along a filter
WHITENING = 0.1  # added to the variances before whitening
IMAGES, PATCHES, ROUNDS = 1000, 60_000, 10


def contrast_normalised(patches: Tensor) -> Tensor:
    """Patches [n, values] without their mean, divided by their standard deviation (floored)."""
    centred = patches - patches.mean(1, keepdim=True)
    return centred / (centred.var(1, keepdim=True) + FLOOR).sqrt()


@cache
def learned_filters(channels: int, filters: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Filters [filters, values] for contrast-normalised patches, and what to take off their answers [filters].

    Gain-shape k-means: a whitened patch belongs to the direction in which it is longest, whatever its sign.
    """
    generator = torch.Generator().manual_seed(seed)
    size = 32
    windows = dead_leaves(IMAGES, channels, size, seed).unfold(2, SIDE, 1).unfold(3, SIDE, 1)
    places = [torch.randint(n, (PATCHES,), generator=generator) for n in (IMAGES, size - SIDE + 1, size - SIDE + 1)]
    patches = contrast_normalised(windows[places[0], :, places[1], places[2]].flatten(1))
    middle = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    whitening = (vectors * (values + WHITENING).rsqrt()) @ vectors.T
    white = (patches - middle) @ whitening
    directions = F.normalize(torch.randn(filters, white.shape[1], generator=generator), dim=1)
    for _ in range(ROUNDS):
        answers = white @ directions.T
        nearest = answers.abs().argmax(1, keepdim=True)
        signed = white * answers.gather(1, nearest)
        sums = (1e-3 * directions).index_add(0, nearest[:, 0], signed)  # a direction without patches stays
        directions = F.normalize(sums, dim=1)
    weights = directions @ whitening
    return weights, weights @ middle


class Patches(nn.Module):
    """Averages over regions of what filters answer to the patches of an image, positive and negative parts apart.

    A fixed function of one image, differentiable in it; rows have root mean square 1.

    Args:
        channels: of the images.
        std: of the images' normalisation, one per channel: filters were learned on pixels in [0, 1].
        filters: their number; the embedding has 18 times as many values.
        seed: of the random process.
    """

    def __init__(self, channels: int, std: tuple[float, ...], filters: int = 200, seed: int = 0) -> None:
        super().__init__()
        weights, offset = learned_filters(channels, filters, seed)
        # a convolution with filters of mean zero leaves out the mean of a patch by itself
        kernels = (weights - weights.mean(1, keepdim=True)).view(filters, channels, SIDE, SIDE)
        self.register_buffer("kernels", kernels, persistent=False)
        self.register_buffer("offset", offset[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.embedding = 2 * filters * POOL**2

    kernels: Tensor
    offset: Tensor
    std: Tensor

    def embed(self, x: Tensor) -> Tensor:
        """Rows [B, k] of images [B, C, H, W], of at least 10×10 pixels."""
        pixels = x * self.std
        moments = F.avg_pool2d(torch.cat([pixels, pixels.square()], 1), SIDE, STRIDE)
        mean, square = (part.mean(1, keepdim=True) for part in moments.chunk(2, 1))
        values = self.kernels[0].numel()
        variance = (square - mean.square()).clamp_min(0.0) * values / (values - 1)
        answers = F.conv2d(pixels, self.kernels, stride=STRIDE) / (variance + FLOOR).sqrt() - self.offset
        signs = [F.adaptive_avg_pool2d((sign * answers - THRESHOLD).clamp_min(0), POOL) for sign in (1, -1)]
        return F.layer_norm(torch.cat(signs, 1).flatten(1), (self.embedding,))

    forward = embed
