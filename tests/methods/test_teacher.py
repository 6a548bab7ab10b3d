"""The private teacher: plans in public, runs without data, learns, resumes, and spends what was planned."""

import math
from dataclasses import replace

import pytest
import torch

import dpcond
from dpcond import pipeline
from dpcond.config import Config
from dpcond.errors import InputError
from dpcond.methods import registry
from dpcond.methods import teacher as teacher_module
from dpcond.methods.base import Method, Options, Run, class_sizes, with_counts
from dpcond.methods.teacher import (
    AVERAGING,
    LARGEST_STEP,
    STAGE,
    STEP_NOISE,
    Teacher,
    rehearse_teacher,
    step_size,
    teacher_features,
    teacher_stage,
    train_teacher,
)
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.noise import GaussianNoise, SeededEntropy
from dpcond.privacy.plan import Plan, Stage
from dpcond.release import verify
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

CPU = torch.device("cpu")
IMAGES = DataSpec("toy", "image", (1, 28, 28), ("a", "b", "c"), 300)
COLOUR = DataSpec("colour", "image", (3, 8, 8), ("a", "b"), 300)
PHOTOS = DataSpec("photos", "image", (3, 16, 16), ("a", "b"), 300)  # scattering, and filters beside it
TINY = DataSpec("tiny", "image", (1, 3, 3), ("a", "b"), 300)
TABLE = DataSpec("rows", "table", (12,), ("no", "yes"), 500)


def plan_of(spec, noise=3.0, adjacency="add_remove", public=None, **options):
    """A plan with a given noise multiplier: what it costs is not the matter here."""
    private = noise > 0
    return Plan(
        (teacher_stage(spec, 1.0, **options),),
        (noise,),
        8.0 if private else math.inf,
        1e-5,
        adjacency,
        private,
        public or {},
    )


def accuracy(teacher, records):
    x, y = records.batch(slice(None))
    return (teacher(x).argmax(1) == y).float().mean().item()


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("spec", [IMAGES, COLOUR, PHOTOS, TINY, TABLE], ids=lambda spec: spec.name)
def test_runs_without_any_data(spec, whitened):
    plan = plan_of(spec, steps=3)
    teacher = train_teacher(Curator(spec, plan, batch=8), Run(1), whitened=whitened)
    x = torch.randn(5, *spec.shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    logits = teacher(x)
    assert logits.shape == (5, spec.num_classes)
    logits.logsumexp(1).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("spec", [IMAGES, COLOUR, PHOTOS, TINY, TABLE], ids=lambda spec: spec.name)
def test_features_are_public_of_known_length_and_of_one_record(spec, whitened):
    features = teacher_features(spec, CPU, whitened)
    x = torch.randn(6, *spec.shape, generator=torch.Generator().manual_seed(1))
    rows = features.embed(x)
    assert rows.shape == (6, features.embedding)
    assert (rows.square().mean(1) <= 1 + 1e-4).all()
    torch.testing.assert_close(features.embed(x[4:5]), rows[4:5], atol=2e-5, rtol=1e-4)
    assert torch.equal(teacher_features(spec, CPU, whitened).embed(x), rows)
    assert teacher_stage(spec, 0.5).dimension == spec.num_classes * (features.embedding + 1)


def test_every_map_of_a_grey_image_is_normalised_on_its_own_and_in_colour_a_group_of_them():
    """What one value is worth beside another is kept within a group: between maps of it in colour alone."""
    grey, colour = teacher_features(IMAGES, CPU), teacher_features(PHOTOS, CPU).parts[0]
    for spec, features, alone in ((IMAGES, grey, True), (PHOTOS, colour, False)):
        x = torch.rand(2, *spec.shape, generator=torch.Generator().manual_seed(3))
        means = features.embed(x).view(2, *features.shape).mean((2, 3))
        assert (means.abs().amax() < 1e-4) == alone


def test_scattering_and_filters_have_the_same_share_of_a_row():
    features, x = (
        teacher_features(PHOTOS, CPU),
        torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)),
    )
    scattering, patches = features.parts
    rows, size = features.embed(x), scattering.embedding
    assert rows.shape[1] == size + patches.embedding
    assert torch.allclose(rows[:, :size] / scattering.embed(x), torch.tensor((rows.shape[1] / 2 / size) ** 0.5))
    torch.testing.assert_close(rows[:, size:].square().sum(1), torch.full((4,), rows.shape[1] / 2), rtol=1e-2, atol=0)


def test_soft_labels_are_probabilities_that_the_temperature_flattens():
    teacher = train_teacher(Curator(TABLE, plan_of(TABLE, steps=2)), Run(1))
    x = torch.randn(7, 12, generator=torch.Generator().manual_seed(0))
    sharp, soft = teacher.soft_labels(x, batch=3), teacher.soft_labels(x, temperature=4.0)
    torch.testing.assert_close(sharp.sum(1), torch.ones(7))
    torch.testing.assert_close(sharp, teacher(x).softmax(1))
    assert (soft.amax(1) <= sharp.amax(1)).all()


def test_no_global_generator_is_touched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Teacher(teacher_features(TABLE, CPU), 2)
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture(scope="module")
def digits():
    return dpcond.load("digits")


def test_learns_the_digits_within_the_budget_and_resumes_without_the_records(digits, tmp_path):
    """At ε = 2 (δ = 1e-5) on 1,437 records, 90 % and more of the test digits (95 measured)."""
    plan = plan_of(digits.spec, noise=3.066, public={"entropy": "seeded, NOT PRIVATE"})
    noise = GaussianNoise(SeededEntropy(0))
    with Ledger.create(tmp_path / "l", plan) as ledger:
        curator = Curator(digits.spec, plan, digits.records, ledger, noise=noise, answers=tmp_path / "a")
        teacher = train_teacher(curator, Run(1))
        assert sum(event.count for event in ledger.events()) == plan.stage(STAGE).count
    assert accuracy(teacher, digits.test) > 0.9

    with Ledger.resume(tmp_path / "l", plan) as ledger:
        again = train_teacher(Curator(digits.spec, plan, None, ledger, answers=tmp_path / "a"), Run(1))
    for one, other in zip(teacher.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)

    for path in sorted((tmp_path / "a").iterdir())[5:8]:
        path.unlink()
    with Ledger.resume(tmp_path / "l", plan) as ledger:
        fewer = train_teacher(Curator(digits.spec, plan, None, ledger, answers=tmp_path / "a"), Run(1))
    assert accuracy(fewer, digits.test) > 0.85

    for path in (tmp_path / "a").iterdir():
        path.unlink()
    with Ledger.resume(tmp_path / "l", plan) as ledger, pytest.raises(InputError, match="no answer survived"):
        train_teacher(Curator(digits.spec, plan, None, ledger, answers=tmp_path / "a"), Run(1))


def test_without_privacy_it_is_the_same_program(digits, tmp_path):
    plan = plan_of(digits.spec, noise=0.0)
    with Ledger.create(tmp_path / "l", plan) as ledger:
        teacher = train_teacher(Curator(digits.spec, plan, digits.records, ledger), Run(1))
    assert accuracy(teacher, digits.test) > 0.95


def test_noise_shortens_the_step_and_both_adjacencies_count_it_alike():
    many = DataSpec("many", "table", (12,), ("no", "yes"), 10**6)
    steps = [step_size(Curator(TABLE, plan_of(TABLE, noise)), STAGE) for noise in (5.0, 1.0)]
    assert 0 < steps[0] < steps[1] < LARGEST_STEP
    assert step_size(Curator(many, plan_of(many)), STAGE) == LARGEST_STEP
    assert step_size(Curator(TABLE, plan_of(TABLE, noise=0.0)), STAGE) == LARGEST_STEP
    for adjacency, doubled in (("add_remove", 1), ("replace_one", 2)):
        plan = plan_of(TABLE, 5.0, adjacency)
        on_a_logit = doubled * 5.0 / (plan.stages[0].sampling_rate * TABLE.records)
        assert step_size(Curator(TABLE, plan), STAGE) * on_a_logit == pytest.approx(STEP_NOISE)


def test_the_teacher_is_a_moving_average_of_its_iterates(monkeypatch):
    """The obvious way: all iterates written down, each weighted by the decay to the power of its age."""
    iterates, write = [], teacher_module._set

    def noted(parameters, flat):
        iterates.append(flat.clone())
        write(parameters, flat)

    monkeypatch.setattr(teacher_module, "_set", noted)
    teacher = train_teacher(Curator(TABLE, plan_of(TABLE, steps=4)), Run(1), whitened=True)
    *steps, last = iterates
    weights = torch.tensor([AVERAGING**3, AVERAGING**2, AVERAGING, 1.0])
    expected = (weights / weights.sum()) @ torch.stack(steps)
    torch.testing.assert_close(last, expected)
    torch.testing.assert_close(torch.cat([teacher.head.weight.flatten(), teacher.head.bias]), expected)
    assert not torch.allclose(expected, steps[-1])


def test_a_share_of_the_budget_is_a_share():
    stages = teacher_stage(TABLE, 0.4, steps=5), Stage("rest", 1, 10, 0.6)
    plan = Plan(stages, (3.0, 3.0), 1.0, 1e-5, "add_remove", True, {})
    curator = Curator(TABLE, plan)
    train_teacher(curator, Run(1))
    assert (curator.charged(STAGE), curator.charged("rest")) == (5, 0)


def test_a_rehearsal_states_a_cost():
    cost = rehearse_teacher(TABLE, teacher_stage(TABLE, 1.0), Run(1))
    assert cost.asking > 0
    assert cost.kept > 0
    assert math.isfinite(cost.asking)


def test_a_release_with_a_taught_stage_verifies_and_resumes(digits, tmp_path, monkeypatch):
    """As any method would use it: beside a histogram, its soft labels released, interrupted and resumed."""

    def condense(curator, options, run):
        class_sizes(curator)
        synthetic = SyntheticSet.start(curator.spec, run.ipc, run.seed)
        synthetic.label_softly(train_teacher(curator, run).soft_labels(synthetic.decode()[0]))
        return synthetic

    def interrupted(curator, options, run):
        def stop(done, total, message):
            if done == 4:
                raise KeyboardInterrupt

        return condense(curator, options, replace(run, progress=stop))

    def stages(spec, ipc, options):
        return with_counts(spec, teacher_stage(spec, 1.0, steps=8))

    taught = Method("taught", "", "", Options, stages, interrupted, registry.get("dm").rehearse)
    config = Config.model_validate({"method": "taught", "ipc": 1, "engine": {"device": "cpu"}})
    monkeypatch.setitem(registry.METHODS, "taught", taught)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(digits, config, tmp_path / "run")
    monkeypatch.setitem(registry.METHODS, "taught", replace(taught, condense=condense))
    release = pipeline.run(digits, config, tmp_path / "run", resume=True)
    assert release.soft_labels.shape == (10, 10)
    assert len(list((tmp_path / "run" / "answers").glob("teacher-*"))) == 8
    report = verify(tmp_path / "run" / "release")
    assert all(check.ok for check in report.checks), report
