"""Every method: plans before it reads, runs on a curator without data, starts in public, is reproducible."""

from dataclasses import replace

import pytest
import torch

from dpcond.errors import InputError
from dpcond.methods import registry
from dpcond.methods.base import COUNTS, Run
from dpcond.methods.dc import distance
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.noise import DiscreteGaussianNoise
from dpcond.privacy.plan import make_plan
from dpcond.spec import DataSpec
from tests.laws.checks import SPEC as LAWS
from tests.laws.checks import toy

IMAGES = DataSpec("toy", "image", (1, 8, 8), ("a", "b", "c"), 300)
COUNTED = DataSpec("toy", "image", (1, 8, 8), ("a", "b", "c"), 300, class_counts=(100, 90, 110))
TABLE = DataSpec("rows", "table", (12,), ("no", "yes"), 500)
SMALL = {
    "dm": {"networks": 3, "width": 4, "steps": 4},
    "dc": {"networks": 2, "gradients": 2, "width": 4, "matches": 2, "train_steps": 1},
    "mmd": {"networks": 3, "width": 4, "frequencies": 8, "steps": 4},
    "merf": {"frequencies": 16, "steps": 4},
    "taught": {"networks": 3, "width": 4, "frequencies": 8, "steps": 4, "teacher_steps": 3},
}
VARIANTS = [
    ("dm", {}),
    ("dm", {"augment": True, "projection": 6}),
    ("dm", {"schedule": "per-step"}),
    ("dm", {"factor": 2}),
    ("dc", {}),
    ("dc", {"start": "noise"}),
    ("dc", {"augment": True, "distance": "cosine"}),
    ("mmd", {}),
    ("merf", {}),
    ("merf", {"realise": "generator", "batch": 3}),
    ("taught", {}),
    ("taught", {"guidance": 0.0, "factor": 2}),
]


def condense(name, spec, extra, private=True, ipc=2):
    method = registry.get(name, spec)
    options = method.options(**{**SMALL[name], **extra})
    plan = make_plan(method.stages(spec, ipc, options), 1.0, 1e-5, "add_remove", {}, private=private)
    return method.condense(Curator(spec, plan), options, Run(ipc)), plan


@pytest.mark.parametrize(("name", "extra"), VARIANTS)
@pytest.mark.parametrize("spec", [IMAGES, COUNTED, TABLE], ids=["private counts", "public counts", "table"])
def test_runs_without_any_data(name, extra, spec):
    if spec.kind not in registry.METHODS[name].kinds:
        with pytest.raises(InputError, match="works on image data"):
            registry.get(name, spec)
        return
    if spec.kind == "table" and extra.get("factor", 1) > 1:
        extra = {}
    synthetic, _ = condense(name, spec, extra)
    x, y = synthetic.decode()
    assert x.shape[1:] == spec.shape
    assert torch.bincount(y).tolist() == [2 * extra.get("factor", 1) ** 2] * spec.num_classes
    assert x.isfinite().all()
    assert ((x >= synthetic.low - 1e-5) & (x <= synthetic.high + 1e-5)).all()


@pytest.mark.parametrize("name", registry.METHODS)
def test_private_counts_are_a_charged_stage_and_public_ones_are_not(name):
    method = registry.get(name)
    names = {
        spec.class_counts: [s.name for s in method.stages(spec, 2, method.options())] for spec in (IMAGES, COUNTED)
    }
    assert COUNTS not in names[COUNTED.class_counts]
    assert COUNTS in names[None]
    for spec in (IMAGES, COUNTED):
        assert sum(s.share for s in method.stages(spec, 2, method.options())) == pytest.approx(1)


def test_a_mixed_class_gradient_needs_no_counts():
    method = registry.get("dc")
    assert [s.name for s in method.stages(IMAGES, 2, method.options(start="noise"))] == ["gradients"]


@pytest.mark.parametrize("name", registry.METHODS)
def test_equal_public_seeds_give_equal_sets_without_noise(name):
    a, b = (condense(name, COUNTED, {}, private=False)[0].pixels for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize("name", registry.METHODS)
def test_the_plan_does_not_depend_on_what_is_condensed(name):
    """A plan is a function of public metadata: the same for a spec with the same declarations."""
    method = registry.get(name)
    assert method.stages(IMAGES, 2, method.options()) == method.stages(IMAGES, 2, method.options())


@pytest.mark.parametrize("name", registry.METHODS)
def test_a_rehearsal_states_a_cost(name):
    method = registry.get(name)
    cost = method.rehearse(IMAGES, method.options(**SMALL[name]), Run(2))
    assert cost.asking > 0
    assert cost.condensing > 0
    assert cost.kept > 0


def test_the_default_number_of_networks_follows_the_declared_size():
    method = registry.get("dm")
    sizes = {60_000: 200, 30_000: 100, 300: 4}
    for records, networks in sizes.items():
        spec = DataSpec("toy", "image", (1, 8, 8), ("a", "b", "c"), records)
        assert method.stages(spec, 2, method.options())[-1].count == networks


def test_unknown_methods_name_the_nearest():
    with pytest.raises(InputError, match="did you mean 'merf'"):
        registry.get("dp-merf")


@pytest.mark.parametrize("name", registry.METHODS)
def test_every_query_of_a_method_has_a_grid_for_discrete_noise(name, tmp_path):
    """A query without one would be refused only after those before it were paid for."""
    method = registry.get(name)
    options = method.options(**SMALL[name])
    plan = make_plan(method.stages(LAWS, 2, options), 1.0, 1e-5, "add_remove", {})
    with Ledger.create(tmp_path / "ledger", plan) as ledger:
        curator = Curator(LAWS, plan, toy(), ledger, noise=DiscreteGaussianNoise(), answers=tmp_path / "answers")
        made = method.condense(curator, options, Run(2))
        assert len(ledger.events()) == len(plan.events())
    assert made.pixels.isfinite().all()


@pytest.mark.parametrize("name", registry.METHODS)
def test_images_too_small_for_a_method_are_refused_before_anything_is_asked(name):
    method = registry.METHODS[name]
    tiny = DataSpec("tiny", "image", (1, method.smallest, method.smallest), ("a", "b"), 300, class_counts=(150, 150))
    condense(name, tiny, {})
    if method.smallest > 1:
        smaller = replace(tiny, shape=(1, method.smallest, method.smallest - 1))
        with pytest.raises(InputError, match=f"works on images of at least {method.smallest}×.* use merf"):
            registry.get(name, smaller)


def test_gradient_distances():
    g = torch.Generator().manual_seed(0)
    a = [torch.randn(3, 4, generator=g), torch.randn(3, generator=g)]
    b = [2 * a[0], a[1] + 1]
    assert distance(a, a, "mse").item() == 0
    assert distance(a, b, "mse").item() == pytest.approx(float(a[0].square().sum() + 3), rel=1e-5)
    assert distance(a, b, "cosine").item() == pytest.approx(0, abs=1e-5)  # rows are parallel; biases do not count
    assert distance(a, [-a[0], a[1]], "cosine").item() == pytest.approx(6, rel=1e-5)


def test_matching_moves_the_class_means_to_the_target():
    """Linear features, no noise: the optimum of the squared distance is that the means coincide."""
    from dpcond.methods.matching import ReleasedMeans, match_means
    from dpcond.privacy.queries import Feature
    from dpcond.synthetic import SyntheticSet

    target = 0.2 * torch.randn(3, 64, generator=torch.Generator().manual_seed(1))
    feature = Feature(lambda x: x.flatten(1), 64, 1e6)
    synthetic = SyntheticSet.start(COUNTED, 2, 0)
    match_means(synthetic, [ReleasedMeans(feature, target)], Run(2), steps=400, lr=0.05)
    means = synthetic.pixels.detach().view(3, 2, 64).mean(1)
    assert torch.allclose(means, target, atol=0.02)
