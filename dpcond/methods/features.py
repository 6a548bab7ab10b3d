"""Public per-record features: random networks and random Fourier features, centred on noise and of unit norm.

A feature is a fixed function of a public seed, so it is rebuilt at will: the query asks for its mean over the records,
and the synthetic set is matched to the answer through the same function.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dpcond.augment import Augment
from dpcond.models import build
from dpcond.privacy.queries import Feature
from dpcond.spec import DataSpec

CENTRE_RECORDS = 256
SMALLEST = 4  # side of an image that a ConvNet of one block still has something to look at in


def noise_records(spec: DataSpec, count: int, seed: int) -> Tensor:
    """Public records of Gaussian noise in the normalised space, [count, *shape]."""
    return torch.randn(count, *spec.shape, generator=torch.Generator().manual_seed(seed))


def convnet_depth(spec: DataSpec) -> int:
    """Blocks of a ConvNet, three or as many as leave an image of this size 2×2; at least one from ``SMALLEST``."""
    return min(3, int(math.log2(min(spec.shape[1:]))) - 1)


def random_network(spec: DataSpec, seed: int, width: int, device: torch.device) -> nn.Module:
    """An untrained network to embed records with: a ConvNet for images, a wide one-layer MLP for tables; frozen."""
    if spec.kind == "table":
        net = build("mlp", spec.shape, spec.num_classes, seed, device=device, hidden=(8 * width,))
    else:
        net = build(
            "convnet", spec.shape, spec.num_classes, seed, device=device, width=width, depth=convnet_depth(spec)
        )
    return net.requires_grad_(False).eval()


def network_width(spec: DataSpec, width: int) -> int:
    """Values of the embedding of :func:`random_network`, without building it for good."""
    return int(random_network(spec, 0, width, torch.device("cpu")).embedding)  # type: ignore[arg-type]


class Fourier(nn.Module):
    """Random Fourier features (Rahimi & Recht 2007): (cos Wx, sin Wx) / √m, of norm exactly 1.

    Their inner product approximates the Gaussian kernel of length scale ``scale``; x [B, ...] -> [B, 2m].
    """

    frequencies: Tensor

    def __init__(self, inputs: int, frequencies: int, scale: float, seed: int, device: torch.device) -> None:
        super().__init__()
        drawn = torch.randn(inputs, frequencies, generator=torch.Generator().manual_seed(seed)) / scale
        self.register_buffer("frequencies", drawn.to(device))

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, 2m] of x [B, ...]."""
        with torch.autocast(x.device.type, enabled=False):  # a phase of many radians needs its digits
            phase = x.flatten(1).float() @ self.frequencies
        return torch.cat([phase.cos(), phase.sin()], 1) / math.sqrt(phase.shape[1])


class Embedding(nn.Module):
    """A random network's embedding, after an optional public Siamese augmentation, into optional Fourier features."""

    def __init__(
        self,
        net: nn.Module,
        augment: Augment | None = None,
        augment_seed: int = 0,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.net, self.augment, self.augment_seed, self.after = net, augment, augment_seed, after

    def forward(self, x: Tensor) -> Tensor:
        """Embedding [B, k] of records x [B, *shape]."""
        if self.augment is not None:
            x = self.augment(x, self.augment_seed)
        rows = self.net.embed(x).float()  # type: ignore[operator]
        return rows if self.after is None else self.after(rows)


def network_feature(
    spec: DataSpec,
    seed: int,
    *,
    width: int,
    device: torch.device,
    augment: str = "none",
    projection: int = 0,
    frequencies: int = 0,
    scale: float = 1.0,
    public: Tensor | None = None,
    labels: Tensor | None = None,
) -> Feature:
    """The feature of one random network, of unit norm, drawn from a public ``seed``.

    The embedding is centred on the mean embedding of ``public`` records (default: noise), which takes most of what all
    records share out of the norm; with the ``labels`` of those records every class has its own centre, which takes out
    more. ``frequencies`` > 0 puts a Gaussian kernel on top (M3D): its length scale is ``scale``
    times the typical distance between embeddings of the public records.
    """
    net = random_network(spec, seed, width, device)
    siamese = Augment(augment) if spec.kind == "image" and augment != "none" else None
    if public is None:
        public = noise_records(spec, CENTRE_RECORDS, seed).to(device)
    after = None
    if frequencies:
        rows = Embedding(net, siamese, seed)(public)
        typical = max(torch.pdist(rows).median().item(), 1e-2 * rows.norm(dim=1).mean().item())  # were all alike
        after = Fourier(rows.shape[1], frequencies, scale * typical, seed, device)
    embed = Embedding(net, siamese, seed, after)
    with torch.no_grad():
        rows = torch.cat([embed(part) for part in public.split(64)])
    center = rows.mean(0) if labels is None else class_means(rows, labels)
    matrix = None
    if projection:
        drawn = torch.randn(rows.shape[1], projection, generator=torch.Generator().manual_seed(seed))
        matrix = (drawn / math.sqrt(projection)).to(device)
    return Feature(embed, rows.shape[1], 1.0, center=center, projection=matrix, unit=True)


def class_means(rows: Tensor, labels: Tensor) -> Tensor:
    """Means [classes, k] of rows [B, k] of every class that ``labels`` [B] hold, in their order."""
    return torch.stack([rows[labels == label].mean(0) for label in labels.unique()])


def pixel_feature(spec: DataSpec, seed: int, frequencies: int, scale: float, device: torch.device) -> Feature:
    """Random Fourier features of the record itself (DP-MERF), of unit norm; length scale ``scale``·√values."""
    fourier = Fourier(spec.features, frequencies, scale * math.sqrt(spec.features), seed, device)
    return Feature(fourier, 2 * frequencies, 1.0, unit=True)
