"""Dead leaves: images made by a random process, with edges and scales like those of photographs, seen by nobody.

A prior for features where no public data may be used (Lee, Mumford & Huang 2001; under privacy: Tang et al., DP-RandP 2023).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST, LARGEST = 1.5, 0.6  # radius of a leaf: in pixels, and in sides of the image; density r^-3 between them
SLENDEREST = 0.4  # width of a leaf over its length
CHROMA = 0.35  # of a colour, against uniform ones: natural colours are mostly grey


def dead_leaves(count: int, channels: int, size: int, seed: int, leaves: int = 100) -> Tensor:
    """Images [count, channels, size, size] in [0, 1] of ellipses and rectangles that hide one another, drawn from ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.arange(size + 1)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    def colour() -> Tensor:
        drawn = uniform(channels, 1, 1)
        grey = drawn.mean(1, keepdim=True)
        return grey + (CHROMA if channels > 1 else 1.0) * (drawn - grey)

    images = colour().expand(-1, -1, size + 1, size + 1)
    for _ in range(leaves):
        smallest, largest = SMALLEST**-2, (LARGEST * size) ** -2
        radius = (smallest - (smallest - largest) * uniform(1, 1)).rsqrt()
        rows, columns = (line[:, None] - size * uniform(1, 1)), (line[None, :] - size * uniform(1, 1))
        angle, slender = math.pi * uniform(1, 1), SLENDEREST + (1 - SLENDEREST) * uniform(1, 1)
        along = columns * angle.cos() + rows * angle.sin()
        across = (rows * angle.cos() - columns * angle.sin()) / slender
        distance = torch.where(
            uniform(1, 1) < 0.5, torch.maximum(along.abs(), across.abs()), torch.hypot(along, across)
        )
        images = torch.where((distance < radius)[:, None], colour(), images)
    return F.avg_pool2d(images, 2, stride=1)  # edges of a pixel's width
