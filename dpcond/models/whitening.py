"""Features less their mean, with the directions in which they differ most scaled down, as dead leaves show them: public.

A classifier trained with noise pays for every long direction of its features: their mean and first principal directions
carry most of a row's length, and little of what tells classes apart. Shortened, the same noise hides less of the rest.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpcond.models.leaves import dead_leaves

IMAGES = 1000
DIRECTIONS = 200  # principal ones, of the leaves' features
FLOOR = 0.01  # added to the variances before whitening, in units of the largest


class Whitened(nn.Module):
    """Rows of a feature, centred, whitened in the principal directions of dead leaves, and of root mean square 1 again.

    A fixed function of one image, differentiable in it.

    Args:
        features: has ``embed`` [B, k] and ``embedding`` = k, for images of ``shape``.
        shape: channels, height, width.
        bounds: lowest and highest value of every channel of a normalised image.
        seed: of the random process.
    """

    centre: Tensor
    directions: Tensor
    scales: Tensor

    def __init__(
        self,
        features: nn.Module,
        shape: tuple[int, ...],
        bounds: tuple[tuple[float, ...], tuple[float, ...]],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.features = features
        self.embedding = int(features.embedding)  # type: ignore[arg-type]
        channels, height, width = shape
        low, high = (torch.tensor(bound).view(-1, 1, 1) for bound in bounds)
        leaves = dead_leaves(IMAGES, channels, max(height, width), seed)[:, :, :height, :width] * (high - low) + low
        with torch.no_grad():
            rows = torch.cat([self._features(part) for part in leaves.split(100)])
        centre = rows.mean(0)
        centred = rows - centre
        # principal directions by the small matrix of inner products of images
        values, vectors = torch.linalg.eigh((centred @ centred.T).double() / len(rows))
        kept = min(DIRECTIONS, len(rows), self.embedding)
        values, vectors = values[-kept:].clamp_min(1e-12), vectors[:, -kept:]
        directions = F.normalize(centred.T @ vectors.float(), dim=0)
        scales = (values / (FLOOR * values[-1]) + 1).rsqrt()
        for name, value in (("centre", centre), ("directions", directions), ("scales", scales)):
            self.register_buffer(name, value.float(), persistent=False)

    def _features(self, x: Tensor) -> Tensor:
        return self.features.embed(x)  # type: ignore[operator]

    def embed(self, x: Tensor) -> Tensor:
        """Rows [B, k] of images [B, C, H, W]."""
        rows = self._features(x) - self.centre
        along = rows @ self.directions
        return F.normalize(rows + (along * (self.scales - 1)) @ self.directions.T, dim=1) * math.sqrt(self.embedding)

    forward = embed
