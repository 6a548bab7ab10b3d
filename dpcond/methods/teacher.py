"""A private teacher: a linear classifier on public features, trained with DP-SGD as one ordinary planned stage.

It is far better than what can be trained on the released records alone, and its labels and its judgement of synthetic
records are post-processing. Scattering features with a linear head are the strongest classifier of small images without
public data at small ε (Tramèr & Boneh, ICLR 2021).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpcond.errors import AnswerLost
from dpcond.methods.base import Cost, Run, nothing_survived, seconds
from dpcond.methods.features import noise_records
from dpcond.models import Patches, Scattering, Whitened
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.privacy.queries import GradientSum
from dpcond.spec import DataSpec

STAGE = "teacher"
GROUPS = 27  # of scattering maps, in colour: Tramèr & Boneh
# Chosen by test accuracy on Fashion-MNIST (ε = 1 and 10) and digits (ε = 1 and 2): a table of those rows must say so.
STEPS = 110
RATE = 0.1365  # 8192 of 60,000
MOMENTUM = 0.9
AVERAGING = 0.95  # decay of the moving average over the iterates, which is the whitened teacher in the end
CLIP = 0.1  # in units of the longest (φ, 1): the gradient of a record is scaled down while its error ‖p − e_y‖ is over this
LARGEST_STEP = 100.0  # change of a logit in one step without momentum, if all records agreed
STEP_NOISE = 0.025  # its standard deviation through the noise of one step; binds on few records or a small ε


class Rows(nn.Module):
    """The values of a record above their lower bound, scaled to length √k: the features of a table.

    What is absent (a category that a record is not in) is zero and takes no part of the length.
    """

    low: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        low = torch.tensor(spec.normalized_bounds[0]).view(-1, *(1,) * (len(spec.shape) - 1))
        self.register_buffer("low", low.expand(spec.shape).flatten().clone(), persistent=False)
        self.embedding = spec.features

    def embed(self, x: Tensor) -> Tensor:
        """Rows [B, k] of records x [B, *shape], of root mean square 1."""
        return F.normalize(x.flatten(1) - self.low, dim=1) * math.sqrt(self.embedding)


class Together(nn.Module):
    """Several features side by side, each with the same share of a row's length."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        sizes = [int(part.embedding) for part in parts]  # type: ignore[arg-type]
        self.embedding = sum(sizes)
        self.scales = [math.sqrt(self.embedding / len(parts) / size) for size in sizes]

    def embed(self, x: Tensor) -> Tensor:
        """Rows [B, Σk] of records, of root mean square 1 where the parts are."""
        parts: Any = self.parts
        return torch.cat([scale * part.embed(x) for part, scale in zip(parts, self.scales, strict=True)], 1)


def teacher_features(spec: DataSpec, device: torch.device, whitened: bool = False) -> nn.Module:
    """Public features [B, k] of root mean square (at most) 1, chosen by the declared shape: has ``embed`` and ``embedding``.

    Images from 16×16: scattering, J = 2; smaller ones: J = 1. Grey ones with every map normalised within its record, in
    colour 27 groups of maps as in Tramèr & Boneh: with every map on its own, how strong an edge is in colour gets lost.
    (On Fashion-MNIST both teachers know as much; ten images matched under the former came out better by .6, one seed.)
    From 16×16, answers of filters learned on dead leaves stand beside those in colour, and all can be ``whitened`` on dead
    leaves: that makes a better classifier, and not a better guide of images (Fashion-MNIST).
    Tables, and images under 4×4: the record itself, of unit length.
    """
    if spec.kind == "table" or min(spec.shape[1:]) < 4:
        return Rows(spec).to(device)
    channels, height, width = spec.shape
    octaves = 2 if min(height, width) >= 16 else 1
    maps = Scattering(channels, (height, width), octaves).shape[0]
    groups = math.gcd(GROUPS, maps) if channels >= 3 else maps
    features: nn.Module = Scattering(channels, (height, width), octaves, groups=groups)
    if octaves == 2 and channels >= 3:
        features = Together(features, Patches(channels, spec.std if len(spec.std) > 1 else spec.std * channels))
    if octaves == 2 and whitened:
        features = Whitened(features, spec.shape, spec.normalized_bounds)
    return features.to(device).eval()


class Teacher(nn.Module):
    """A linear head on public features: a classifier of normalised records, differentiable in them."""

    def __init__(self, features: nn.Module, classes: int) -> None:
        super().__init__()
        self.features = features
        with torch.device("meta"):  # no draw from the global generator
            head = nn.Linear(int(features.embedding), classes)  # type: ignore[arg-type]
        self.head = head.to_empty(device="cpu")
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of records x [B, *shape]."""
        return self.head(self.features.embed(x))  # type: ignore[operator]

    @torch.no_grad()
    def soft_labels(self, x: Tensor, temperature: float = 1.0, batch: int = 256) -> Tensor:
        """Class probabilities [B, classes] of records x [B, *shape], softened by ``temperature``."""
        return torch.cat([(self(part) / temperature).softmax(1) for part in x.split(batch)])


def teacher_stage(spec: DataSpec, share: float, *, steps: int = STEPS, rate: float | None = None) -> Stage:
    """The planned stage of a teacher, for ``share`` of the budget: ``steps`` Poisson-sampled gradients of the head."""
    values = int(teacher_features(spec, torch.device("cpu")).embedding)  # type: ignore[arg-type]
    return Stage(
        STAGE,
        steps,
        spec.num_classes * (values + 1),
        share,
        sampling_rate=rate or RATE,
        purpose="gradients of a linear classifier on public features (DP-SGD)",
    )


def head_gradient(teacher: Teacher, name: str) -> GradientSum:
    """The query of one step: clipped gradients of the head, its features computed once for all steps."""
    bound = CLIP * math.sqrt(teacher.head.in_features + 1)
    features: Any = teacher.features
    return GradientSum(teacher.head, bound, name, mapping=features.embed, engine="linear")


def train_teacher(curator: Curator, run: Run, stage: str = STAGE, *, whitened: bool = False) -> Teacher:
    """DP-SGD with momentum on the head, one charged gradient a step; the features are computed once, inside the wall.

    On ``whitened`` features the teacher is a moving average of the iterates (De et al. 2022), post-processing that takes
    off some of their noise; without, it gains nothing (Fashion-MNIST, CIFAR-10).

    Kept answers make an interrupted run arrive at the same teacher; a step whose answer a crash has lost is left out.

    Raises:
        InputError: no answer survived.
    """
    spec, planned = curator.spec, curator.plan.stage(stage)
    teacher = Teacher(teacher_features(spec, run.device, whitened), spec.num_classes).to(run.device)
    parameters = [teacher.head.weight, teacher.head.bias]
    length = math.sqrt(teacher.head.in_features + 1)
    expected = planned.sampling_rate * spec.records
    longest = length * (CLIP if curator.plan.private else 1)  # of a record's gradient; unclipped, ‖p − e_y‖ is about 1
    step = step_size(curator, stage)
    velocity = torch.zeros(planned.dimension, device=run.device)
    iterate, average = torch.zeros_like(velocity), torch.zeros_like(velocity)
    answers = 0
    for index in range(planned.count):
        try:
            answer = curator.ask(stage, index, head_gradient(teacher, f"{stage}/{run.seed}/{index}")).to(run.device)
        except AnswerLost:
            continue
        velocity = MOMENTUM * velocity + answer / (expected * longest)
        iterate = iterate - step / length * velocity
        _set(parameters, iterate)
        average = AVERAGING * average + (1 - AVERAGING) * iterate
        answers += 1
        run.progress(index + 1, planned.count, "teaching")
    if not answers:
        raise nothing_survived(stage)
    if whitened:
        _set(parameters, average / (1 - AVERAGING**answers))
    return teacher.requires_grad_(False).eval()


def step_size(curator: Curator, stage: str) -> float:
    """Logit change of one step: the largest one, or less where the planned noise on it would be too much."""
    noise = curator.plan.mean_noise(stage, curator.spec.records)
    return min(LARGEST_STEP, STEP_NOISE / noise) if noise else LARGEST_STEP


def rehearse_teacher(spec: DataSpec, stage: Stage, run: Run) -> Cost:
    """Expected cost of the stage, measured on public noise: features of every declared record once, then the steps."""
    teacher = Teacher(teacher_features(spec, run.device), spec.num_classes).to(run.device)
    records, labels = noise_records(spec, 64, 0).to(run.device), torch.zeros(64, dtype=torch.long, device=run.device)
    features: Any = teacher.features
    rows, query = features.embed(records), head_gradient(teacher, "rehearsal")
    mapping = seconds(lambda: features.embed(records)) / 64 * spec.records
    step = seconds(lambda: query.sum(rows, labels)) / 64 * spec.records * stage.sampling_rate
    return Cost(
        mapping + step * stage.count, 0.0, 4 * (spec.records * features.embedding + stage.count * stage.dimension)
    )


def _set(parameters: list[Tensor], flat: Tensor) -> None:
    """Write a flat vector into the parameters, in their order."""
    with torch.no_grad():
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.copy_(part.view_as(parameter))
