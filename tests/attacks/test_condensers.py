"""Condensers for all shadows at once: the same releases as one by one, closed forms where there are any, and starts that are what they say."""

import numpy as np
import pytest
import torch

from attacks import Records
from attacks.errors import InputError
from attacks.measure import matrix_metrics
from attacks.procedures import ClassSubset, ConvNetDM, GradientMatching, KernelInducing, build
from attacks.procedures.augment import siamese
from attacks.procedures.gradient_matching import _mean_gradients, _pull, distance
from attacks.procedures.kernel_inducing import kernel
from attacks.procedures.starts import start_images, start_rows


def images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that differ in their mean."""
    rng, y = np.random.default_rng(seed), np.arange(n) % 3
    return (0.5 * rng.random((n, 1, 12, 12)) + 0.2 * y[:, None, None, None]).astype("f4"), y


BATCHED = [
    GradientMatching(ipc=2, steps=6, width=8, learning_rate=1.0),
    GradientMatching(ipc=2, steps=6, width=8, learning_rate=1.0, augment=True, init="data"),
    GradientMatching(ipc=2, steps=3, width=4, network="convnet", init="mean"),
    KernelInducing(ipc=2, steps=6, batch=16, init="data"),
    KernelInducing(ipc=2, steps=4, batch=16, solve_labels=True),
]


@pytest.mark.parametrize("procedure", BATCHED, ids=repr)
def test_batched_condensation_equals_separate_ones(procedure) -> None:
    x, y = images(60)
    mask = np.random.default_rng(1).random((3, 60)) < 0.6
    together = procedure.many(x, y, mask, [5, 6, 7])
    for k in range(3):
        alone = procedure(x[mask[k]], y[mask[k]], 5 + k)
        np.testing.assert_allclose(together[k].x, alone.x, atol=1e-3)
        np.testing.assert_array_equal(together[k].y, alone.y)
        if alone.soft is not None:
            np.testing.assert_allclose(together[k].soft, alone.soft, atol=1e-2)
    assert np.abs(together[0].x - together[1].x).max() > 0.01


def test_gradient_matching_descends_the_distance_between_gradients() -> None:
    """The step's direction against a finite difference of the distance, written out network by network and class by class."""
    x, y = images(60)
    procedure = GradientMatching(ipc=3, width=16)
    network, theta = procedure._network((1, 12, 12), 3, 0)
    synthetic = torch.rand(3, 3, 1, 12, 12, generator=torch.Generator().manual_seed(0))

    def gradient(images: torch.Tensor, label: int) -> list[torch.Tensor]:
        weights = {name: w.clone().requires_grad_(True) for name, w in theta.items()}
        logits = torch.func.functional_call(network, weights, (images,))
        loss = torch.nn.functional.cross_entropy(logits, torch.full((len(images),), label))
        return [g[None] for g in torch.autograd.grad(loss, list(weights.values()))]

    real = [gradient(torch.from_numpy(x[y == c]), c) for c in range(3)]

    def off(images: torch.Tensor) -> float:
        made = [gradient(images[c], c) for c in range(3)]
        return float(sum(distance(g, t) for a, b in zip(made, real, strict=True) for g, t in zip(a, b, strict=True)))

    target = [torch.cat(parts) for parts in zip(*real, strict=True)]
    found = _pull(network, theta, synthetic, torch.arange(3), target, lambda images: images)
    direction = found / found.norm()
    numeric = (off(synthetic + 0.02 * direction) - off(synthetic - 0.02 * direction)) / 0.04
    assert numeric == pytest.approx(float(found.norm()), rel=0.05)
    weights = torch.ones(1, 20) / 20
    each = [
        _mean_gradients(network, theta, torch.from_numpy(x[y == c]), torch.full((20,), c), weights) for c in range(3)
    ]
    for a, b in zip(each, real, strict=True):
        assert all(torch.allclose(g, t, atol=1e-5) for g, t in zip(a, b, strict=True))


def test_gradient_matching_of_a_subset_that_is_the_members_has_nothing_left_to_match() -> None:
    """Start from all members of each class: synthetic and real gradients are equal, so nothing moves."""
    x, y = images(12)
    release = GradientMatching(ipc=4, steps=2, width=8, learning_rate=1.0, init="data")(x, y, 0)
    started = x[start_rows(y, np.unique(y), 4, 0).ravel()]
    np.testing.assert_allclose(release.x, started, atol=1e-3)


def test_tangent_kernel_is_the_limit_of_wide_networks() -> None:
    """One hidden layer, 200,000 units, no output scale: Σ φ'(w·x)φ'(w·z)(x·z) + φ(w·x)φ(w·z), by Monte Carlo."""
    rng = np.random.default_rng(0)
    x = rng.random((4, 5))
    augmented = np.concatenate([x / np.sqrt(5), np.full((4, 1), np.sqrt(0.1))], axis=1)  # the bias as a sixth feature
    before = augmented @ rng.standard_normal((6, 200_000))
    relu, step = np.maximum(before, 0), (before > 0).astype(float)
    # He scaling: 2/width
    wanted = 2 * (relu @ relu.T) / 200_000 + 2 * (step @ step.T) / 200_000 * (augmented @ augmented.T)
    found = kernel(torch.from_numpy(x), torch.from_numpy(x), depth=1).numpy()
    np.testing.assert_allclose(found, wanted, rtol=0.03)


def test_solved_labels_are_the_least_squares_solution() -> None:
    x, y = images(30)
    procedure = KernelInducing(ipc=2, steps=0, solve_labels=True, ridge=1e-6)
    release = procedure(x, y, 3)
    points, rows = (torch.from_numpy(a).flatten(1).double() for a in (release.x, x))
    a = procedure._attention(points, rows).numpy()
    goals = np.eye(3)[y] - 1 / 3
    best = np.linalg.lstsq(a, goals, rcond=None)[0]
    loss = ((a @ (release.soft - 1 / 3) - goals) ** 2).sum()
    assert loss <= 1.02 * ((a @ best - goals) ** 2).sum()
    assert release.soft.shape == (6, 3)


def test_kernel_points_fit_members_better_than_their_start() -> None:
    x, y = images(90)
    first, last = (KernelInducing(ipc=1, steps=steps, batch=64)(x, y, 0) for steps in (0, 40))

    def loss(release) -> float:
        procedure = KernelInducing(ipc=1)
        points, rows = (torch.from_numpy(a).flatten(1) for a in (release.x, x))
        return float(
            ((procedure._attention(points, rows).numpy() @ (np.eye(3) - 1 / 3) - (np.eye(3)[y] - 1 / 3)) ** 2).mean()
        )

    assert loss(last) < 0.7 * loss(first)


def test_starts_are_what_they_say() -> None:
    x, y = images(30)
    classes, public = np.unique(y), Records(1 - x[:15], y[:15])
    data = start_images("data", x, y, classes, 2, 4, (0.0, 1.0))
    np.testing.assert_array_equal(data, x[start_rows(y, classes, 2, 4)])
    outside = start_images("public", x, y, classes, 2, 4, (0.0, 1.0), public)
    assert all((outside[c, i] == public.x[public.y == c]).all(axis=(1, 2, 3)).any() for c in range(3) for i in range(2))
    mean = start_images("mean", x, y, classes, 2000, 4, (0.0, 1.0))
    np.testing.assert_allclose(mean[1].mean(axis=0), x[y == 1].mean(axis=0), atol=0.02)
    unlabelled = start_images("public", x, y, classes, 2, 4, (0.0, 1.0), Records(x[:9], np.zeros(9, dtype=int)))
    assert unlabelled.shape == (3, 2, 1, 12, 12)
    for name in ("convnet_dm", "gradient_matching", "kernel_inducing"):
        with pytest.raises(InputError, match="needs public records"):
            build(name, init="public")
        with pytest.raises(InputError, match="choose noise"):
            build(name, init="real")


def test_a_class_subset_is_what_the_condensers_of_the_same_seed_start_from() -> None:
    x, y = images(30)
    subset = ClassSubset(2)(x, y, 9)
    still = ConvNetDM(ipc=2, steps=1, init="data", learning_rate=0.0, width=4)(x, y, 9)
    np.testing.assert_array_equal(subset.x, still.x)
    np.testing.assert_array_equal(subset.y, still.y)


def test_siamese_augmentation_is_one_transformation_for_all_and_differentiable() -> None:
    batch = torch.rand(1, 1, 10, 10).expand(3, -1, -1, -1).clone().requires_grad_(True)
    kinds = [siamese(batch, seed) for seed in range(40)]
    assert all(torch.equal(out[0], out[1]) and out.shape == batch.shape for out in kinds)
    assert len({round(out.sum().item(), 3) for out in kinds}) > 10  # different steps, different views
    assert torch.equal(siamese(batch, 7), siamese(batch, 7))
    assert all(bool(torch.autograd.grad(out.sum(), batch)[0].any()) for out in kinds)


def test_metrics_of_some_members_against_all_non_members() -> None:
    rng = np.random.default_rng(0)
    member = np.repeat(rng.random((8, 1, 50)) < 0.5, 2, axis=1).reshape(16, 50)
    member[1::2] = ~member[0::2]
    some = member & (rng.random(member.shape) < 0.2)
    scores = rng.standard_normal(member.shape) + 10 * some
    assert matrix_metrics(scores, member, some).auc.value == 1.0
    assert matrix_metrics(scores, member).auc.value < 0.75
    with pytest.raises(InputError, match="no members"):
        matrix_metrics(scores, member, ~member)
