"""Gradient matching (Zhao, Mopuri & Bilen, ICLR 2021), private: one noisy gradient of a mixed-class batch per network.

The mixed-class form (Lee et al. 2022, DCC; Chen et al. 2022, PSG) asks for one gradient instead of one per class, so
the noise has a tenth of the dimensions. Networks are trained on the synthetic set alone. A gradient, once released, is
matched as often as one likes at the network it belongs to. ``augment`` makes it DSA: both sides see one augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.optim import SGD, Adam

from dpcond.augment import Augment, default_strategy
from dpcond.errors import AnswerLost
from dpcond.methods.base import Cost, Method, Options, Run, seconds, with_counts
from dpcond.methods.checkpoint import Checkpoint
from dpcond.methods.features import SMALLEST, convnet_depth, noise_records
from dpcond.methods.warm import mean_stage, warm_start
from dpcond.models import build
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.privacy.queries import GradientSum
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

STAGE = "gradients"
BATCH = 1024  # expected records per gradient
MEANS_SHARE = 0.1  # of the budget, for the class means to start from
SPREAD = 0.5  # of the noise that sets images of one class apart, in normalised units


class DCOptions(Options):
    """Options of gradient matching."""

    networks: int = Field(10, ge=1, description="networks started afresh")
    gradients: int = Field(10, ge=1, description="gradients asked along each network's training")
    rate: float | None = Field(None, gt=0, le=1, description="sampling rate; default: 1024 expected records a gradient")
    clip: float = Field(1.0, gt=0, description="clipping norm of one record's gradient")
    width: int = Field(32, ge=1, description="channels of a network's blocks (tables: hidden units / 4)")
    distance: Literal["mse", "cosine"] = Field("mse", description="matching distance; cosine acts row by row")
    augment: bool = Field(False, description="DSA: one Siamese augmentation on both sides of each gradient")
    matches: int = Field(5, ge=1, description="image updates per released gradient")
    train_steps: int = Field(5, ge=0, description="network updates on the synthetic set between gradients")
    train_lr: float = Field(0.01, gt=0, description="SGD step of the network")
    lr: float = Field(0.02, gt=0, description="Adam step on the pixels")
    start: Literal["means", "noise"] = Field(
        "means", description="start from noisy class means (charged), or from noise"
    )


def network(spec: DataSpec, seed: int, width: int, device: torch.device | str = "cpu") -> nn.Module:
    """The network whose gradients are matched: a ConvNet for images, an MLP for tables."""
    if spec.kind == "table":
        return build("mlp", spec.shape, spec.num_classes, seed, device=device, hidden=(4 * width, 4 * width))
    return build("convnet", spec.shape, spec.num_classes, seed, device=device, width=width, depth=convnet_depth(spec))


def stages(spec: DataSpec, ipc: int, options: DCOptions) -> tuple[Stage, ...]:
    """Networks × gradients Poisson-subsampled releases, behind one of the class means when it starts from them."""
    parameters = sum(p.numel() for p in network(spec, 0, options.width).parameters())
    gradients = Stage(
        STAGE,
        options.networks * options.gradients,
        parameters,
        share=1.0 if options.start == "noise" else 1.0 - MEANS_SHARE,
        sampling_rate=options.rate or min(1.0, BATCH / spec.records),
        purpose="clipped gradients of networks trained on the synthetic set",
        keep=False,
    )
    if options.start == "noise":
        return (gradients,)
    return with_counts(spec, mean_stage(spec, MEANS_SHARE), gradients)


def distance(ours: list[Tensor], theirs: list[Tensor], kind: str) -> Tensor:
    """Distance between two gradients given as lists of parameter-shaped tensors.

    ``mse``: squared distance. ``cosine``: Σ over output rows of 1 − cos, weights only (Zhao et al. 2021, eq. 7);
    it normalises every row, and with it the noise, so it is the weaker one under privacy.
    """
    if kind == "mse":
        return torch.stack([(a - b).square().sum() for a, b in zip(ours, theirs, strict=True)]).sum()
    rows = [(a.flatten(1), b.flatten(1)) for a, b in zip(ours, theirs, strict=True) if a.ndim > 1]
    return torch.stack([(1 - F.cosine_similarity(a, b, dim=1, eps=1e-6)).sum() for a, b in rows]).sum()


def condense(curator: Curator, options: DCOptions, run: Run) -> SyntheticSet:
    """Walk through networks; at each point ask for one noisy gradient, match it, train the network on, repeat."""
    spec, planned = curator.spec, curator.plan.stage(STAGE)
    expected = planned.sampling_rate * spec.records
    if options.start == "means":
        synthetic = warm_start(curator, run, SPREAD).to(run.device)
    else:
        synthetic = SyntheticSet.start(spec, run.ipc, run.seed).to(run.device)
    optimizer = Adam([synthetic.pixels], lr=options.lr)
    checkpoint = Checkpoint(run, "gradients", synthetic, optimizer)
    checkpoint.restore()
    augment = Augment(default_strategy(spec.name)) if options.augment and spec.kind == "image" else None
    done = curator.charged(STAGE)  # what a crash has spent stays spent: go on behind it
    for index in range(done, planned.count):
        step = index % options.gradients
        if step == 0 or index == done:
            net = network(spec, run.public_seed(index // options.gradients), options.width, run.device)
            train(net, synthetic, options, step * options.train_steps, augment, run.seed + index)
        seed = run.public_seed(index)
        view = None if augment is None else (lambda x, seed=seed: augment(x, seed))
        query = GradientSum(net, options.clip, f"{STAGE}/{run.seed}/{index}", transform=view)
        try:
            answer = (curator.ask(STAGE, index, query) / expected).to(run.device)
        except AnswerLost:
            continue
        target = unflatten(answer, net)
        for group in optimizer.param_groups:  # a cosine over the plan, so that a resumed run is where it was
            group["lr"] = options.lr * (1 + math.cos(math.pi * index / planned.count)) / 2
        for _ in range(options.matches):
            optimizer.zero_grad()
            distance(synthetic_gradient(net, synthetic, options.clip, view), target, options.distance).backward()
            optimizer.step()
            synthetic.clamp_()
        train(net, synthetic, options, options.train_steps, augment, run.seed + index)
        checkpoint.maybe_save()
        run.progress(index + 1, planned.count, "condensing")
    return synthetic


def unflatten(flat: Tensor, net: nn.Module) -> list[Tensor]:
    """A flat gradient [parameters] as one tensor per parameter."""
    params = list(net.parameters())
    return [part.view_as(p) for part, p in zip(flat.split([p.numel() for p in params]), params, strict=True)]


def synthetic_gradient(
    net: nn.Module, synthetic: SyntheticSet, clip: float, view: Callable[[Tensor], Tensor] | None = None
) -> list[Tensor]:
    """What the query asks for, of the synthetic set: mean of clipped per-example gradients, differentiable in the pixels."""
    params = {n: p.detach() for n, p in net.named_parameters()}
    x, y = synthetic.decode()
    if view is not None:
        x = view(x)

    def loss(p: dict[str, Tensor], record: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(net, p, (record[None],)), label[None])

    grads = list(vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y).values())
    norms = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).clamp_min(1e-24).sqrt()
    scales = (clip / norms).clamp_max(1.0) / len(y)
    return [torch.einsum("b,b...->...", scales, g) for g in grads]


def train(
    net: nn.Module, synthetic: SyntheticSet, options: DCOptions, steps: int, augment: Augment | None, seed: int
) -> None:
    """Train the network on the synthetic set alone, in place."""
    optimizer = SGD(net.parameters(), lr=options.train_lr, momentum=0.9)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        examples, labels = synthetic.decode()
    for _ in range(steps):
        chosen = torch.randperm(len(labels), generator=random)[:256].to(labels.device)
        x = examples[chosen] if augment is None else augment(examples[chosen], random)
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels[chosen]).backward()
        optimizer.step()


def rehearse(spec: DataSpec, options: DCOptions, run: Run) -> Cost:
    """Expected cost, measured on noise."""
    stage = stages(spec, run.ipc, options)[-1]
    net = network(spec, 0, options.width, run.device)
    records, labels = noise_records(spec, 32, 0).to(run.device), torch.zeros(32, dtype=torch.long, device=run.device)
    query = GradientSum(net, options.clip, "rehearsal")
    asking = seconds(lambda: query.sum(records, labels)) / 32 * spec.records * stage.sampling_rate * stage.count
    synthetic = SyntheticSet.start(spec, run.ipc, 0).to(run.device)
    target = [torch.zeros_like(p) for p in net.parameters()]

    def match() -> None:
        distance(synthetic_gradient(net, synthetic, options.clip), target, options.distance).backward()

    per_gradient = options.matches * seconds(match)
    per_gradient += options.train_steps * seconds(lambda: train(net, synthetic, options, 1, None, 0))
    return Cost(asking, per_gradient * stage.count, 8 * query.dimension)


METHOD = Method(
    name="dc",
    summary="gradient matching: noisy gradients of networks trained on the synthetic set",
    source="Zhao, Mopuri & Bilen, ICLR 2021; mixed-class private form: Chen, Kerkouche & Fritz, NeurIPS 2022 (PSG)",
    options=DCOptions,
    stages=stages,
    condense=condense,
    rehearse=rehearse,
    smallest=SMALLEST,
)
