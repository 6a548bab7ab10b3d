"""Distribution matching (Zhao & Bilen, WACV 2023), private: class means of random networks' embeddings.

Every network is a public seed. Its answer, one noisy mean per class, is released once and reused without limit
(the one-shot form); or each is used for a single step and dropped (the per-step form of NDPDC, Zheng & Li 2023).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch.optim import Adam

from dpcond.augment import default_strategy
from dpcond.methods.base import Cost, Method, Options, Run, class_sizes, with_counts
from dpcond.methods.checkpoint import Checkpoint
from dpcond.methods.features import SMALLEST, network_feature, network_width
from dpcond.methods.matching import ReleasedMeans, match_means, mean_distance, rehearse_means, release_means
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.privacy.queries import ClassSums, Feature
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

STAGE = "means"
BATCH = (
    3000  # expected records per release: sampling error stays well under the noise, and time is spent on more networks
)


class DMOptions(Options):
    """Options of distribution matching."""

    networks: int | None = Field(
        None, ge=1, description="random networks, one release each; default: one per 300 declared records, 4 to 200"
    )
    rate: float | None = Field(
        None, gt=0, le=1, description="sampling rate; default: 3000 expected records per release"
    )
    width: int = Field(64, ge=1, description="channels of a network's blocks")
    projection: int = Field(0, ge=0, description="project embeddings to so many dimensions first; 0: none")
    augment: bool = Field(True, description="one Siamese augmentation per network, on both sides")
    schedule: Literal["one-shot", "per-step"] = Field("one-shot", description="reuse every answer, or use each once")
    steps: int = Field(2500, ge=1, description="matching steps (one-shot)")
    networks_per_step: int = Field(1, ge=1, description="networks matched in one step (one-shot)")
    lr: float = Field(0.05, gt=0, description="Adam's step on the pixels")
    factor: int = Field(1, ge=1, description="multi-formation: images stored in one, per side")


def feature(spec: DataSpec, index: int, options: DMOptions, run: Run) -> Feature:
    """The ``index``-th public feature of a run."""
    return network_feature(
        spec,
        run.public_seed(index),
        width=options.width,
        device=run.device,
        augment=default_strategy(spec.name) if options.augment else "none",
        projection=options.projection,
    )


def default_networks(spec: DataSpec) -> int:
    """Networks that the declared size affords: the noise of each grows with their number, its signal with the records."""
    return max(4, min(200, spec.records // 300))


def default_rate(spec: DataSpec, records: int = BATCH) -> float:
    """Sampling rate at which a release sees so many ``records`` in expectation, from the declared size."""
    return min(1.0, records / spec.records)


def stages(spec: DataSpec, ipc: int, options: DMOptions) -> tuple[Stage, ...]:
    """One stage of ``networks`` releases (and the class counts, when they are private)."""
    size = options.projection or network_width(spec, options.width)
    means = Stage(
        STAGE,
        options.networks or default_networks(spec),
        spec.num_classes * size,
        share=1.0,
        sampling_rate=options.rate or default_rate(spec),
        purpose="class means of random networks' embeddings",
        keep=options.schedule == "one-shot",
    )
    return with_counts(spec, means)


def condense(curator: Curator, options: DMOptions, run: Run) -> SyntheticSet:
    """Ask, then match."""
    spec = curator.spec
    synthetic = SyntheticSet.start(spec, run.ipc, run.seed, options.factor).to(run.device)
    if options.schedule == "per-step":
        return _per_step(curator, synthetic, options, run)
    released = release_means(curator, STAGE, lambda i: feature(spec, i, options, run), run)
    return match_means(synthetic, released, run, steps=options.steps, lr=options.lr, per_step=options.networks_per_step)


def _per_step(curator: Curator, synthetic: SyntheticSet, options: DMOptions, run: Run) -> SyntheticSet:
    spec, count = curator.spec, curator.plan.stage(STAGE).count
    expected = (class_sizes(curator) * curator.plan.stage(STAGE).sampling_rate)[:, None]
    optimizer = Adam([synthetic.pixels], lr=options.lr)
    checkpoint = Checkpoint(run, "per-step", synthetic, optimizer)
    checkpoint.restore()
    for index in range(curator.charged(STAGE), count):  # what a crash has spent stays spent
        public = feature(spec, index, options, run)
        answer = curator.ask(STAGE, index, ClassSums(public, spec.num_classes, f"{STAGE}/{run.seed}/{index}"))
        loss = mean_distance(synthetic.decode()[0], ReleasedMeans(public, (answer / expected).to(run.device)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        synthetic.clamp_()
        checkpoint.maybe_save()
        run.progress(index + 1, count, "condensing")
    return synthetic


def rehearse(spec: DataSpec, options: DMOptions, run: Run) -> Cost:
    """Expected cost, measured on noise."""
    one_shot = options.schedule == "one-shot"
    stage = stages(spec, run.ipc, options)[-1]
    steps = options.steps * options.networks_per_step if one_shot else stage.count
    return rehearse_means(spec, stage, feature(spec, 0, options, run), run, steps, options.factor)


METHOD = Method(
    name="dm",
    summary="distribution matching: class means of many random networks, released once",
    source="Zhao & Bilen, WACV 2023; private per-step form: Zheng & Li 2023 (NDPDC)",
    options=DMOptions,
    stages=stages,
    condense=condense,
    rehearse=rehearse,
    smallest=SMALLEST,
)
