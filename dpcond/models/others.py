"""The other networks of cross-architecture tables: MLP, LeNet and ResNet-18, none of which couples records."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from dpcond.errors import InputError


class MLP(nn.Module):
    """Fully connected ReLU network with two hidden layers, for images and for tables.

    Args:
        features: values per record.
        classes: logits.
        hidden: widths of the hidden layers.
    """

    def __init__(self, features: int, classes: int, hidden: tuple[int, ...] = (128, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((features, *hidden)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.embedding = (features, *hidden)[-1]
        self.classifier = nn.Linear(self.embedding, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Last hidden layer [B, k] of records [B, *shape]."""
        return self.features(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of records [B, *shape]."""
        return self.classifier(self.embed(x))


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling (LeCun et al. 1998; as in Zhao et al. 2021)."""

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        padding = 2 if tuple(image_size) == (28, 28) else 0
        maps = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in image_size]
        if min(maps) < 1:
            raise InputError(
                f"LeNet on {image_size[0]}×{image_size[1]} images: needs at least 16×16; use 'mlp' or 'convnet'"
            )
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(16 * math.prod(maps), 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        )  # fmt: skip
        self.embedding = 84
        self.classifier = nn.Linear(84, classes)

    def embed(self, x: Tensor) -> Tensor:
        """Last hidden layer [B, 84] of images [B, C, H, W]."""
        return self.features(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.classifier(self.embed(x))


class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2016) for small images: 3×3 stem, no first pooling, instance normalisation throughout."""

    def __init__(self, channels: int, classes: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        from torchvision.models import resnet18

        if min(image_size) < 16:  # the last maps would be 1×1, which instance normalisation sets to zero
            raise InputError(f"ResNet18 on {image_size[0]}×{image_size[1]} images: needs at least 16×16")
        body = resnet18(norm_layer=lambda channels: nn.GroupNorm(channels, channels))
        body.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        body.maxpool = nn.Identity()
        self.embedding = body.fc.in_features
        self.classifier = nn.Linear(self.embedding, classes)
        body.fc = nn.Identity()
        self.features = body

    def embed(self, x: Tensor) -> Tensor:
        """Globally averaged maps [B, 512] of images [B, C, H, W]."""
        return self.features(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.classifier(self.embed(x))
