"""Networks by name, with a seeded initialisation of their own."""

from __future__ import annotations

import difflib
import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dpcond.errors import InputError
from dpcond.models.convnet import ConvNet
from dpcond.models.device import resolve_device
from dpcond.models.others import MLP, LeNet, ResNet18

MODELS = ("convnet", "mlp", "lenet", "resnet18")


class Network(Protocol):
    """What every network here offers beside being an ``nn.Module``."""

    embedding: int

    def embed(self, x: Tensor) -> Tensor:
        """Embedding [B, k] of records [B, *shape]."""
        ...


def initialise(model: nn.Module, seed: int) -> nn.Module:
    """Draw every parameter anew as torch does by default, from a generator of its own; returns ``model``.

    Convolutions and linear layers: weight and bias uniform in ±1/√fan_in; normalisation: weight 1, bias 0.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                bound = 1 / math.sqrt(module.weight[0].numel())
                for parameter in module.parameters(recurse=False):
                    draw = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                    parameter.copy_(draw)
            elif isinstance(module, nn.GroupNorm):
                module.weight.fill_(1.0)
                module.bias.zero_()
            elif next(module.parameters(recurse=False), None) is not None:
                raise TypeError(f"no seeded initialisation for {type(module).__name__}")
    return model


def build(
    name: str,
    shape: tuple[int, ...],
    num_classes: int,
    seed: int,
    device: str | torch.device = "cpu",
    **options: Any,
) -> Any:
    """A network for records of ``shape`` ((C, H, W), or (D,) for a table), its parameters drawn from ``seed``.

    Args:
        name: one of :data:`MODELS`; a table takes ``"mlp"``.
        seed: public; the same seed gives the same parameters on every device. No global generator is touched.
        options: passed to the network (``width=64``, ``depth=2``, ``norm="none"``…).

    Returns:
        An ``nn.Module`` that is also a :class:`Network`.

    Raises:
        InputError: unknown name, unknown option, or a network that does not fit the shape.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(str(name).lower(), MODELS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(MODELS)}"
        raise InputError(f"model {name!r} is unknown: {hint}")
    if name != "mlp" and len(shape) != 3:
        raise InputError(f"model {name!r} on records of shape {shape}: it takes images (C, H, W); use 'mlp' for tables")
    target = resolve_device(device)
    try:
        with torch.device("meta"):  # builds the modules without drawing from the global generator
            if name == "mlp":
                model: nn.Module = MLP(math.prod(shape), num_classes, **options)
            else:
                network = {"convnet": ConvNet, "lenet": LeNet, "resnet18": ResNet18}[name]
                model = network(shape[0], num_classes, (shape[1], shape[2]), **options)
    except TypeError as error:
        raise InputError(f"model {name!r}: {error}") from None
    return initialise(model.to_empty(device=target), seed)
