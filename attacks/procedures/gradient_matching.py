"""Gradient matching (DC, Zhao et al. 2021; DSA, Zhao & Bilen 2021) at public random networks, for K sets of members at once.

Every step draws a public random network θ_t and turns each synthetic class's gradient of the loss towards that of the members. As θ_t does not depend
on the members, the pool's per-example gradients are computed once and the K × classes means are products of the membership matrix. The
published methods also train θ on the synthetic set between steps; that inner loop is left out here, so these are DC and DSA at random networks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from attacks.errors import InputError
from attacks.procedures.augment import siamese
from attacks.procedures.convnet_dm import as_images, class_weights
from attacks.procedures.starts import Init, all_starts, check_start
from attacks.records import Records
from attacks.release_set import ReleaseSet
from attacks.students.networks import NETWORKS, Perceptron, SmallConvNet

GROUPS = 64  # synthetic classes differentiated at a time
EXAMPLES = 200  # per-example gradients at a time
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class GradientMatching:
    """`ipc` images a class after `steps` steps; `augment` makes it DSA. Images x [n, C, H, W] within the public `bounds`."""

    ipc: int = 10
    steps: int = 40
    init: Init = "noise"
    augment: bool = False
    network: str = "mlp"
    width: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.5
    bounds: tuple[float, float] = (0.0, 1.0)
    network_seed: int = 0
    public: Records | None = None
    device: str = "cpu"
    groups: int = GROUPS
    examples: int = EXAMPLES

    def __post_init__(self) -> None:
        check_start("gradient_matching", self.init, self.public)
        if min(self.ipc, self.steps, self.width) < 1 or self.network not in NETWORKS:
            raise InputError(
                f"gradient_matching: ipc, steps and width must be at least 1 and network one of {', '.join(NETWORKS)}"
            )

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
        images, (classes, places) = as_images(pool_x).to(self.device), np.unique(pool_y, return_inverse=True)
        weights = [class_weights(membership, pool_y, label).to(self.device) for label in classes]
        of_class = [torch.from_numpy(np.flatnonzero(pool_y == label)).to(self.device) for label in classes]
        start = all_starts(
            self.init, pool_x, pool_y, membership, seeds, classes, self.ipc, self.bounds, self.public
        )  # [K, classes, ipc, ...]
        synthetic = (
            torch.from_numpy(start).to(self.device).reshape(-1, self.ipc, *images.shape[1:])
        )  # [K·classes, ipc, C, H, W]
        labels = torch.from_numpy(places).to(self.device)
        own = torch.arange(len(classes), device=self.device).repeat(len(seeds))
        velocity = torch.zeros_like(synthetic)
        for step in range(self.steps):
            network, theta = self._network(tuple(images.shape[1:]), len(classes), step)
            view = self._view(step)
            target = [
                torch.stack(means, dim=1).flatten(0, 1)
                for means in zip(
                    *(
                        _mean_gradients(network, theta, view(images[rows]), labels[rows], w, self.examples)
                        for rows, w in zip(of_class, weights, strict=True)
                    ),
                    strict=True,
                )
            ]  # per tensor of θ: [K·classes, ...]
            velocity.mul_(self.momentum).add_(_pull(network, theta, synthetic, own, target, view, self.groups))
            synthetic.sub_(velocity, alpha=self.learning_rate).clamp_(*self.bounds)
            if progress is not None:
                progress(step + 1, self.steps)
        released = synthetic.reshape(len(seeds), -1, *pool_x.shape[1:]).cpu().numpy()
        return [ReleaseSet(x.copy(), np.repeat(classes, self.ipc)) for x in released]

    def _view(self, step: int) -> Callable[[Tensor], Tensor]:
        """The step's public augmentation, or none."""
        seed = self.network_seed * 1_000_003 + step
        return (lambda images: siamese(images, seed)) if self.augment else (lambda images: images)

    def _network(self, shape: tuple[int, ...], classes: int, step: int) -> tuple[torch.nn.Module, Weights]:
        """The public random network of a step."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.network_seed * 1_000_003 + step)
            kind = Perceptron if self.network == "mlp" else SmallConvNet
            network = kind(shape, classes, self.width)
        network = network.to(self.device)
        return network, {name: w.detach() for name, w in network.named_parameters()}


def _loss(network: torch.nn.Module, theta: Weights, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(functional_call(network, theta, (x,)), y)


def _mean_gradients(
    network: torch.nn.Module, theta: Weights, x: Tensor, y: Tensor, weights: Tensor, examples: int = EXAMPLES
) -> list[Tensor]:
    """Gradients of the loss averaged with weights [K, n] over records of one class; per tensor of θ: [K, ...]."""
    each = vmap(grad(lambda t, a, b: _loss(network, t, a[None], b[None])), in_dims=(None, 0, 0))
    totals: list[Tensor] = []
    parts = zip(x.split(examples), y.split(examples), weights.split(examples, dim=1), strict=True)
    for a, b, w in parts:
        sums = [(w @ g.flatten(1)).reshape(len(w), *g.shape[1:]) for g in each(theta, a, b).values()]
        totals = [t + s for t, s in zip(totals, sums, strict=True)] if totals else sums
    return totals


def _pull(
    network: torch.nn.Module,
    theta: Weights,
    synthetic: Tensor,
    labels: Tensor,
    target: list[Tensor],
    view: Callable[[Tensor], Tensor],
    groups: int = GROUPS,
) -> Tensor:
    """Gradient of Σ_groups D(∇θ loss of the group, target) in the synthetic images [G, ipc, C, H, W]."""
    per_group = vmap(
        grad(lambda t, a, b: _loss(network, t, a, b)), in_dims=(None, 0, 0)
    )  # each group's images share one class
    found = torch.empty_like(synthetic)
    for rows in torch.arange(len(synthetic), device=synthetic.device).split(groups):
        images = synthetic[rows].detach().requires_grad_(True)
        y = labels[rows][:, None].expand(-1, images.shape[1])
        seen = view(images.flatten(0, 1)).reshape(images.shape)
        made = per_group(theta, seen, y).values()
        loss = sum((distance(g, t[rows]) for g, t in zip(made, target, strict=True)), images.new_zeros(()))
        (found[rows],) = torch.autograd.grad(loss, images)
    return found


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Σ over output units of 1 − cosine (the published layer-wise distance); biases, which hold no direction per unit, are left out."""
    if a.ndim < 3:
        return a.new_zeros(())
    return (1 - F.cosine_similarity(a.flatten(2), b.flatten(2), dim=-1, eps=1e-8)).sum()
