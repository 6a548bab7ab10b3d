"""Refuse models in which one record's statistic depends on the other records of its batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dpcond.errors import InputError

COUPLING = (
    nn.modules.batchnorm._BatchNorm,  # statistics over the batch (training) or over earlier batches (running)
    nn.LocalResponseNorm,
    nn.modules.dropout._DropoutNd,  # draws from the global generator: not a fixed public function of the record
    nn.RNNBase,  # reads the whole batch in lockstep through fused kernels that vmap cannot separate
)

ROUNDING = 2e-5  # kernels chosen by batch size differ by 1e-6; what the clip leaves under the bound (2^-13) covers both


def refuse_coupling(model: nn.Module) -> None:
    """Raise InputError, naming the layer, when ``model`` holds one that couples records or is not a fixed function."""
    for name, module in model.named_modules():
        tracked = getattr(module, "track_running_stats", False)
        if isinstance(module, COUPLING) or tracked:
            raise InputError(
                f"layer {name or 'model'!r} ({type(module).__name__}) couples the records of a batch or is random, "
                "so no record's influence can be bounded; use GroupNorm or InstanceNorm without running statistics"
            )


def refuse_coupling_in(statistic: Callable[[Tensor], Tensor]) -> None:
    """The same for the network that ``statistic`` is, or is a method of; a plain function is left to the probe."""
    owner = getattr(statistic, "__self__", statistic)
    if isinstance(owner, nn.Module):
        refuse_coupling(owner)


def check_isolation(statistic: Callable[[Tensor], Tensor], probe: Tensor) -> None:
    """Raise InputError unless each row of ``statistic(probe)`` is what the record alone would give, wherever it stands.

    ``probe`` holds public records [B, ...]. The line of defence behind :func:`refuse_coupling`, for plain functions.
    """
    with torch.no_grad():
        together = statistic(probe)
        if together.ndim != 2 or len(together) != len(probe):
            raise InputError(f"statistic: expected one row per record [{len(probe)}, k], got {tuple(together.shape)}")
        chosen = sorted({0, 1, len(probe) // 2, len(probe) - 1})
        alone = torch.cat([statistic(probe[i : i + 1]) for i in chosen])
        turned = statistic(probe.flip(0)).flip(0)
    change = torch.cat([(together[chosen] - alone).abs().flatten(), (together - turned).abs().flatten()]).max()
    if not change <= ROUNDING * together.abs().max():
        raise InputError(
            "statistic couples the records of a batch (a row changes with its neighbours or its place): "
            "it must be a fixed function of one record; use GroupNorm or InstanceNorm in place of BatchNorm"
        )
