"""Small students: a ConvNet for images, a perceptron for rows."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attacks.errors import InputError


class SmallConvNet(nn.Module):
    """Three blocks of 3×3 convolution, instance norm, ReLU, pooling; then a linear layer. Images [B, C, H, W] -> [B, classes]."""

    def __init__(self, shape: tuple[int, ...], classes: int, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        channels = [shape[0]] + [width] * depth
        self.blocks = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(channels))
        with torch.no_grad():
            features = self.embed(torch.zeros(1, *shape)).shape[1]
        self.head = nn.Linear(features, classes)

    def embed(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
            x = F.relu(F.group_norm(x, x.shape[1]))  # one channel a group: instance norm
            x = F.avg_pool2d(x, 2) if min(x.shape[-2:]) > 1 else x
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.embed(x))
        return out


class Perceptron(nn.Module):
    """Two hidden layers. Rows [B, ...] -> [B, classes]."""

    def __init__(self, shape: tuple[int, ...], classes: int, width: int = 128) -> None:
        super().__init__()
        features = int(torch.Size(shape).numel())
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(features, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


NETWORKS = ("mlp", "convnet")


def build(shape: tuple[int, ...], classes: int, kind: str) -> nn.Module:
    """A student of this kind: "mlp" (a hundred times cheaper in a batch on CPU) or "convnet" (images only)."""
    if kind not in NETWORKS:
        raise InputError(f"student {kind!r} is not known; choose from {', '.join(NETWORKS)}")
    if kind == "mlp":
        return Perceptron(shape, classes)
    if len(shape) != 3:
        raise InputError(f"student convnet: records have shape {shape}, expected images [C, H, W]; use mlp")
    return SmallConvNet(shape, classes)
