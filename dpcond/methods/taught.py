"""Kernel mean matching from a varied private start, under a private teacher: planned stages, then free work.

1. the mean image of each class;
2. moments, then clusters within each class, in low frequencies: they make a varied start, which is also the public
   set that later features are centred on, class by class;
3. a linear teacher on scattering features (DP-SGD), which keeps the images typical of their class while they are
   matched, and labels them softly in the end;
4. class means of random Fourier features of many random networks' embeddings, released once and matched without limit.

Each answer is paid for once; all that follows is post-processing.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dpcond.augment import default_strategy
from dpcond.errors import InputError
from dpcond.methods.base import Cost, Method, Options, Run, seconds, with_counts
from dpcond.methods.clusters import cluster_stages, rehearse_clusters, varied_start
from dpcond.methods.dm import default_networks, default_rate
from dpcond.methods.features import SMALLEST, network_feature, noise_records
from dpcond.methods.matching import match_means, rehearse_means, release_means
from dpcond.methods.teacher import STEPS, Teacher, rehearse_teacher, teacher_features, teacher_stage, train_teacher
from dpcond.methods.warm import mean_stage, released_means
from dpcond.models import computing, fastest
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Plan, Stage
from dpcond.privacy.queries import Feature
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet, tiled

STAGE = "kernel-means"
MEANS, MOMENTS = (
    0.03,
    0.07,
)  # shares of the budget; those of clusters and teacher are options, kernel means have the rest
RECORDS = 6_000  # expected in a release of kernel means: 3,000 double the squared error at ε = 10, more win little
PUBLIC = 10  # images of a class of the start on which features are centred
GRAIN = 0.3  # of noise on those: what the start leaves out, and a spread even where all of them are alike
BATCH = 20  # examples of a class that a matching step looks at
LOOKS = 1500  # steps that look at any one image, at least
FINE, QUIET = 0.5, 0.005  # the kernel's length scale where noise is small, and the squared error of a mean that is
SOFT, FIRM = 3.0, 2.0  # temperatures of the labels of grey images, and in colour, where a teacher is less sure
GUIDED = 20  # examples that the teacher judges in a step


class TaughtOptions(Options):
    """Options of matching under a teacher."""

    networks: int | None = Field(
        None,
        ge=1,
        description="random networks, one release each; default: one per 600 declared records, 4 to 100, times factor²",
    )
    rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"sampling rate; default: {RECORDS:,} expected records per release",
    )
    width: int = Field(64, ge=1, description="channels of a network's blocks")
    frequencies: int = Field(512, ge=1, description="random Fourier frequencies per network")
    clusters: float = Field(0.1, gt=0, lt=0.5, description="the clusters' share of the budget")
    teacher: float = Field(0.2, gt=0, lt=0.4, description="the teacher's share of the budget")
    teacher_steps: int = Field(STEPS, ge=1, description="gradients that the teacher is trained with")
    guidance: float = Field(0.3, ge=0, description="weight of the teacher's judgement while matching")
    temperature: float | None = Field(
        None, gt=0, description=f"softness of the teacher's labels; default: {SOFT:g}, in colour {FIRM:g}"
    )
    factor: int | None = Field(
        None,
        ge=1,
        description="multi-formation: images stored in one, per side; default: 2 for images in colour, else 1",
    )
    steps: int | None = Field(None, ge=1, description=f"matching steps; default: {LOOKS} or more look at every image")
    lr: float = Field(0.02, gt=0, description="Adam's step on the pixels")


def stages(spec: DataSpec, ipc: int, options: TaughtOptions) -> tuple[Stage, ...]:
    """The five stages (and the class counts before them, when they are private)."""
    factor = formation(spec, options)
    if any(side % factor for side in spec.shape[1:]):
        raise InputError(
            f"factor {factor} does not divide the sides of images {spec.shape}: use factor = 1 (--set factor=1)"
        )
    kernel = Stage(
        STAGE,
        options.networks or max(4, default_networks(spec) // 2) * factor**2,  # as many as the examples of an image
        spec.num_classes * 2 * options.frequencies,
        share=1.0 - MEANS - MOMENTS - options.clusters - options.teacher,
        sampling_rate=options.rate or default_rate(spec, RECORDS),
        purpose="class means of random Fourier features of random networks' embeddings",
    )
    teacher = teacher_stage(spec, options.teacher, steps=options.teacher_steps)
    start = cluster_stages(spec, ipc * factor**2, MOMENTS, options.clusters)
    return with_counts(spec, mean_stage(spec, MEANS), *start, teacher, kernel)


def formation(spec: DataSpec, options: TaughtOptions) -> int:
    """Images stored in one, per side.

    Four examples of half the side are worth more than a sharper one for images in colour (Kim et al. 2022: CIFAR-10); on
    grey ones longer training fits their noise (measured on Fashion-MNIST and MNIST).
    """
    halves = spec.shape[0] >= 3 and not any(side % 2 for side in spec.shape[1:])
    return options.factor or (2 if halves else 1)


def length_scale(spec: DataSpec, plan: Plan, factor: int) -> float:
    """Of the kernel, in typical distances: half of one where neither noise nor size hides the finer differences.

    They are small parts of a mean, and noise hides them first. Fashion-MNIST: at ε = 10, a squared error of .003, half
    gains .4 with fifty images and nothing with ten, nothing at ε = 4, .007, and loses .4 at ε = 1, .07. Examples of half
    the side have none to match: there half loses 4 (CIFAR-10, ε = 10).
    """
    numbers = plan.stage(STAGE).dimension / spec.num_classes
    noise = plan.mean_noise(STAGE, spec.records / spec.num_classes)
    return FINE if factor == 1 and noise**2 * numbers < QUIET else 1.0


def feature(
    spec: DataSpec, index: int, options: TaughtOptions, run: Run, public: Tensor, scale: float = 1.0
) -> Feature:
    """The ``index``-th public feature of a run, centred on ``public`` records, equally many of every class in their order.

    What a record adds is the way from the centre of its class, scaled to length one: it is shorter than the way from a
    common centre (.51 against .64 on Fashion-MNIST), and so the same noise hides less of it.
    """
    classes = spec.num_classes
    labels = torch.arange(classes, device=public.device).repeat_interleave(len(public) // classes)
    return network_feature(
        spec,
        run.public_seed(index),
        width=options.width,
        device=run.device,
        augment=default_strategy(spec.name),
        frequencies=options.frequencies,
        scale=scale,
        public=public,
        labels=labels,
    )


def settle(spec: DataSpec, ipc: int, options: TaughtOptions) -> TaughtOptions:
    """With the factor by which a release is decoded, the steps it was matched in, and the temperature of its labels."""
    factor = formation(spec, options)
    steps, temperature = options.steps or matching_steps(ipc, factor), softness(spec, options)
    return options.model_copy(update={"factor": factor, "steps": steps, "temperature": temperature})


def condense(curator: Curator, options: TaughtOptions, run: Run) -> SyntheticSet:
    """Ask for all, draw the start, match under the teacher's eye, label softly."""
    spec = curator.spec
    means = released_means(curator)
    if means is None:
        raise InputError("the mean images were spent before a crash and did not survive: start again in a new folder")
    factor = formation(spec, options)
    wanted = run.ipc * factor**2
    count = max(wanted, PUBLIC)
    drawn = varied_start(curator, run, means, wanted, count).view(spec.num_classes, count, *spec.shape)
    warm = tiled(drawn[:, :wanted].flatten(0, 1), factor)
    synthetic = SyntheticSet.start(spec, run.ipc, factor=factor, warm=warm).clamp_().to(run.device)
    public = drawn[:, :PUBLIC].flatten(0, 1)
    grain = GRAIN * torch.randn(public.shape, generator=torch.Generator().manual_seed(run.seed))
    public = (public + grain).to(run.device).clamp(synthetic.low, synthetic.high)
    teacher = train_teacher(curator, run)
    scale = length_scale(spec, curator.plan, factor)
    released = release_means(curator, STAGE, lambda i: feature(spec, i, options, run, public, scale), run)
    synthetic = match_means(
        synthetic,
        released,
        run,
        steps=options.steps or matching_steps(run.ipc, factor),
        lr=options.lr,
        batch=stored(factor),
        guide=Guidance(teacher, options.guidance) if options.guidance else None,
    )
    synthetic.label_softly(teacher.soft_labels(synthetic.decode()[0].detach(), softness(spec, options)))
    return synthetic


def softness(spec: DataSpec, options: TaughtOptions) -> float:
    """Temperature of the labels: a teacher that guided the images is too sure of them.

    Measured: 3 and 4 gain .3 over 2 on MNIST, nothing that shows on Fashion-MNIST, and lose 1 on CIFAR-10.
    """
    return options.temperature or (FIRM if spec.shape[0] >= 3 else SOFT)


def stored(factor: int) -> int:
    """Stored images of a class that a matching step looks at."""
    return max(1, BATCH // factor**2)


def matching_steps(ipc: int, factor: int) -> int:
    """Steps that look at every stored image equally often; up to twice as often where a step looks at a part of them.

    Fashion-MNIST, ε = 1: at fifty images per class twice the looks gain .4 (three seeds), at ten three times lose .4 (one).
    Where four examples share an image they gain .3 (CIFAR-10, one) for twice the time, and stay as they are.
    """
    parts = max(1.0, ipc / stored(factor))
    return math.ceil(LOOKS * parts * (min(parts, 2.0) if factor == 1 else 1.0))


class Guidance:
    """Weighted cross-entropy of a teacher on a few of the examples, drawn anew each time."""

    def __init__(self, teacher: Teacher, weight: float) -> None:
        self.teacher, self.weight = teacher, weight

    def __call__(self, examples: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The loss, a scalar."""
        picked = torch.randperm(len(labels), generator=generator)[:GUIDED].to(labels.device)
        with computing(fastest(labels.device), labels.device):
            return self.weight * F.cross_entropy(self.teacher(examples[picked]), labels[picked])


def rehearse(spec: DataSpec, options: TaughtOptions, run: Run) -> Cost:
    """Expected cost, measured on noise."""
    planned = {stage.name: stage for stage in stages(spec, run.ipc, options)}
    records = noise_records(spec, spec.num_classes * PUBLIC, 0).to(run.device)
    public = feature(spec, 0, options, run, records)
    factor = formation(spec, options)
    step = Run(min(run.ipc, stored(factor)), run.seed, run.device)
    steps = options.steps or matching_steps(run.ipc, factor)
    matching = rehearse_means(spec, planned[STAGE], public, step, steps, factor)
    teaching = rehearse_teacher(spec, planned["teacher"], run)
    untrained = Teacher(teacher_features(spec, run.device), spec.num_classes).to(run.device)
    judge = Guidance(untrained, options.guidance)
    few = noise_records(spec, GUIDED, 0).to(run.device).requires_grad_()
    labels = torch.zeros(GUIDED, dtype=torch.long, device=run.device)
    judging = seconds(lambda: judge(few, labels, torch.Generator()).backward()) * steps if options.guidance else 0.0
    labelling = seconds(lambda: untrained.soft_labels(few)) / GUIDED * spec.num_classes * run.ipc * factor**2
    clustering = rehearse_clusters(spec, run.ipc * factor**2, run)
    return Cost(
        matching.asking + teaching.asking + clustering,
        matching.condensing + judging + labelling,
        max(matching.kept, teaching.kept),
    )


METHOD = Method(
    name="taught",
    summary="kernel mean matching from private clusters, guided and labelled by a private teacher",
    source="ours; parts: Zhang et al., AAAI 2024 (M3D), Tramèr & Boneh, ICLR 2021 (scattering under DP-SGD)",
    options=TaughtOptions,
    stages=stages,
    condense=condense,
    rehearse=rehearse,
    kinds=("image",),
    settle=settle,
    smallest=SMALLEST,
)
