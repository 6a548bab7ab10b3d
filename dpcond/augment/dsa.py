"""Differentiable Siamese augmentation (DSA; Zhao & Bilen 2021, arXiv 2102.08259), the operations and ranges of its code.

Parameters are drawn from a generator of the caller's, one row per image; a Siamese call draws one row and applies it
to every image, so that real and synthetic batches augmented under one seed stay comparable.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dpcond.errors import InputError

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
_DIGITS = ("digits", "mnist", "svhn")


def default_strategy(dataset: str) -> str:
    """The DSA string of a dataset: digits are never flipped."""
    return "color_crop_cutout_scale_rotate" if dataset.lower() in _DIGITS else "color_crop_cutout_flip_scale_rotate"


@dataclass(frozen=True)
class Augment:
    """One random operation of ``strategy`` per call (mode "S" of the authors), differentiable in the images.

    Attributes:
        strategy: operations joined by ``_``, e.g. ``"color_crop_cutout_flip_scale_rotate"``; ``""`` or ``"none"`` does nothing.
        siamese: one set of parameters for all images of a call, or one per image.
        flip: probability of a horizontal flip.
        scale: largest zoom, out or in, per axis.
        rotate: largest rotation, degrees.
        crop: largest shift, share of the side; what moves in is zero.
        cutout: side of the square set to zero, share of the side.
        brightness, saturation, contrast: shift in ±b/2; saturation in [0, s]; contrast in [c, 1 + c].

    Raises:
        InputError: the strategy names an unknown operation.
    """

    strategy: str
    siamese: bool = True
    flip: float = 0.5
    scale: float = 1.2
    rotate: float = 15.0
    crop: float = 0.125
    cutout: float = 0.5
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5

    def __post_init__(self) -> None:
        for name in self.operations:
            if name not in OPERATIONS:
                near = difflib.get_close_matches(name, OPERATIONS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(OPERATIONS)}"
                raise InputError(f"augmentation {name!r} in strategy {self.strategy!r} is unknown: {hint}")

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the operations that a call chooses from."""
        return () if self.strategy in ("", "none") else tuple(self.strategy.split("_"))

    def __call__(self, x: Tensor, random: int | torch.Generator) -> Tensor:
        """Augmented images [B, C, H, W] of images ``x`` of that shape.

        Args:
            random: a seed, or a CPU generator (which advances). Equal seeds give equal augmentations on every device.
        """
        if not self.operations:
            return x
        generator = random if isinstance(random, torch.Generator) else torch.Generator().manual_seed(random)
        rows = 1 if self.siamese else x.shape[0]

        def draw() -> Tensor:
            """Uniform numbers in [0, 1), [rows, 1, 1, 1], on the device of the images."""
            return torch.rand(rows, 1, 1, 1, generator=generator).to(x)

        name = self.operations[int(torch.randint(len(self.operations), (1,), generator=generator))]
        return getattr(self, f"_{name}")(x, draw)

    def _color(self, x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
        x = x + (draw() - 0.5) * self.brightness
        mean = x.mean(1, keepdim=True)
        x = (x - mean) * (draw() * self.saturation) + mean
        mean = x.mean((1, 2, 3), keepdim=True)
        return (x - mean) * (draw() + self.contrast) + mean

    def _flip(self, x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
        return torch.where(draw() < self.flip, x.flip(3), x)

    def _crop(self, x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
        height, width = x.shape[2:]
        pad = [int(side * self.crop + 0.5) for side in (height, width)]
        rows, columns = (
            _integer(draw(), 2 * p + 1) + _line(side, x) for p, side in zip(pad, (height, width), strict=True)
        )
        padded = F.pad(x, (pad[1], pad[1], pad[0], pad[0]))
        if self.siamese:
            return padded[:, :, int(rows[0, 0]) :, int(columns[0, 0]) :][:, :, :height, :width]
        image = torch.arange(len(x), device=x.device)[:, None, None]
        return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def _cutout(self, x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
        inside = []
        for side in x.shape[2:]:
            size = int(side * self.cutout + 0.5)
            start = _integer(draw(), side + 1 - size % 2) - size // 2
            inside.append((_line(side, x) >= start) & (_line(side, x) < start + size))
        hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return x * ~hole

    def _scale(self, x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
        low, high = 1 / self.scale, self.scale
        across, down = ((draw() * (high - low) + low).flatten() for _ in range(2))
        zero = torch.zeros_like(across)
        return _warp(x, torch.stack((across, zero, zero, zero, down, zero), 1).view(-1, 2, 3))

    def _rotate(self, x: Tensor, draw: Callable[[], Tensor]) -> Tensor:
        angle = ((draw() - 0.5) * 2 * math.radians(self.rotate)).flatten()
        sin, cos, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
        return _warp(x, torch.stack((cos, -sin, zero, sin, cos, zero), 1).view(-1, 2, 3))


def _integer(uniform: Tensor, count: int) -> Tensor:
    """Whole numbers in [0, count) from uniform numbers, [rows, 1]."""
    return (uniform * count).long().clamp(max=count - 1).flatten(1)


def _line(side: int, like: Tensor) -> Tensor:
    """Positions [1, side] along an axis."""
    return torch.arange(side, device=like.device)[None]


def _warp(x: Tensor, affine: Tensor) -> Tensor:
    """Images resampled under affine maps [1 or B, 2, 3]; zero outside, bilinear."""
    grid = F.affine_grid(affine, [len(affine), *x.shape[1:]], align_corners=False)
    return F.grid_sample(x, grid.expand(len(x), -1, -1, -1), align_corners=False)
