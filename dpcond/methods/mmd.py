"""Kernel mean matching on random networks (M3D's kernel form; Zhang et al., AAAI 2024), private.

The squared maximum mean discrepancy under a Gaussian kernel of the embedding is the squared distance between means of
random Fourier features, whose norm is 1: the sensitivity is exact, with no bound to tune.
"""

from __future__ import annotations

from pydantic import Field

from dpcond.methods.base import Cost, Method, Options, Run, with_counts
from dpcond.methods.dm import default_networks, default_rate
from dpcond.methods.features import SMALLEST, network_feature
from dpcond.methods.matching import match_means, rehearse_means, release_means
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.privacy.queries import Feature
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

STAGE = "kernel-means"


class MMDOptions(Options):
    """Options of kernel mean matching."""

    networks: int | None = Field(
        None, ge=1, description="random networks, one release each; default: one per 300 declared records, 4 to 200"
    )
    rate: float | None = Field(
        None, gt=0, le=1, description="sampling rate; default: 3000 expected records per release"
    )
    width: int = Field(64, ge=1, description="channels of a network's blocks")
    frequencies: int = Field(1024, ge=1, description="random Fourier frequencies per network")
    scale: float = Field(1.0, gt=0, description="kernel length, over the typical distance of embedded noise")
    steps: int = Field(3000, ge=1, description="matching steps")
    lr: float = Field(0.05, gt=0, description="Adam's step on the pixels")
    factor: int = Field(1, ge=1, description="multi-formation: images stored in one, per side")


def stages(spec: DataSpec, ipc: int, options: MMDOptions) -> tuple[Stage, ...]:
    """One stage of ``networks`` releases (and the class counts, when they are private)."""
    means = Stage(
        STAGE,
        options.networks or default_networks(spec),
        spec.num_classes * 2 * options.frequencies,
        share=1.0,
        sampling_rate=options.rate or default_rate(spec),
        purpose="class means of random Fourier features of random networks' embeddings",
    )
    return with_counts(spec, means)


def feature(spec: DataSpec, index: int, options: MMDOptions, run: Run) -> Feature:
    """The ``index``-th public feature of a run."""
    return network_feature(
        spec,
        run.public_seed(index),
        width=options.width,
        device=run.device,
        frequencies=options.frequencies,
        scale=options.scale,
    )


def condense(curator: Curator, options: MMDOptions, run: Run) -> SyntheticSet:
    """Ask, then match."""
    spec = curator.spec
    released = release_means(curator, STAGE, lambda i: feature(spec, i, options, run), run)
    synthetic = SyntheticSet.start(spec, run.ipc, run.seed, options.factor).to(run.device)
    return match_means(synthetic, released, run, steps=options.steps, lr=options.lr)


def rehearse(spec: DataSpec, options: MMDOptions, run: Run) -> Cost:
    """Expected cost, measured on noise."""
    stage = stages(spec, run.ipc, options)[-1]
    return rehearse_means(spec, stage, feature(spec, 0, options, run), run, options.steps, options.factor)


METHOD = Method(
    name="mmd",
    summary="kernel mean matching: random Fourier features of random networks, released once",
    source="Zhang et al., AAAI 2024 (M3D), with the kernel in explicit features",
    options=MMDOptions,
    stages=stages,
    condense=condense,
    rehearse=rehearse,
    smallest=SMALLEST,
)
