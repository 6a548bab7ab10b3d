"""Networks trained together are the networks trained one by one."""

import pytest
import torch
import torch.nn.functional as F

from dpcond.errors import InputError
from dpcond.models import Ensemble, build
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
