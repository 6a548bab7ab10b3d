"""The laws of the wall as checks that a fault must trip. Each raises AssertionError when its law is broken.

They look at a running curator from outside: what it answers on datasets that we choose. Statistical checks state
their false-alarm rate, at most 1e-6 a check.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from dpcond.data import Records
from dpcond.methods import registry
from dpcond.methods.base import Run
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.noise import GaussianNoise, SeededEntropy
from dpcond.privacy.plan import Plan, Stage, make_plan
from dpcond.privacy.queries import ClassCounts, ClassSums, Feature, GradientSum, Query
from dpcond.spec import DataSpec

ALARM = 1e-6
SPEC = DataSpec("toy", "image", (1, 8, 8), ("a", "b", "c"), 60)
PIXELS = ClassSums(Feature(lambda x: x.flatten(1), 64, 1.0), 3, "pixels")


def toy(n: int = 60, seed: int = 0) -> Records:
    """Random records of the toy dataset."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(256, (n, 1, 8, 8), generator=g, dtype=torch.uint8)
    return Records(x, torch.randint(3, (n,), generator=g), SPEC)


def constant(n: int, pixel: int = 255, label: int = 0) -> Records:
    """n equal records: their clipped pixels are one known unit vector, times n."""
    return Records(torch.full((n, 1, 8, 8), pixel, dtype=torch.uint8), torch.full((n,), label), SPEC)


def plan_of(
    query: Query = PIXELS,
    count: int = 1,
    rate: float = 1.0,
    adjacency: Adjacency = Adjacency.ADD_REMOVE,
    private: bool = True,
) -> Plan:
    """A one-stage plan at ε = 1."""
    stages = [Stage("s", count, query.dimension, 1.0, rate, keep=False)]
    return make_plan(stages, 1.0, 1e-5, adjacency, {"toy": True}, private=private)


def answers(folder: Path, records: Records, plan: Plan, query: Query = PIXELS, seed: int | None = None) -> torch.Tensor:
    """All answers of the one stage of ``plan``, [count, *shape], by a real curator with a real ledger."""
    noise = None if seed is None else GaussianNoise(SeededEntropy(seed))
    public = replace(plan, public={**plan.public, "entropy": "seeded, NOT PRIVATE"}) if noise else plan
    with Ledger.create(folder / f"ledger-{len(list(folder.iterdir()))}", public) as ledger:
        curator = Curator(SPEC, public, records, ledger, noise=noise)
        return torch.stack([curator.ask("s", i, query) for i in range(plan.stage("s").count)])


def noise_has_the_planned_scale(folder: Path, adjacency: Adjacency = Adjacency.ADD_REMOVE) -> None:
    """The spread of answers is noise multiplier × the largest change that neighbouring data really make (χ², 1e-6).

    The largest change is taken from two datasets at the extremes, not from what the query says of itself.
    """
    plan = plan_of(count=20, adjacency=adjacency)
    white, black = constant(1), constant(1, pixel=0)
    x, y = white.batch(np.arange(1))
    other = -PIXELS.sum(*black.batch(np.arange(1))) if adjacency is Adjacency.REPLACE_ONE else 0
    change = (PIXELS.sum(x, y) + other).norm().item()
    expected = plan.event("s").noise_multiplier * change
    noise = (answers(folder, constant(5), plan, seed=1) - 5 * PIXELS.sum(x, y).float()).flatten().double()
    low, high = stats.chi2(len(noise)).ppf([ALARM / 2, 1 - ALARM / 2])
    assert low < float((noise / expected).square().sum()) < high, "the noise does not have the planned scale"


def one_record_is_bounded(folder: Path) -> None:
    """A record of any size moves a noiseless sum by no more than the stated sensitivity."""
    giant = ClassSums(Feature(lambda x: 1e6 * x.flatten(1), 64, 1.0), 3, "giant")
    x, y = constant(1).batch(np.arange(1))
    assert giant.sum(x, y).norm() <= giant.sensitivity(Adjacency.ADD_REMOVE), "a record passes its clipping norm"


def one_mapped_record_is_bounded(folder: Path) -> None:
    """Neighbouring datasets and one noise: a record more, or one replaced, moves the answer by its sensitivity at most.

    Of softmax regression on a public map of large values; the head is such that every record's gradient is clipped.
    """
    head = torch.nn.Linear(64, 3)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, 192).view(3, 64))
        head.bias.zero_()
    query = GradientSum(head, 1.0, "head", mapping=lambda x: 30 * x.flatten(1), engine="linear")
    many = toy(20)
    more = Records(torch.cat([many.x, constant(1).x]), torch.cat([many.y, torch.tensor([0])]), SPEC)
    other = Records(torch.cat([many.x, constant(1, pixel=0).x]), torch.cat([many.y, torch.tensor([1])]), SPEC)
    for adjacency, one, two in ((Adjacency.ADD_REMOVE, many, more), (Adjacency.REPLACE_ONE, more, other)):
        plan = plan_of(query, adjacency=adjacency)
        change = (answers(folder, one, plan, query, 3) - answers(folder, two, plan, query, 3)).norm()
        largest = query.sensitivity(adjacency) * (1 + 1e-5)
        assert 0.9 * query.bound < change <= largest, "a mapped record passes its bound, or is not there"


def noise_ignores_global_seeds(folder: Path) -> None:
    """Re-seeding every global generator changes and repeats nothing."""

    def reseeded() -> torch.Tensor:
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the point of the check
        return answers(folder, constant(1), plan_of())

    assert not torch.equal(reseeded(), reseeded()), "a global seed reaches the noise"


def charged_before_answered(folder: Path) -> None:
    """When the noise is drawn, its charge is on disk already."""
    plan = plan_of(count=2)
    path = folder / "order.jsonl"
    seen: list[int] = []

    class Watching(GaussianNoise):
        def draw(self, shape: tuple[int, ...], std: float) -> torch.Tensor:
            seen.append(sum('"charge"' in line for line in path.read_text().splitlines()))
            return super().draw(shape, std)

    with Ledger.create(path, plan) as ledger:
        curator = Curator(SPEC, plan, constant(3), ledger, noise=Watching())
        for index in range(2):
            curator.ask("s", index, PIXELS)
    assert seen == [1, 2], "an answer was drawn before its charge was on disk"


def every_answer_is_charged(folder: Path) -> None:
    """As many charges on the ledger as answers given."""
    path = folder / "count.jsonl"
    plan = plan_of(count=3)
    with Ledger.create(path, plan) as ledger:
        curator = Curator(SPEC, plan, constant(3), ledger)
        for index in range(3):
            curator.ask("s", index, PIXELS)
    charges = [line for line in path.read_text().splitlines() if json.loads(line)["kind"] == "charge"]
    assert len(charges) == 3, "an answer is missing from the ledger"


def batches_are_poisson_sums(folder: Path) -> None:
    """Noiseless sampled counts vary as a binomial does: neither fixed nor divided by the realised size (1e-6)."""
    plan = plan_of(ClassCounts(3), count=400, rate=0.3, private=False)
    sizes = answers(folder, constant(100), plan, ClassCounts(3), seed=2).sum((1, 2)).numpy()
    low, high = stats.chi2(399).ppf([ALARM / 4, 1 - ALARM / 4])
    assert low < sizes.var(ddof=1) * 399 / (100 * 0.3 * 0.7) < high, "batch sizes do not vary as Poisson sampling's do"
    assert abs(sizes.mean() - 30) < stats.norm.isf(ALARM / 4) * (21 / 400) ** 0.5, "sums are not sums"


def counts_are_noisy(folder: Path) -> None:
    """Private class counts, as a method gets them, are never the exact ones in 20 runs (P < 1e-6 at σ > 1)."""
    records, spec = toy(), SPEC
    exact = torch.bincount(records.y, minlength=3).float()
    method = registry.get("merf")
    options = method.options(frequencies=4)
    plan = make_plan(method.stages(spec, 1, options), 1.0, 1e-5, Adjacency.ADD_REMOVE, {})
    for run in range(20):
        with Ledger.create(folder / f"counts-{run}", plan) as ledger:
            curator = Curator(spec, plan, records, ledger, answers=folder / f"answers-{run}")
            from dpcond.methods import base

            assert not torch.equal(base.class_sizes(curator), exact), "exact class counts reach a method"


def start_is_public(folder: Path) -> None:
    """Where a synthetic set starts does not depend on the records: two disjoint datasets, one start."""
    method = registry.get("merf")
    options = method.options(frequencies=4, steps=1, lr=1e-12)
    starts = []
    for seed in (1, 2):
        plan = make_plan(method.stages(SPEC, 2, options), 1.0, 1e-5, Adjacency.ADD_REMOVE, {})
        with Ledger.create(folder / f"start-{seed}", plan) as ledger:
            curator = Curator(SPEC, plan, toy(seed=seed), ledger, answers=folder / f"start-answers-{seed}")
            starts.append(method.condense(curator, options, Run(2)).pixels.detach())
    assert torch.allclose(*starts, atol=1e-6), "the start of the synthetic set depends on the records"


def releases_are_independent(folder: Path) -> None:
    """The noise of one release says nothing of the next: correlations within sampling error (Bonferroni, 1e-6)."""
    noise = answers(folder, constant(1), plan_of(count=40)).flatten(1).double()
    noise = noise - answers(folder, constant(1), plan_of(private=False)).flatten(1).double()
    normal = noise / noise.square().mean().sqrt()
    correlations = (normal @ normal.T / normal.shape[1]).triu(1).abs().max() * normal.shape[1] ** 0.5
    assert correlations < stats.norm.isf(ALARM / (40 * 39)), "the noise of two releases is correlated"


def an_answer_is_noised_once(folder: Path) -> None:
    """However often a kept release is asked again, it is the first answer: its noise does not average out."""
    plan = plan_of()
    plan = replace(plan, stages=tuple(replace(stage, keep=True) for stage in plan.stages))
    with Ledger.create(folder / "once.jsonl", plan) as ledger:
        curator = Curator(SPEC, plan, constant(1), ledger, answers=folder / "once")
        first, *others = (curator.ask("s", 0, PIXELS) for _ in range(3))
        assert ledger.charged("s") == 1
    for other in others:
        assert torch.equal(first, other), "a release was noised again"


CHECKS: dict[str, Callable[[Path], None]] = {
    check.__name__: check
    for check in (
        noise_has_the_planned_scale,
        one_record_is_bounded,
        one_mapped_record_is_bounded,
        noise_ignores_global_seeds,
        charged_before_answered,
        every_answer_is_charged,
        batches_are_poisson_sums,
        counts_are_noisy,
        start_is_public,
        releases_are_independent,
        an_answer_is_noised_once,
    )
}


def replace_one_noise_has_the_planned_scale(folder: Path) -> None:
    """The same check of the noise under replace-one."""
    noise_has_the_planned_scale(folder, Adjacency.REPLACE_ONE)


CHECKS["replace_one_noise_has_the_planned_scale"] = replace_one_noise_has_the_planned_scale
