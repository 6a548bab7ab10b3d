"""Distribution matching (Zhao & Bilen 2023) with random ConvNets, not private, for one set of members or for K of them at once.

Every step draws a public random network ψ_t and pulls the mean embedding of each synthetic class to that of the members. ψ_t does not depend on
the members, so K shadows share it: the pool passes through ψ_t once, the K × classes means are one product of the membership
matrix with the embeddings, and the K·m synthetic images pass through ψ_t together. Sharing ψ makes the runs' networks public
randomness, on which an attack conditions; the starting noise and the starting records stay each run's own.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attacks.errors import InputError
from attacks.procedures.starts import Init, all_starts, check_start
from attacks.records import Records
from attacks.release_set import ReleaseSet

CHUNK = 100  # images through the network at a time: the activations stay in the cache


@dataclass(frozen=True)
class ConvNetDM:
    """`ipc` images a class after `steps` steps; `init` "noise" (uniform in bounds), "data" (members drawn at random), "mean" or "public".

    Images x [n, C, H, W] within the public `bounds`. The network has `depth` blocks of 3×3 convolution, instance norm, ReLU
    and 2×2 average pooling, `width` channels. `network_seed` names the public sequence of networks.
    """

    ipc: int = 10
    steps: int = 40
    init: Init = "noise"
    width: int = 16
    depth: int = 3
    learning_rate: float = 1.0
    momentum: float = 0.5
    bounds: tuple[float, float] = (0.0, 1.0)
    network_seed: int = 0
    public: Records | None = None
    device: str = "cpu"
    chunk: int = CHUNK

    def __post_init__(self) -> None:
        check_start("convnet_dm", self.init, self.public)
        if min(self.ipc, self.steps, self.width, self.depth) < 1:
            raise InputError("convnet_dm: ipc, steps, width and depth must be at least 1")

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> ReleaseSet:
        return self.many(x, y, np.ones((1, len(x)), dtype=bool), [seed])[0]

    def many(
        self,
        pool_x: np.ndarray,
        pool_y: np.ndarray,
        membership: np.ndarray,
        seeds: list[int],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[ReleaseSet]:
        """Releases of the K subsets in the rows of membership [K, n], as if each had been condensed alone."""
        images, classes = as_images(pool_x).to(self.device), np.unique(pool_y)
        weights = [class_weights(membership, pool_y, label).to(self.device) for label in classes]
        of_class = [torch.from_numpy(np.flatnonzero(pool_y == label)).to(self.device) for label in classes]
        start = all_starts(
            self.init, pool_x, pool_y, membership, seeds, classes, self.ipc, self.bounds, self.public
        )  # [K, classes, ipc, ...]
        synthetic = torch.from_numpy(start).to(self.device).flatten(0, 2).reshape(-1, *images.shape[1:])
        velocity = torch.zeros_like(synthetic)
        for step in range(self.steps):
            network = self._network(images.shape[1], step)
            real = embed(network, images, self.chunk)
            target = torch.stack([w @ real[rows] for w, rows in zip(weights, of_class, strict=True)], dim=1)
            velocity.mul_(self.momentum).add_(self._gradient(network, synthetic, target))
            synthetic.sub_(velocity, alpha=self.learning_rate).clamp_(*self.bounds)
            if progress is not None:
                progress(step + 1, self.steps)
        labels = np.repeat(classes, self.ipc)
        released = synthetic.reshape(len(seeds), len(labels), *pool_x.shape[1:]).cpu().numpy()
        return [ReleaseSet(x.copy(), labels) for x in released]

    def _network(self, channels: int, step: int) -> list[Tensor]:
        """Weights of the public random network of a step: one 3×3 kernel per block, He-normal as the ReLU wants."""
        generator = torch.Generator().manual_seed(self.network_seed * 1_000_003 + step)
        sizes = [channels] + [self.width] * self.depth
        return [
            (torch.randn(out, into, 3, 3, generator=generator) * (2.0 / (9 * into)) ** 0.5).to(self.device)
            for into, out in itertools.pairwise(sizes)
        ]

    def _gradient(self, network: list[Tensor], synthetic: Tensor, target: Tensor) -> Tensor:
        """Gradient of Σ_{k,c} ‖mean ψ(S_kc) − target_kc‖² in the synthetic images, one group of classes at a time."""
        gradient = torch.empty_like(synthetic)
        groups = target.flatten(0, 1)  # [K·classes, f], in the order of the synthetic images
        size = max(1, self.chunk // self.ipc)
        for first in range(0, len(groups), size):
            wanted = groups[first : first + size]
            rows = slice(first * self.ipc, (first + len(wanted)) * self.ipc)
            images = synthetic[rows].detach().requires_grad_(True)
            means = forward(network, images).reshape(len(wanted), self.ipc, -1).mean(dim=1)
            (gradient[rows],) = torch.autograd.grad(((means - wanted) ** 2).sum(), images)
        return gradient


def forward(network: list[Tensor], images: Tensor) -> Tensor:
    """Embeddings [N, f]; each image's depends on that image alone."""
    for kernel in network:
        images = F.conv2d(images, kernel, padding=1)
        images = F.relu(F.group_norm(images, images.shape[1]))  # one channel a group: instance norm, and faster
        images = F.avg_pool2d(images, 2) if min(images.shape[-2:]) > 1 else images
    return images.flatten(1)


@torch.no_grad()
def embed(network: list[Tensor], images: Tensor, chunk: int = CHUNK) -> Tensor:
    """Embeddings of many images, chunk by chunk."""
    return torch.cat([forward(network, part) for part in images.split(chunk)])


def class_weights(membership: np.ndarray, y: np.ndarray, label: int) -> Tensor:
    """Rows [K, n_label] that average the members of a class in each of the K subsets."""
    mask = membership[:, y == label].astype(np.float32)
    counts = mask.sum(axis=1, keepdims=True)
    if (counts == 0).any():
        raise InputError(f"convnet_dm: class {label} has no member in a shadow; give a larger pool or fewer classes")
    return torch.from_numpy(mask / counts)


def as_images(x: np.ndarray) -> Tensor:
    """Records as [N, C, H, W]; a missing channel axis is added."""
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4:
        raise InputError(f"convnet_dm: records have shape {x.shape[1:]}, expected images [C, H, W] or [H, W]")
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
