"""The taught method: its start finds the clusters of the records, its labels are the teacher's, its choice is public."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import dpcond
from dpcond import pipeline
from dpcond.config import Config
from dpcond.data import Records
from dpcond.errors import InputError
from dpcond.methods import auto, clusters, registry, taught
from dpcond.methods.base import Run
from dpcond.methods.clusters import LowFrequencies, cluster_stages, clusters_per_class, shrink, varied_start
from dpcond.methods.features import network_feature
from dpcond.methods.matching import some_of_each
from dpcond.methods.taught import (
    Guidance,
    TaughtOptions,
    formation,
    length_scale,
    matching_steps,
    stages,
)
from dpcond.methods.teacher import Teacher
from dpcond.methods.warm import mean_stage, released_means
from dpcond.pipeline import plan
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.plan import make_plan
from dpcond.release import verify
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet

SPEC = DataSpec("toy", "image", (1, 8, 8), ("a", "b"), 2400, class_counts=(1200, 1200))


def planted(seed=0):
    """Two classes of two kinds of smooth image each, with a little noise; returns records and the four images."""
    transform = LowFrequencies(SPEC)
    g = torch.Generator().manual_seed(seed)
    coefficients = torch.zeros(4, transform.size)
    coefficients[:, [1, 2, 8, 9]] = 1.6 * torch.eye(4)
    kinds = transform.inverse(coefficients)  # [4, 1, 8, 8], within (-1, 1)
    which = torch.arange(2400) % 4
    x = kinds[which] + 0.05 * torch.randn(2400, 1, 8, 8, generator=g)
    return Records(((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8), which // 2, SPEC), kinds


def start(tmp_path, private, epsilon=10.0, ipc=2):
    records, kinds = planted()
    stages = (mean_stage(SPEC, 0.1), *cluster_stages(SPEC, ipc, 0.3, 0.6))
    made = make_plan(stages, epsilon, 1e-5, "add_remove", {}, private=private)
    with Ledger.create(tmp_path / "ledger", made) as ledger:
        curator = Curator(SPEC, made, records, ledger)
        means = released_means(curator)
        return varied_start(curator, Run(ipc), means, ipc, ipc).view(2, ipc, 1, 8, 8), kinds


@pytest.mark.parametrize("private", [False, True])
def test_the_start_finds_the_clusters_within_the_classes(private, tmp_path):
    """Each planted kind is near one image of its class, and nearer to it than the class mean is."""
    images, kinds = start(tmp_path, private)
    for label in range(2):
        of_class = kinds[2 * label : 2 * label + 2]
        spread = (of_class[0] - of_class[1]).norm() / 2
        for kind in of_class:
            assert (images[label] - kind).flatten(1).norm(dim=1).min() < (0.5 if private else 0.2) * spread


def test_more_images_than_clusters_are_drawn_around_them(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "RECORDS", 600)
    images, kinds = start(tmp_path, False, ipc=7)
    assert clusters_per_class(SPEC, 7) == 2
    nearest = torch.cdist(images[0].flatten(1), kinds.flatten(1)).argmin(1)
    assert set(nearest.tolist()) == {0, 1}
    assert len(images[0].flatten(1).unique(dim=0)) == 7


def test_the_cosine_transform_is_an_isometry_on_what_it_keeps():
    for shape in ((1, 28, 28), (3, 32, 32), (1, 8, 8)):
        transform = LowFrequencies(replace(SPEC, shape=shape, mean=(0.5,) * shape[0], std=(0.5,) * shape[0]))
        v = torch.randn(3, transform.size, generator=torch.Generator().manual_seed(0))
        images = transform.inverse(v)
        assert images.shape == (3, *shape)
        assert torch.allclose(images.flatten(1).norm(dim=1), v.norm(dim=1), rtol=1e-4)
        assert torch.allclose(transform(images), v, atol=1e-5)


def test_shrinking_undoes_what_noise_adds_to_an_eigenvalue():
    """The closed form by itself, and on a noisy spiked matrix (errors of order edge/√k)."""
    edge = 0.4
    true = torch.tensor([0.3, 0.5, 2.0], dtype=torch.float64)
    assert torch.allclose(shrink(true + (edge / 2) ** 2 / true, edge), true)
    assert shrink(torch.tensor([-1.0, 0.0, edge]), edge).tolist() == [0.0, 0.0, 0.0]
    rng, k = np.random.default_rng(0), 400
    noise = rng.normal(size=(k, k)) / math.sqrt(k)
    spiked = np.zeros((k, k))
    spiked[0, 0] = 2.0
    seen = np.linalg.eigvalsh(spiked + (noise + noise.T) / math.sqrt(2))  # its edge is 2
    assert seen[-1] > 2.3
    assert float(shrink(torch.from_numpy(seen), 2.0)[-1]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("factor", [1, 2])
def test_labels_are_the_teachers_and_the_hard_ones_are_kept(factor):
    method = registry.get("taught", SPEC)
    options = method.options(networks=2, width=4, frequencies=8, steps=2, teacher_steps=3, factor=factor)
    made = make_plan(method.stages(SPEC, 3, options), 1.0, 1e-5, "add_remove", {})
    synthetic = method.condense(Curator(SPEC, made), options, Run(3))
    assert len(synthetic) == 6 * factor**2
    assert synthetic.soft_labels.shape == (len(synthetic), 2)
    assert torch.allclose(synthetic.soft_labels.sum(1), torch.ones(len(synthetic)))
    assert synthetic.labels.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("channels", "expected"), [(1, 3.0), (3, 2.0)])
def test_labels_are_softer_of_grey_images_and_what_was_chosen_is_stated(channels, expected, monkeypatch):
    asked = []

    def spied(teacher, x, temperature=1.0, batch=256):
        asked.append(temperature)
        return torch.full((len(x), 2), 0.5)

    monkeypatch.setattr(Teacher, "soft_labels", spied)
    spec = replace(SPEC, shape=(channels, *SPEC.shape[1:]))
    few = {"networks": 1, "width": 4, "frequencies": 8, "steps": 1, "teacher_steps": 1}
    for options, said in ((TaughtOptions(**few), expected), (TaughtOptions(temperature=5.0, **few), 5.0)):
        made = make_plan(stages(spec, 2, options), 1.0, 1e-5, "add_remove", {})
        taught.condense(Curator(spec, made), options, Run(2))
        assert asked.pop() == said
        assert taught.settle(spec, 2, options).temperature == said


def test_a_factor_that_does_not_divide_the_sides_is_refused_before_anything_is_planned():
    method = registry.get("taught")
    with pytest.raises(InputError, match="use factor = 1"):
        method.stages(SPEC, 3, method.options(factor=3))


def test_many_images_are_looked_at_twice_as_often_as_few():
    assert {matching_steps(ipc, factor=1) for ipc in (1, 10, 20)} == {1500}
    assert matching_steps(30, factor=1) == 1500 * 1.5 * 30 / 20
    assert matching_steps(50, factor=1) == 3000 * 50 / 20
    assert matching_steps(100, factor=1) == 3000 * 100 / 20
    assert matching_steps(10, factor=2) == 1500 * 10 / 5
    assert matching_steps(10, factor=10) == 1500 * 10 / 1


def test_images_in_colour_hold_four_examples_each_where_their_sides_are_even():
    options = registry.get("taught").options
    colour = replace(SPEC, shape=(3, 8, 8))
    assert formation(SPEC, options()) == 1
    assert formation(colour, options()) == 2
    assert formation(replace(SPEC, shape=(3, 9, 8)), options()) == 1
    assert [formation(colour, options(factor=factor)) for factor in (1, 2, 4)] == [1, 2, 4]


@pytest.mark.parametrize(("epsilon", "least"), [(1.0, 1.04), (10.0, 1.4)])
def test_kernel_means_are_asked_of_so_many_records_that_a_large_budget_is_not_wasted(epsilon, least):
    """Of half the expected records a class mean has more noise, and the more so the larger ε is."""
    large = replace(SPEC, shape=(1, 28, 28), records=60_000, class_counts=(30_000, 30_000))

    def noise(**options):
        made = plan(
            large, Config.model_validate({"method": "taught", "privacy": {"epsilon": epsilon}, "options": options})
        )
        return made.event("kernel-means").noise_multiplier / made.stage("kernel-means").sampling_rate

    assert noise(rate=3_000 / 60_000) > least * noise()


def test_each_example_that_shares_an_image_brings_as_many_networks():
    large = replace(SPEC, shape=(3, 32, 32), records=50_000, class_counts=(25_000, 25_000))
    planned = [stages(large, 10, TaughtOptions(factor=factor))[-1] for factor in (1, 2)]
    assert [stage.count for stage in planned] == [83, 4 * 83]
    assert [stage.sampling_rate for stage in planned] == [6_000 / 50_000] * 2
    small = replace(large, records=5_000, class_counts=(2_500, 2_500))
    assert stages(small, 10, TaughtOptions())[-1].sampling_rate == 1


def test_the_kernel_looks_finer_where_the_planned_noise_on_a_mean_is_small():
    """At ε = 10 but not at ε = 4, and never because noise that will be there was not counted."""
    classes = tuple("0123456789")
    large = replace(SPEC, shape=(1, 28, 28), classes=classes, records=60_000, class_counts=(6_000,) * 10)

    def scale(epsilon, private=True, factor=1, **options):
        asked = stages(large, 10, TaughtOptions(**options))
        return length_scale(large, make_plan(asked, epsilon, 1e-5, "add_remove", {}, private=private), factor)

    assert [scale(epsilon) for epsilon in (0.2, 4.0, 10.0)] == [1.0, 1.0, 0.5]
    assert scale(math.inf, private=False) == 0.5
    assert scale(10.0, factor=2) == 1.0, "examples of half the side have no fine details"
    assert scale(10.0, rate=0.001) == 1.0, "few records, so the same noise hides more"
    noisy = make_plan(stages(large, 10, TaughtOptions()), 10.0, 1e-5, "add_remove", {})
    assert length_scale(large, noisy, 1) == 0.5
    assert length_scale(large, replace(noisy, adjacency=Adjacency.REPLACE_ONE), 1) == 1.0, "twice the noise"


@pytest.mark.parametrize(("epsilon", "scale"), [(0.1, 1.0), (10.0, 0.5)])
def test_what_is_asked_is_of_the_scale_that_the_plan_allows(epsilon, scale, monkeypatch):
    asked = []

    def spied(*given, **named):
        asked.append(named["scale"])
        return network_feature(*given, **named)

    monkeypatch.setattr(taught, "network_feature", spied)
    options = TaughtOptions(networks=2, width=4, frequencies=8, steps=2, teacher_steps=3)
    made = make_plan(stages(SPEC, 2, options), epsilon, 1e-5, "add_remove", {})
    taught.condense(Curator(SPEC, made), options, Run(2))
    assert asked == [scale] * 2


def test_a_plan_says_what_a_release_is_decoded_by():
    config = Config.model_validate({"method": "taught", "ipc": 2})
    assert plan(SPEC, config).public["options"]["factor"] == 1
    assert plan(SPEC, config).public["options"]["steps"] == 1500
    assert plan(replace(SPEC, shape=(3, 8, 8)), config).public["options"]["factor"] == 2


def test_guidance_pulls_images_towards_what_the_teacher_takes_for_their_class():
    weight = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    guide = Guidance(lambda x: x.flatten(1) @ weight.T, 1.0)
    synthetic = SyntheticSet.start(SPEC, 4, 0)
    labels = synthetic.labels
    before = guide(synthetic.pixels, labels, torch.Generator().manual_seed(0))
    before.backward()
    moved = synthetic.pixels - 0.5 * synthetic.pixels.grad
    assert guide(moved, labels, torch.Generator().manual_seed(0)) < before


def test_a_step_looks_at_equally_many_of_each_class():
    synthetic = SyntheticSet.start(SPEC, 5, 0)
    picked = some_of_each(synthetic, 2, torch.Generator().manual_seed(0))
    assert synthetic.labels[picked].tolist() == [0, 0, 1, 1]
    assert len(set(picked.tolist())) == 4
    assert some_of_each(synthetic, 5, torch.Generator()) is None
    assert some_of_each(synthetic, None, torch.Generator()) is None


@pytest.fixture
def digits():
    return dpcond.load("digits", public_counts=True)


def test_an_interrupted_run_goes_on_and_verifies(digits, tmp_path):
    """Every kept answer is found again: the clusters' questions depend on what the moments answered."""
    options = {"networks": 4, "width": 4, "frequencies": 8, "steps": 3, "teacher_steps": 3}
    config = Config.model_validate({"method": "taught", "ipc": 2, "options": options, "engine": {"device": "cpu"}})

    def stop(done, total, message):
        if message == "asking" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(digits, config, tmp_path / "run", progress=stop)
    release = pipeline.run(digits, config, tmp_path / "run", resume=True)
    assert len(Ledger.read(tmp_path / "run" / "ledger.jsonl").events()) == len(release.privacy["events"])
    report = verify(tmp_path / "run" / "release")
    assert all(check.ok for check in report.checks), report


def test_auto_keeps_to_the_time_that_it_is_given():
    large = replace(SPEC, shape=(1, 28, 28), records=60_000)
    asked = []

    def expected(name):
        asked.append(name)
        return 600.0

    assert auto.choose(large, 10, expected).method == "taught"
    hurried = auto.choose(large, 9, expected)
    assert hurried.method == "merf"
    assert "10 minutes here, 9 are allowed" in hurried.reason
    assert asked == ["taught", "taught"], "nothing is measured where no limit was given"
    assert auto.choose(large, None, expected).method == "taught"
    assert auto.choose(SPEC, 1e-9, expected).method == "merf"


def test_an_interrupted_run_keeps_the_choice_of_auto_on_a_busier_machine(digits, tmp_path, monkeypatch):
    fast = {"frequencies": 20, "steps": 2}
    config = Config.model_validate({"ipc": 1, "options": fast, "minutes": 5, "engine": {"device": "cpu"}})

    def stop(done, total, message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(digits, config, tmp_path / "run", progress=stop)
    monkeypatch.setattr(pipeline, "choose", lambda *given: auto.Choice("dm", "busy"))
    release = pipeline.run(digits, config, tmp_path / "run", resume=True)
    assert release.method == "merf"


def test_auto_chooses_by_public_metadata_and_says_so():
    large = replace(SPEC, shape=(1, 28, 28), records=60_000, class_counts=None)
    table = DataSpec("rows", "table", (12,), ("no", "yes"), 50_000)
    assert [auto.choose(spec).method for spec in (large, SPEC, table)] == ["taught", "merf", "merf"]
    assert Config().method == "auto"
    made = plan(SPEC, Config())
    assert made.public["method"] == "merf"
    assert "2,400 images, few or small" in made.public["chosen"]
    assert "chosen" not in plan(SPEC, Config(method="merf")).public
