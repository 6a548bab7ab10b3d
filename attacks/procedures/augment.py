"""Siamese augmentation (DSA, Zhao & Bilen 2021): each step draws one public transformation, the same for every image, real or synthetic."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

KINDS = ("crop", "cutout", "flip", "scale", "rotate", "brightness")
SHIFT, HOLE, SCALE, DEGREES, BRIGHTNESS = 0.125, 0.3, 0.2, 15.0, 0.3


def siamese(images: Tensor, seed: int) -> Tensor:
    """The transformation named by the seed, applied to images [N, C, H, W]; differentiable in the images."""
    draw = torch.Generator().manual_seed(seed)
    kind = KINDS[int(torch.randint(len(KINDS), (), generator=draw))]
    u, v = (2 * torch.rand(2, generator=draw) - 1).tolist()  # in -1..1
    if kind == "brightness":
        return images + BRIGHTNESS * u
    if kind == "flip":
        return images.flip(-1) if u < 0 else images
    if kind == "cutout":
        return images * _hole(images.shape[-2], images.shape[-1], u, v).to(images.device)
    if kind == "crop":
        return _affine(images, 1.0, 0.0, 2 * SHIFT * u, 2 * SHIFT * v)
    if kind == "scale":
        return _affine(images, 1 + SCALE * u, 0.0, 0.0, 0.0)
    return _affine(images, 1.0, math.radians(DEGREES * u), 0.0, 0.0)


def _hole(height: int, width: int, u: float, v: float) -> Tensor:
    """A mask [H, W] with a square of zeros around a point."""
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    inside = ((rows - u).abs() < HOLE)[:, None] & ((columns - v).abs() < HOLE)[None, :]
    return (~inside).float()


def _affine(images: Tensor, scale: float, angle: float, right: float, down: float) -> Tensor:
    """Zoom, turn and shift by one map; outside is zero."""
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    theta = torch.tensor([[cos, -sin, right], [sin, cos, down]], device=images.device)
    grid = F.affine_grid(theta[None], [1, *images.shape[1:]], align_corners=False)
    return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), align_corners=False)
