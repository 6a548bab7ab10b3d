"""Networks trained together are the networks trained one by one."""

import pytest
import torch
import torch.nn.functional as F

from dpcond.errors import InputError
from dpcond.models import Ensemble, build
from dpcond.models.compiled import COMPILED_SLICE, WORTH
from dpcond.models.ensemble import CPU_SLICE

SHAPES = {"convnet": (1, 8, 8), "mlp": (14,), "lenet": (1, 16, 16)}
OPTIONS = {"convnet": {"width": 8}, "mlp": {}, "lenet": {}}


@pytest.mark.parametrize("engine", ["loop", "vmap"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_ensemble_equals_the_plain_loop(name, engine, soft):
    """Three SGD steps, batches above the slice size; the oracle is torch's own loop over networks."""
    shape, seeds, size = SHAPES[name], (4, 9), CPU_SLICE + 7
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, size, *shape, generator=generator)
    y = torch.randint(3, (2, size), generator=generator)
    if soft:
        y = torch.rand(2, size, 3, generator=generator).softmax(2)
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
    ensemble = Ensemble(name, shape, 3, seeds, "cpu", engine, **OPTIONS[name])
    optimizer = torch.optim.SGD(ensemble.parameters(), fused=True, **settings)
    for _ in range(3):
        optimizer.zero_grad()
        ensemble.backward(x, y)
        optimizer.step()
    together = ensemble.logits(x[0])
    for index, seed in enumerate(seeds):
        model = build(name, shape, 3, seed, **OPTIONS[name])
        optimizer = torch.optim.SGD(model.parameters(), **settings)
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
        torch.testing.assert_close(together[index], model(x[0]), atol=2e-5, rtol=1e-4)


def test_engines_are_checked():
    with pytest.raises(InputError, match="'loop' or 'vmap'"):
        Ensemble("mlp", (3,), 2, (0,), engine="grouped")


@pytest.fixture
def gradients():
    """Gradients of two ConvNets in bfloat16 on two whole slices and a rest, and whether they were compiled."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2 * COMPILED_SLICE + 5, 1, 8, 8, generator=generator)
    y = torch.randint(3, x.shape[:2], generator=generator)

    def of(visits):
        ensemble = Ensemble("convnet", (1, 8, 8), 3, (4, 9), "cpu", width=8, precision="bfloat16", visits=visits)
        ensemble.backward(x, y)
        return [p.grad for p in ensemble.parameters()], ensemble._forward is not None

    return of


def test_a_compiled_network_learns_what_the_plain_one_does(gradients):
    """Both networks of the ensemble, whole slices and the rest; the bias before a normalisation has no gradient at all."""
    fast, compiled = gradients(WORTH)
    plain, uncompiled = gradients(WORTH - 1)
    assert not uncompiled
    if not compiled:
        pytest.skip("no compiler here")
    for ours, theirs in zip(fast, plain, strict=True):
        assert (ours - theirs).norm() <= 0.03 * theirs.norm() + 2e-3


def test_without_a_compiler_the_network_is_used_as_it_is(gradients, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", fails)
    fallen, compiled = gradients(WORTH)
    plain, _ = gradients(0)
    assert not compiled
    assert all(torch.equal(a, b) for a, b in zip(fallen, plain, strict=True))


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 0.5, -1.0])
def test_a_wrongly_compiled_gradient_is_not_used(gradients, monkeypatch, factor):
    """Right values, another gradient: as a compiler's fault was, by which networks ended at chance."""

    def wrongly(call, **_):
        def forward(model, x):
            logits = call(model, x)
            logits.register_hook(lambda gradient: factor * gradient)
            return logits

        return forward

    monkeypatch.setattr(torch, "compile", wrongly)
    fallen, compiled = gradients(WORTH)
    plain, _ = gradients(0)
    assert not compiled
    assert all(torch.equal(a, b) for a, b in zip(fallen, plain, strict=True))
