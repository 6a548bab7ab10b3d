"""Long training of a ConvNet in bfloat16 on a CPU, compiled: normalisation, ReLU and pooling pass memory less often.

A step of width 128 takes two thirds of the time on an Intel Xeon with matrix units, where multiplying is cheap, nine tenths
on an AMD EPYC, where it is not; in float32 nothing is won.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Images per call: the fastest of 16, 25, 32 and 64 for a compiled ConvNet of width 128, and it divides a batch of 256.
COMPILED_SLICE = 16
#: Distance of the compiled gradient from the network's own, relative; bfloat16 alone gives about a tenth.
TOLERANCE = 0.25
#: Records learned from (each as often as it is seen) from which on the half minute of compiling is earned back.
WORTH = 80_000

Forward = Callable[[nn.Module, Tensor], Tensor]


def call(model: nn.Module, x: Tensor) -> Tensor:
    """The network as it is."""
    return model(x)


def compiled(model: nn.Module, shape: tuple[int, ...]) -> Forward | None:
    """``call`` for networks like ``model`` on slices of records of ``shape``, compiled, gradient included.

    To be asked for, and used, in one precision. ``None`` where it cannot be compiled, as without a C++ compiler, and
    where what was compiled has another gradient than the network: one PyTorch 2.14.1 on one machine compiled ConvNets of
    width 128 to right values and a gradient that is not a number.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it looks for CUDA, and says so
    x = torch.randn(COMPILED_SLICE, *shape, generator=torch.Generator().manual_seed(0))
    try:
        forward: Forward = torch.compile(call, dynamic=False)
        gradient = _gradient(forward, model, x)
    except Exception:  # whatever a compiler lacks, the network itself is right
        return None
    own = _gradient(call, model, x)
    same = (gradient - own).norm() <= TOLERANCE * own.norm()  # false for what is not a number
    return forward if same else None


def _gradient(forward: Forward, model: nn.Module, x: Tensor) -> Tensor:
    """Of a cross-entropy with every class in turn, in one vector."""
    logits = forward(model, x).float()
    loss = F.cross_entropy(logits, torch.arange(len(x)) % logits.shape[1])
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])
