"""Kernel inducing points and label-solve (KIP, Nguyen et al. 2021), with the tangent kernel of a wide fully connected network; not private.

The kernel is a fixed public function of inner products, so K runs are one batched regression. Points follow the gradient of the
regression's loss on batches of members; labels are the exact least-squares solution over all members.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attacks.errors import InputError
from attacks.procedures.convnet_dm import as_images, class_weights
from attacks.procedures.starts import Init, all_starts, check_start
from attacks.records import Records
from attacks.release_set import ReleaseSet

BIAS = 0.1  # variance of the first layer's bias
EDGE = 1e-6  # keeps the angle's derivative finite for equal inputs


@dataclass(frozen=True)
class KernelInducing:
    """`ipc` points a class after `steps` steps of Adam (0: the start stays); `solve_labels` releases learnt labels besides.

    Images x [n, ...] within the public `bounds`; `batch` members a step; `ridge` relative to the kernel's mean diagonal.
    """

    ipc: int = 10
    steps: int = 40
    init: Init = "noise"
    solve_labels: bool = False
    batch: int = 256
    depth: int = 2
    ridge: float = 1e-3
    learning_rate: float = 0.02
    bounds: tuple[float, float] = (0.0, 1.0)
    public: Records | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_start("kernel_inducing", self.init, self.public)
        if min(self.ipc, self.batch, self.depth) < 1 or self.steps < 0:
            raise InputError("kernel_inducing: ipc, batch and depth must be at least 1, steps at least 0")

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
        classes, places = np.unique(pool_y, return_inverse=True)
        for label in classes:
            class_weights(membership, pool_y, label)  # refuses a class without members
        start = all_starts(
            self.init, pool_x, pool_y, membership, seeds, classes, self.ipc, self.bounds, self.public
        )  # [K, classes, ipc, ...]
        rows = as_images(pool_x).to(self.device).flatten(1)
        goals = _centred(torch.from_numpy(places), len(classes)).to(self.device)
        points = torch.from_numpy(start).to(self.device).reshape(len(seeds), len(classes) * self.ipc, -1)
        points.requires_grad_(True)
        fixed = _centred(torch.arange(len(classes)).repeat_interleave(self.ipc), len(classes)).to(self.device)
        members = [torch.from_numpy(np.flatnonzero(row)) for row in membership]
        draws = [np.random.default_rng([seed, 1]) for seed in seeds]
        optimiser = torch.optim.Adam([points], lr=self.learning_rate)
        for step in range(self.steps):
            chosen = torch.stack(
                [
                    mine[torch.from_numpy(draw.integers(len(mine), size=self.batch))]
                    for mine, draw in zip(members, draws, strict=True)
                ]
            )
            predicted = self._attention(points, rows[chosen]) @ fixed
            optimiser.zero_grad(set_to_none=True)
            ((predicted - goals[chosen]) ** 2).mean((1, 2)).sum().backward()
            optimiser.step()
            with torch.no_grad():
                points.clamp_(*self.bounds)
            if progress is not None:
                progress(step + 1, self.steps)
        released = points.detach().cpu()
        labels = np.repeat(classes, self.ipc)
        shape = (len(labels), *pool_x.shape[1:])
        return [
            ReleaseSet(x.reshape(shape).numpy().copy(), labels, self._solved(x, rows[mine].cpu(), goals[mine].cpu()))
            for x, mine in zip(released, members, strict=True)
        ]

    def _attention(self, points: Tensor, targets: Tensor) -> Tensor:
        """A = K_ts (K_ss + λI)⁻¹ [..., t, m]: predictions on the targets are A times the labels of the points."""
        inner = kernel(points, points, self.depth)
        mean = inner.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        inner = inner + self.ridge * mean * torch.eye(inner.shape[-1], device=inner.device)
        return torch.linalg.solve(inner, kernel(points, targets, self.depth)).mT

    def _solved(self, points: Tensor, targets: Tensor, goals: Tensor) -> np.ndarray | None:
        """Labels [m, classes] that minimise ‖goals − A labels‖² + ridge ‖labels‖², the centre of one-hot labels added back."""
        if not self.solve_labels:
            return None
        a = self._attention(points.double(), targets.double())
        gram = a.mT @ a
        gram += self.ridge * gram.diagonal().mean() * torch.eye(len(gram))
        solved = torch.linalg.solve(gram, a.mT @ goals.double())
        return (solved + 1 / goals.shape[1]).float().numpy()


def kernel(a: Tensor, b: Tensor, depth: int = 2) -> Tensor:
    """Tangent kernel [..., A, B] of a wide ReLU network with `depth` hidden layers (Jacot et al. 2018; arc-cosine, Cho & Saul 2009)."""
    size = a.shape[-1]
    covariance = a @ b.mT / size + BIAS
    norm_a, norm_b = ((x * x).sum(-1) / size + BIAS for x in (a, b))
    scale = (norm_a[..., :, None] * norm_b[..., None, :]).sqrt()  # ReLU with He weights keeps the diagonal
    tangent = covariance
    for _ in range(depth):
        cosine = (covariance / scale).clamp(-1 + EDGE, 1 - EDGE)
        angle = torch.acos(cosine)
        covariance = scale * (torch.sin(angle) + (torch.pi - angle) * cosine) / torch.pi
        tangent = tangent * (torch.pi - angle) / torch.pi + covariance
    return tangent


def _centred(labels: Tensor, classes: int) -> Tensor:
    """One-hot labels less 1/classes."""
    return torch.nn.functional.one_hot(labels, classes).float() - 1 / classes
