"""Baselines: what they are, and that those reading real records say so."""

import pytest
import torch
import torch.nn.functional as F

from dpcond.errors import InputError
from dpcond.evaluate import (
    Arrays,
    Protocol,
    chance,
    evaluate_full,
    evaluate_random_real,
    evaluate_table,
    linear_head,
    linear_head_accuracy,
    mean_images,
    random_real,
)
from dpcond.spec import DataSpec

PROTOCOL = Protocol("one", 1, width=4, augmentation="none")


def real(n: int = 60) -> Arrays:
    generator = torch.Generator().manual_seed(0)
    return Arrays(torch.randn(n, 1, 8, 8, generator=generator), torch.arange(n) % 3)


def test_random_subset_is_balanced_seeded_and_real():
    subset = random_real(real(), 3, 4, seed=1)
    assert torch.bincount(subset.y).tolist() == [4, 4, 4]
    originals = {tuple(x.flatten().tolist()) for x in real().x}
    assert len({tuple(x.flatten().tolist()) for x in subset.x} & originals) == 12
    assert torch.equal(subset.x, random_real(real(), 3, 4, seed=1).x)
    assert not torch.equal(subset.x, random_real(real(), 3, 4, seed=2).x)
    with pytest.raises(InputError, match="class 0 has fewer than 21 records"):
        random_real(real(), 3, 21)


def test_what_reads_real_records_is_stamped():
    for result in (
        evaluate_random_real(real(), real(), 3, 2, PROTOCOL, seeds=1, device="cpu"),
        evaluate_full(real(), real(), 3, PROTOCOL, seeds=1, device="cpu"),
    ):
        assert result["private"] is False
        assert result["note"].startswith("not private")


def test_chance():
    test = Arrays(torch.zeros(4, 1), torch.tensor([0, 1, 1, 1]))
    assert chance(test, 2) == {"private": True, "mean": 0.5, "majority": 0.75}


def test_mean_images_divide_and_stay_within_bounds():
    spec = DataSpec("toy", "image", (1, 2, 2), ("a", "b"), 10)
    sums = torch.tensor([[4.0, -4.0, 0.0, 2.0], [9.0, 0.0, 0.0, -90.0]])
    means = mean_images(sums, torch.tensor([4.0, 3.0]), spec)
    assert means.x.flatten(1).tolist() == [[1.0, -1.0, 0.0, 0.5], [1.0, 0.0, 0.0, -1.0]]
    assert means.y.tolist() == [0, 1]


def test_linear_head_is_ridge_regression_and_survives_noise():
    generator = torch.Generator().manual_seed(0)
    phi = F.normalize(torch.randn(400, 12, generator=generator), dim=1).double()
    y = phi[:, :3].argmax(1)
    second, cross = phi.T @ phi, phi.T @ F.one_hot(y, 3).double()
    exact = torch.linalg.solve(second + 0.5 * torch.eye(12), cross)
    torch.testing.assert_close(linear_head(second, cross, ridge=0.5), exact)
    test = Arrays(phi.float(), y)
    clean = linear_head_accuracy(linear_head(second, cross), lambda x: x, test)["mean"]
    assert clean > 0.9
    noise = torch.randn(12, 12, generator=generator).double()
    noise = (noise + noise.T) / 2  # off-diagonal std 1/√2: packed noise of std 1
    noisy = linear_head(second + 4 * noise, cross, noise_std=4.0)
    unguarded = torch.linalg.solve(second + 4 * noise, cross)
    assert noisy.norm() < unguarded.norm()
    assert linear_head_accuracy(noisy, lambda x: x, test)["mean"] > 0.8


def test_tables():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 4, generator=generator)
    rows, test = Arrays(x[:200], (x[:200, 0] > 0).long()), Arrays(x[200:], (x[200:, 0] > 0).long())
    result = evaluate_table(rows, test, 2, models=("logistic", "boosting"), seeds=1)
    for metrics in result["models"].values():
        assert all(metrics[name]["mean"] > 0.9 for name in ("roc_auc", "average_precision", "accuracy"))
    many = Arrays(x[:200], (x[:200, 0] > 0).long() + (x[:200, 1] > 0).long())  # the test has a class more
    wide = Arrays(x[200:], torch.arange(100) % 4)
    assert (
        0 <= evaluate_table(many, wide, 4, models=("logistic",), seeds=1)["models"]["logistic"]["accuracy"]["mean"] <= 1
    )
    with pytest.raises(InputError, match="did you mean 'forest'"):
        evaluate_table(rows, test, 2, models=("forrest",))
    with pytest.raises(InputError, match="one class only"):
        evaluate_table(Arrays(x, torch.zeros(300).long()), test, 2)


def test_all_real_records_get_steps_enough(monkeypatch):
    """60 records are one step an epoch, so seven steps take seven epochs; a large set keeps the protocol's own."""
    from dpcond.evaluate import baselines

    monkeypatch.setattr(baselines, "FULL", Protocol("full", 2, width=4, augmentation="none"))
    for steps, epochs in ((7, 7), (1, 2)):
        monkeypatch.setattr(baselines, "FULL_STEPS", steps)
        result = evaluate_full(real(), real(), 3, seeds=1, device="cpu")
        assert result["protocol"]["epochs"] == epochs
