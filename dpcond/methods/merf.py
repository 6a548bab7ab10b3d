"""DP-MERF (Harder, Adamczewski & Park, AISTATS 2021): one noisy mean embedding of random Fourier features ⊗ labels.

Its norm is 1 by construction, so the sensitivity under add/remove is 1. The embedding is realised as learned points,
or by a small generator trained on it, whose samples are the release.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from dpcond.methods.base import Cost, Method, Options, Run, with_counts
from dpcond.methods.features import pixel_feature
from dpcond.methods.matching import ReleasedMeans, match_means, rehearse_means, release_means
from dpcond.models import initialise
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

STAGE = "embedding"


class MERFOptions(Options):
    """Options of DP-MERF."""

    frequencies: int = Field(5000, ge=1, description="random Fourier frequencies")
    scale: float = Field(0.75, gt=0, description="kernel length, over the square root of the values per record")
    realise: Literal["points", "generator"] = Field("points", description="learn the records, or a generator of them")
    steps: int = Field(2000, ge=1, description="matching steps")
    lr: float = Field(0.02, gt=0, description="Adam's step")
    batch: int = Field(50, ge=1, description="generated records per class and step (generator)")


def stages(spec: DataSpec, ipc: int, options: MERFOptions) -> tuple[Stage, ...]:
    """One release over all records (and the class counts, when they are private)."""
    size = spec.num_classes * 2 * options.frequencies
    return with_counts(spec, Stage(STAGE, 1, size, share=1.0, purpose="mean embedding of random Fourier features"))


class Generator(nn.Module):
    """A small class-conditional generator: code and one-hot label in, a record within the public bounds out."""

    CODE = 10
    low: Tensor
    high: Tensor

    def __init__(self, like: SyntheticSet, seed: int) -> None:
        super().__init__()
        self.shape = like.pixels.shape[1:]
        self.classes = like.num_classes
        self.register_buffer("low", like.low)
        self.register_buffer("high", like.high)
        inputs = self.CODE + self.classes
        self.body = initialise(
            nn.Sequential(
                nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, self.shape.numel())
            ),
            seed,
        )

    def forward(self, labels: Tensor, random: torch.Generator) -> Tensor:
        """Records [B, *shape] for labels [B]."""
        code = torch.randn(len(labels), self.CODE, generator=random).to(labels.device)
        rows = self.body(torch.cat([code, nn.functional.one_hot(labels, self.classes).float()], 1))
        return self.low + (self.high - self.low) * rows.sigmoid().view(-1, *self.shape)


def condense(curator: Curator, options: MERFOptions, run: Run) -> SyntheticSet:
    """Ask once, then realise."""
    spec = curator.spec
    public = pixel_feature(spec, run.seed, options.frequencies, options.scale, run.device)
    released = release_means(curator, STAGE, lambda _: public, run)
    synthetic = SyntheticSet.start(spec, run.ipc, run.seed).to(run.device)
    if options.realise == "points":
        return match_means(synthetic, released, run, steps=options.steps, lr=options.lr)
    return _generate(synthetic, released[0], options, run)


def _generate(synthetic: SyntheticSet, released: ReleasedMeans, options: MERFOptions, run: Run) -> SyntheticSet:
    generator = Generator(synthetic, run.seed).to(run.device)
    random = torch.Generator().manual_seed(run.seed)
    optimizer = Adam(generator.parameters(), lr=options.lr / 10)
    schedule = CosineAnnealingLR(optimizer, options.steps)
    labels = torch.arange(synthetic.num_classes, device=run.device).repeat_interleave(options.batch)
    for step in range(options.steps):
        rows = released.feature.public(generator(labels, random))
        means = rows.view(synthetic.num_classes, options.batch, -1).mean(1)
        loss = (means - released.means).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        run.progress(step + 1, options.steps, "matching")
    with torch.no_grad():
        synthetic.pixels.copy_(generator(synthetic.labels, random))
    return synthetic


def rehearse(spec: DataSpec, options: MERFOptions, run: Run) -> Cost:
    """Expected cost, measured on noise (a generator's steps are priced as those of points)."""
    public = pixel_feature(spec, 0, options.frequencies, options.scale, run.device)
    return rehearse_means(spec, stages(spec, run.ipc, options)[-1], public, run, options.steps)


METHOD = Method(
    name="merf",
    summary="DP-MERF: one noisy mean embedding of random Fourier features",
    source="Harder, Adamczewski & Park, AISTATS 2021",
    options=MERFOptions,
    stages=stages,
    condense=condense,
    rehearse=rehearse,
)
