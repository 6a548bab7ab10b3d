"""Release class means of many public features, then match a synthetic set to them: the engine of dm, mmd and merf."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from dpcond.errors import AnswerLost
from dpcond.methods.base import Cost, Run, class_sizes, nothing_survived, seconds
from dpcond.methods.features import noise_records
from dpcond.models import computing, fastest
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.privacy.queries import ClassSums, Feature
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

#: A public loss of examples [B, *shape] with labels [B]; draws from the generator where it must.
Guide = Callable[[Tensor, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class ReleasedMeans:
    """A public feature and the noisy mean of it per class, [classes, size]. Reused without limit: post-processing."""

    feature: Feature
    means: Tensor


def release_means(curator: Curator, stage: str, feature: Callable[[int], Feature], run: Run) -> list[ReleasedMeans]:
    """Ask every release of ``stage`` once; divide each noisy sum by the public (or noisy) expected class sizes.

    A release whose answer a crash has lost is left out.

    Raises:
        InputError: nothing is left to match.
    """
    planned = curator.plan.stage(stage)
    expected = (class_sizes(curator) * planned.sampling_rate)[:, None]
    released = []
    for index in range(planned.count):
        public = feature(index)
        query = ClassSums(public, curator.spec.num_classes, f"{stage}/{run.seed}/{index}")
        try:
            answer = curator.ask(stage, index, query)
        except AnswerLost:
            continue
        released.append(ReleasedMeans(public, (answer / expected).to(run.device)))
        run.progress(index + 1, planned.count, "asking")
    if not released:
        raise nothing_survived(stage)
    return released


def match_means(
    synthetic: SyntheticSet,
    released: list[ReleasedMeans],
    run: Run,
    *,
    steps: int,
    lr: float,
    per_step: int = 1,
    batch: int | None = None,
    guide: Guide | None = None,
) -> SyntheticSet:
    """Adam on the pixels: squared distance between synthetic and released class means, ``per_step`` features a step.

    Public and unlimited, so in the fastest precision; the cosine schedule ends at zero and the last iterate is kept.

    Args:
        batch: stored records of a class that a step looks at, drawn anew each time; default all.
        guide: a further public loss, added.
    """
    optimizer = Adam([synthetic.pixels], lr=lr)
    schedule = CosineAnnealingLR(optimizer, steps)
    order = torch.Generator().manual_seed(run.seed)
    queue: list[int] = []
    for step in range(steps):
        examples, labels = synthetic.decode(some_of_each(synthetic, batch, order))
        loss = torch.zeros((), device=run.device) if guide is None else guide(examples, labels, order)
        for _ in range(per_step):
            if not queue:
                queue = torch.randperm(len(released), generator=order).tolist()
            with computing(fastest(run.device), run.device):
                loss = loss + mean_distance(examples, released[queue.pop()])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        synthetic.clamp_()
        run.progress(step + 1, steps, "matching")
    return synthetic


def some_of_each(synthetic: SyntheticSet, batch: int | None, generator: torch.Generator) -> Tensor | None:
    """Indices of ``batch`` stored records of every class, in the order of the classes; ``None`` for all of them."""
    classes = synthetic.num_classes
    ipc = len(synthetic.labels) // classes
    if batch is None or batch >= ipc:
        return None
    picked = torch.rand(classes, ipc, generator=generator).argsort(1)[:, :batch] + ipc * torch.arange(classes)[:, None]
    return picked.flatten().to(synthetic.labels.device)


def mean_distance(examples: Tensor, released: ReleasedMeans) -> Tensor:
    """Σ over classes of ‖synthetic class mean − released class mean‖²; examples by class, equally many of each."""
    classes = len(released.means)
    labels = torch.arange(classes, device=examples.device).repeat_interleave(len(examples) // classes)
    rows = released.feature.public(examples, labels)
    means = rows.view(classes, -1, rows.shape[1]).mean(1)
    return (means - released.means).square().sum()


def rehearse_means(spec: DataSpec, stage: Stage, feature: Feature, run: Run, steps: int, factor: int = 1) -> Cost:
    """Time one query on 64 noise records and one matching step, and scale to the plan."""
    records = noise_records(spec, 64, 0).to(run.device)
    labels = torch.zeros(64, dtype=torch.long, device=run.device)
    query = ClassSums(feature, spec.num_classes, "rehearsal")
    asking = seconds(lambda: query.sum(records, labels)) / 64 * spec.records * stage.sampling_rate * stage.count
    synthetic = SyntheticSet.start(spec, run.ipc, 0, factor).to(run.device)
    target = ReleasedMeans(feature, torch.zeros(query.shape, device=run.device))

    def matched() -> None:
        with computing(fastest(run.device), run.device):
            loss = mean_distance(synthetic.decode()[0], target)
        loss.backward()

    step = seconds(matched)
    network = feature.statistic
    weights = sum(p.numel() for p in network.parameters()) if isinstance(network, torch.nn.Module) else 0
    return Cost(asking, step * steps, 4 * stage.count * (stage.dimension + weights))
