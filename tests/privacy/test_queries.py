"""Queries: bounded influence of one record, against slow twins; laws of sums."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dpcond.errors import InputError
from dpcond.models import build
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.clipping import HAIR, clip_rows
from dpcond.privacy.gradients import clipped_gradient_sum
from dpcond.privacy.queries import LEAST, CellSums, ClassCounts, ClassSums, Feature, GradientSum, Moments

SHAPE, CLASSES, R = (1, 8, 8), 3, 0.7


def records(n, seed=0, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, *SHAPE, generator=g), torch.randint(CLASSES, (n,), generator=g)


def small_net(seed=0):
    return build("convnet", SHAPE, CLASSES, seed, width=4, depth=2)


class Head(nn.Linear):
    """A linear layer on flattened records, as the slow engines need it."""

    def forward(self, x):
        return super().forward(x.flatten(1))


def linear(kind=nn.Linear):
    layer = kind(64, CLASSES)
    with torch.no_grad():
        for seed, parameter in enumerate(layer.parameters()):
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    return layer


def feature(*classes, **kw):
    """A feature with a common centre, or with one for each of so many classes."""
    net = small_net()
    g = torch.Generator().manual_seed(1)
    center = torch.randn(*classes, 16, generator=g)
    return Feature(net.embed, 16, R, center=center, projection=torch.randn(16, 5, generator=g), **kw)


def centres(cells=4):
    """Public centres among the rows, so that records fall into several cells."""
    return feature().raw(records(CLASSES * cells, 9)[0]).detach().view(CLASSES, cells, 5)


def queries():
    return [
        ClassSums(feature(), CLASSES, "f"),
        ClassSums(feature(unit=True), CLASSES, "u"),
        ClassSums(feature(CLASSES), CLASSES, "c"),
        ClassSums(feature(CLASSES, unit=True), CLASSES, "cu"),
        CellSums(feature(), centres(), 0.3, "k"),
        ClassCounts(CLASSES),
        Moments(feature(), CLASSES, "m"),
        GradientSum(small_net(), R, "g"),
        GradientSum(linear(), R, "linear", engine="linear"),
    ]


def slow_clip(row, bound):
    norm = math.sqrt(sum(v**2 for v in row.tolist()))
    return row.double() * min(1.0, bound * (1 - HAIR) / max(norm, 1e-300))


@pytest.mark.parametrize(
    ("q", "grid"),
    [(q, grid) for q in queries() for grid in (None, 2.0**-12)],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_one_record_moves_the_sum_by_at_most_the_sensitivity(q, grid):
    """Neighbours by adding and by replacing, over random records, huge ones among them."""
    x, y = records(6)
    base = q.sum(x, y, grid=grid)
    for scale in (1e-3, 1.0, 1e4):
        for seed in range(5):
            one, label = records(1, seed + 10, scale)
            more = q.sum(torch.cat([x, one]), torch.cat([y, label]), grid=grid)
            replaced = q.sum(torch.cat([x[1:], one]), torch.cat([y[1:], label]), grid=grid)
            assert (more - base).norm() <= q.sensitivity(Adjacency.ADD_REMOVE)
            assert (replaced - base).norm() <= q.sensitivity(Adjacency.REPLACE_ONE)


def test_the_stated_sensitivities_are_reached():
    """They are tight for class sums (opposite features, one class), so stating less would be a lie."""
    q = ClassSums(Feature(lambda x: x.flatten(1), 64, R), CLASSES, "flat")
    x = 100 * torch.ones(1, *SHAPE)
    y = torch.zeros(1, dtype=torch.long)
    assert (q.sum(x, y) - q.sum(-x, y)).norm() == pytest.approx(2 * R, rel=2 * HAIR)
    assert q.sensitivity(Adjacency.REPLACE_ONE) == 2 * R
    assert q.sum(x, y).norm() == pytest.approx(R, rel=2 * HAIR)


def test_moments_norm_is_the_packed_frobenius_norm():
    q = Moments(Feature(lambda x: x.flatten(1), 64, R), CLASSES, "m")
    x, y = records(1, scale=100)
    assert q.sum(x, y).norm() == pytest.approx(math.sqrt(R**4 + R**2), rel=2 * HAIR)
    second, cross = q.unpack(q.sum(*records(9)))
    flat = clip_rows(records(9)[0].flatten(1), R)
    assert torch.allclose(second, flat.T @ flat)
    assert torch.allclose(cross, flat.T @ F.one_hot(records(9)[1], CLASSES).double())


@pytest.mark.parametrize("classes", [(), (CLASSES,)], ids=["one centre", "a centre for every class"])
def test_class_sums_equal_the_slow_twin(classes):
    f = feature(*classes)
    q = ClassSums(f, CLASSES, "f")
    x, y = records(7)
    slow, public = torch.zeros(q.shape, dtype=torch.float64), f.public(x, y).detach()
    for i in range(7):
        center = f.center[y[i]] if classes else f.center
        row = slow_clip((f.statistic(x[i : i + 1])[0] - center) @ f.projection, R).detach()
        slow[y[i]] += row
        assert torch.allclose(public[i].double(), row, atol=1e-4), "synthetic records are seen the same way"
    assert torch.allclose(q.sum(x, y), slow, atol=1e-5)


def test_centres_of_other_classes_or_without_labels_are_refused():
    with pytest.raises(InputError, match="expected 3"):
        ClassSums(feature(CLASSES + 1), CLASSES, "f")
    with pytest.raises(InputError, match="give the labels"):
        feature(CLASSES).public(records(2)[0])
    with pytest.raises(InputError, match="expected \\(16,\\) or \\(classes, 16\\)"):
        Feature(small_net().embed, 16, R, center=torch.zeros(2, CLASSES, 16))


def test_cell_sums_equal_the_slow_twin():
    """Displacements from the nearest centre of the record's class, some of them clipped, and how many there are."""
    f = feature()
    x, y = records(40)
    rows = f.raw(x).detach()
    own = torch.stack([rows[y == label][:4] + 0.1 for label in range(CLASSES)]).tolist()
    q = CellSums(f, torch.tensor(own), 0.3, "k")
    slow = torch.zeros(q.shape, dtype=torch.float64)
    long = 0
    for row, label in zip(rows, y.tolist(), strict=True):
        distances = [sum((a - b) ** 2 for a, b in zip(row.tolist(), c, strict=True)) for c in own[label]]
        cell = distances.index(min(distances))
        long += distances[cell] > R**2
        slow[label, cell, :5] += slow_clip(row - torch.tensor(own[label][cell]), R)
        slow[label, cell, 5] += 0.3
    assert torch.allclose(q.sum(x, y), slow, atol=1e-5)
    assert 0 < long < 40
    assert (slow[:, :, 5] > 0).sum() > CLASSES, "the records lie in several cells"
    assert torch.allclose(q.sum(x, y)[:, :, 5].sum(1) / 0.3, torch.bincount(y, minlength=CLASSES).double())


def test_a_cell_reaches_the_stated_sensitivity_and_a_broken_record_only_counts():
    """A far record: clipped displacement and count together have the norm that is stated; NaN adds no displacement."""
    q = CellSums(Feature(lambda x: x.flatten(1), 64, R), torch.zeros(CLASSES, 1, 64), 0.3, "far")
    y = torch.zeros(1, dtype=torch.long)
    assert q.sum(100 * torch.ones(1, *SHAPE), y).norm() == pytest.approx(
        q.sensitivity(Adjacency.ADD_REMOVE), rel=2 * HAIR
    )
    broken = q.sum(torch.full((1, *SHAPE), torch.nan), y)
    assert broken.isfinite().all()
    assert broken.norm() == pytest.approx(0.3)


def test_a_record_on_a_border_stays_in_its_cell_whoever_else_is_there():
    """Centres on either side at equal distance; neighbours in the batch change kernels, and must not change the cell."""
    f = feature()
    x, y = records(300)
    row = f.raw(x[:1])[0].detach()
    side = torch.randn(5, generator=torch.Generator().manual_seed(3))
    border = torch.stack([row + side, row - side]).expand(CLASSES, 2, 5)
    q = CellSums(f, border, 0.3, "border")
    alone = q.sum(x[:1], y[:1])
    for others in range(1, 300, 23):
        with_others = q.sum(x[: others + 1], y[: others + 1]) - q.sum(x[1 : others + 1], y[1 : others + 1])
        assert torch.allclose(with_others, alone, atol=1e-9)


def test_cell_sums_refuse_centres_of_another_space():
    with pytest.raises(InputError, match="expected finite"):
        CellSums(feature(), torch.zeros(CLASSES, 2, 4), 0.3, "k")
    with pytest.raises(InputError, match="expected finite"):
        CellSums(feature(), torch.full((CLASSES, 2, 5), torch.nan), 0.3, "k")
    with pytest.raises(InputError, match="unit"):
        CellSums(feature(unit=True), centres(), 0.3, "k")
    with pytest.raises(InputError, match="clipping norm"):
        CellSums(feature(), centres(), 0.0, "k")
    one, other = CellSums(feature(), centres(), 0.3, "k"), CellSums(feature(), -centres(), 0.3, "k")
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("engine", ["vmap", "opacus"])
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_gradient_engines_agree_whatever_the_chunk(engine, chunk):
    net = small_net()
    x, y = records(8)
    slow = clipped_gradient_sum(net, F.cross_entropy, x, y, R, engine="loop")
    fast = clipped_gradient_sum(net, F.cross_entropy, x, y, R, engine=engine, chunk=chunk)
    assert torch.allclose(fast, slow, atol=1e-5)
    by_hand = torch.zeros_like(slow)
    for i in range(8):
        grads = torch.autograd.grad(F.cross_entropy(net(x[i : i + 1]), y[i : i + 1]), list(net.parameters()))
        by_hand += slow_clip(torch.cat([g.flatten() for g in grads]), R)
    assert torch.allclose(slow, by_hand, atol=1e-6)


@pytest.mark.parametrize("bound", [None, 0.05, 1.0, 50.0])
@pytest.mark.parametrize("grid", [None, 2.0**-10])
def test_the_closed_form_of_a_linear_layer_equals_the_slow_gradients(bound, grid):
    """Records of all sizes: under the bound, over it, and with saturated probabilities."""
    x, y = records(12)
    x = x * torch.logspace(-2, 2, 12)[:, None, None, None]
    slow = clipped_gradient_sum(linear(Head), F.cross_entropy, x, y, bound, engine="loop", grid=grid)
    fast = clipped_gradient_sum(linear(), F.cross_entropy, x, y, bound, engine="linear", chunk=5, grid=grid)
    assert torch.allclose(fast, slow, atol=1e-4 if grid is None else 2 * grid)


def test_the_closed_form_is_refused_to_what_it_does_not_fit():
    x, y = records(2)
    frozen = linear()
    frozen.bias.requires_grad_(False)
    for model, loss in (
        (linear(Head), F.cross_entropy),
        (nn.Linear(64, CLASSES, bias=False), F.cross_entropy),
        (frozen, F.cross_entropy),
        (linear(), F.multi_margin_loss),
    ):
        with pytest.raises(InputError, match="engine 'linear'"):
            clipped_gradient_sum(model, loss, x, y, R, engine="linear")


@pytest.mark.parametrize("q", queries(), ids=lambda q: q.name)
def test_sums_are_additive_permutation_invariant_and_empty_is_zero(q):
    x, y = records(9)
    whole = q.sum(x, y)
    assert torch.allclose(whole, q.sum(x[:4], y[:4]) + q.sum(x[4:], y[4:]), atol=1e-5)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(whole, q.sum(x[order], y[order]), atol=1e-5)
    assert torch.equal(q.sum(x[:0], y[:0]), torch.zeros(q.shape, dtype=torch.float64))
    assert whole.dtype == torch.float64
    assert whole.shape == q.shape


def test_relabelling_permutes_the_blocks():
    q = ClassSums(feature(), CLASSES, "f")
    x, y = records(9)
    assert torch.allclose(q.sum(x, (y + 1) % CLASSES), q.sum(x, y).roll(1, 0))


@pytest.mark.parametrize("q", [q for q in queries() if q.name != "counts"], ids=lambda q: q.name)
@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e38])
def test_a_poisoned_record_contributes_at_most_nothing(q, poison):
    """A record whose statistic is not finite is zero; it neither spoils the sum nor stands out."""
    x, y = records(5)
    bad = x.clone()
    bad[2] = poison
    others = q.sum(x[[0, 1, 3, 4]], y[[0, 1, 3, 4]])
    answer = q.sum(bad, y)
    assert answer.isfinite().all()
    assert (answer - others).norm() <= q.sensitivity(Adjacency.ADD_REMOVE)


@given(st.floats(1e-6, 1e6), st.integers(0, 2**31))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_clipped_rows_never_pass_the_bound(bound, seed):
    g = torch.Generator().manual_seed(seed)
    rows = torch.randn(4, 50, generator=g) * 10 ** (6 * torch.rand(4, 1, generator=g) - 3)
    assert (clip_rows(rows, bound).norm(dim=1) <= bound).all()


def test_a_unit_feature_gives_every_record_the_bound_and_rounding_no_direction():
    """Of records that the centre all but takes away, the last digits are left: blown up to R they would be a coin's flip."""
    centre = torch.zeros(64)
    centre[0] = 1.0
    unit = Feature(lambda x: x.flatten(1), 64, R, center=centre, unit=True)
    x = torch.zeros(4, *SHAPE)
    x[:, 0, 0, 0] = 1.0
    x[1, 0, 0, 1], x[2, 0, 0, 1], x[3, 0, 0, 1] = 1e-6, 2 * LEAST, 1e4
    for rows in (unit.public(x), unit.rows(x, torch.zeros(4).long(), clip=True, grid=None)):
        norms = rows.double().norm(dim=1)
        assert norms[0] == 0
        assert norms[1].item() == pytest.approx(R * 1e-6 / LEAST, rel=1e-3)
        assert norms[2:].tolist() == pytest.approx([R, R], rel=2 * HAIR)


def test_on_the_grid_sums_are_exact_in_any_order():
    q = ClassSums(feature(), CLASSES, "f")
    x, y = records(50)
    grid = 2.0**-20
    order = torch.randperm(50, generator=torch.Generator().manual_seed(3))
    rows = q.feature.rows(x, y, clip=True, grid=grid)
    sums = [torch.zeros(q.shape, dtype=torch.float64).index_add_(0, y[o], rows[o]) for o in (torch.arange(50), order)]
    assert torch.equal(*sums)


class Coupled(nn.Module):
    def forward(self, x):
        return x.flatten(1) - x.flatten(1).mean(0)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.BatchNorm2d(1), "BatchNorm2d"),
        (nn.BatchNorm2d(1, track_running_stats=False), "BatchNorm2d"),
        (nn.SyncBatchNorm(1), "SyncBatchNorm"),
        (nn.InstanceNorm2d(1, track_running_stats=True), "InstanceNorm2d"),
        (nn.Dropout(0.5), "Dropout"),
    ],
)
def test_layers_that_couple_records_are_refused_by_name(layer, name):
    net = nn.Sequential(layer, nn.Flatten(), nn.Linear(64, CLASSES))
    with pytest.raises(InputError, match=name):
        GradientSum(net, R, "g")
    with pytest.raises(InputError, match=name):
        Feature(net, CLASSES, R)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
def test_bad_clipping_norms_are_refused(bound):
    with pytest.raises(InputError, match="clipping norm"):
        GradientSum(small_net(), bound, "g")


def test_moments_on_the_grid_are_those_of_every_record_rounded():
    q, (x, y), grid = Moments(feature(), CLASSES, "m"), records(5), 2.0**-20
    rounded = q.sum(x, y, grid=grid)
    assert torch.equal(rounded / grid, (rounded / grid).round())
    slow = torch.zeros(q.shape, dtype=torch.float64)  # the obvious way: every record's moments written out, and rounded
    for row, label in zip(q.feature.rows(x, y, clip=True, grid=None), y, strict=True):
        products = [
            row[a] * row[b] * (1 if a == b else math.sqrt(2)) for a in range(len(row)) for b in range(a, len(row))
        ]
        labelled = [value * (label == own) for value in row for own in range(CLASSES)]
        slow += (torch.stack([*products, *labelled]) / grid).round() * grid
    assert (rounded - slow).abs().max() <= 5 * grid
    assert (rounded - q.sum(x, y)).abs().max() < 5 * (grid + 2 * HAIR * q.record_norm())
