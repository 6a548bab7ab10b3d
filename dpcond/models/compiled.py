"""Long training of a ConvNet in bfloat16 on a CPU, compiled: normalisation, ReLU and pooling pass memory less often.

A step of width 128 takes two thirds of the time; in float32 nothing is won.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

#: Images per call: the fastest of 16, 25, 32 and 64 for a compiled ConvNet of width 128, and it divides a batch of 256.
COMPILED_SLICE = 16
#: Records learned from (each as often as it is seen) from which on the half minute of compiling is earned back.
WORTH = 80_000

Forward = Callable[[nn.Module, Tensor], Tensor]


def call(model: nn.Module, x: Tensor) -> Tensor:
    """The network as it is."""
    return model(x)


def compiled(model: nn.Module, shape: tuple[int, ...]) -> Forward | None:
    """``call`` for networks like ``model`` on slices of records of ``shape``, compiled, gradient included.

    To be asked for, and used, in one precision. ``None`` where it cannot be compiled, as without a C++ compiler.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it looks for CUDA, and says so
    x = torch.zeros(COMPILED_SLICE, *shape)
    try:
        forward: Forward = torch.compile(call, dynamic=False)
        torch.autograd.grad(forward(model, x).sum(), list(model.parameters()))
    except Exception:  # whatever a compiler lacks, the network itself is right
        return None
    return forward
