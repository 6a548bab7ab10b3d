"""ConvNet, the network of the condensation literature (Gidaris & Komodakis 2018; as coded by Zhao et al. 2021)."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpcond.errors import InputError

Norm = Literal["instance", "group", "none"]
Pooling = Literal["avg", "max", "none"]


class Halving(nn.Module):
    """2×2 average pooling as one product of pairs of rows with a matrix; an odd last row or column is left out.

    On a CPU in bfloat16 it takes a tenth of the time of adding slices, gradient included, and less of the library's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., C, H // 2, W // 2] of maps [..., C, H, W]."""
        height, width = x.shape[-2] // 2, x.shape[-1]
        pairs = torch.eye(width // 2, dtype=x.dtype, device=x.device).repeat_interleave(2, 0)
        averages = F.pad(pairs, (0, 0, 0, width % 2)).repeat(2, 1) * 0.25
        return x[..., : 2 * height, :].reshape(*x.shape[:-2], height, 2 * width) @ averages


class Stem(nn.Conv2d):
    """A 3×3 convolution of few channels; grey images in bfloat16 on a CPU are multiplied as one matrix of patches.

    There the library's convolution is slow in the gradient of the weights: this takes a fifth off a ConvNet's step.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, out, H', W'] of images [B, in, H, W]; the same values either way."""
        if x.shape[1] > 1 or x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or self.bias is None:
            return super().forward(x)
        padding = cast("tuple[int, int]", self.padding)
        height, width = (n + 2 * p - 2 for n, p in zip(x.shape[2:], padding, strict=True))
        patches = F.unfold(x.to(torch.get_autocast_dtype("cpu")), 3, padding=padding)
        maps = torch.addmm(self.bias[:, None], self.weight.flatten(1), patches.transpose(0, 1).flatten(1))
        return maps.view(-1, len(x), height, width).transpose(0, 1).contiguous()


def _norm(kind: str, channels: int) -> nn.Module:
    """Normalisation within one record; batch normalisation would couple records and has no place here."""
    if kind == "instance":
        return nn.GroupNorm(channels, channels)
    if kind == "group":
        return nn.GroupNorm(4, channels)
    if kind == "none":
        return nn.Identity()
    raise InputError(f"norm {kind!r}: expected 'instance', 'group' or 'none'")


def _pooling(kind: str) -> nn.Module:
    if kind == "avg":
        return Halving()
    if kind == "max":
        return nn.MaxPool2d(2)
    if kind == "none":
        return nn.Identity()
    raise InputError(f"pooling {kind!r}: expected 'avg', 'max' or 'none'")


class ConvNet(nn.Module):
    """``depth`` blocks of 3×3 convolution, normalisation, ReLU and 2×2 pooling, then one linear layer.

    The defaults are the field's D3-W128-InstanceNorm-ReLU-AvgPool network. Images of 28×28 are padded to 32×32 by the
    first convolution, so that three halvings leave 4×4 maps and an embedding of 2048 values.

    Args:
        channels: channels of an image.
        classes: logits.
        image_size: (height, width) in pixels.
        depth: number of blocks.
        width: channels of every block.
        norm: ``"instance"`` (one group per channel, affine), ``"group"`` (4 groups) or ``"none"``.
        pooling: ``"avg"``, ``"max"`` or ``"none"``.

    Raises:
        InputError: the image is too small for ``depth`` halvings.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        image_size: tuple[int, int],
        depth: int = 3,
        width: int = 128,
        norm: Norm = "instance",
        pooling: Pooling = "avg",
    ) -> None:
        super().__init__()
        if depth < 1 or width < 1:
            raise InputError(f"ConvNet depth {depth}, width {width}: both must be at least 1")
        if norm == "group" and width % 4:
            raise InputError(f"ConvNet width {width}: norm 'group' has 4 groups; choose a multiple of 4")
        padded = tuple(image_size) == (28, 28)
        height, width_px = (32, 32) if padded else image_size
        blocks: list[nn.Module] = []
        for block in range(depth):
            if min(height, width_px) < 2:
                raise InputError(
                    f"ConvNet depth {depth} on {image_size[0]}×{image_size[1]} images: nothing left to pool in "
                    f"block {block + 1}; use depth {max(block, 1)} or less"
                )
            padding = 3 if padded and block == 0 else 1
            blocks += [
                Stem(channels, width, 3, padding=padding)
                if block == 0
                else nn.Conv2d(width, width, 3, padding=padding),
                _norm(norm, width),
                nn.ReLU(),
                _pooling(pooling),
            ]
            if pooling != "none":
                height, width_px = height // 2, width_px // 2
        self.features = nn.Sequential(*blocks)
        self.embedding = width * height * width_px
        self.classifier = nn.Linear(self.embedding, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Embedding [B, k] of images [B, C, H, W]: the input of the last layer."""
        return self.features(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.classifier(self.embed(x))
