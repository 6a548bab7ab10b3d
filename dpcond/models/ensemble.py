"""Several networks of one architecture trained and asked together.

Two engines with the same mathematics. ``loop`` runs network after network in slices small enough for the processor's
cache: the fastest on CPUs, where grouped convolution and ``vmap`` lose their gain to memory traffic (measured).
``vmap`` stacks the parameters and runs all networks in one call: fewer, larger kernels, for accelerators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, stack_module_state

from dpcond.errors import InputError
from dpcond.models.build import build
from dpcond.models.device import resolve_device

Engine = Literal["auto", "loop", "vmap"]

#: Images per slice on a CPU: the maps of 25 images stay in cache (W128 at 28×28: a third faster than 100 at once).
CPU_SLICE = 25
_CONVOLUTIONAL = ("convnet", "resnet18")


class Ensemble:
    """E networks, one per seed, that share nothing but their architecture.

    Args:
        name, shape, num_classes, options: as for :func:`dpcond.models.build`.
        seeds: one per network.
        engine: ``"auto"`` takes ``"loop"`` on a CPU and ``"vmap"`` on an accelerator.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        num_classes: int,
        seeds: Sequence[int],
        device: str | torch.device = "auto",
        engine: Engine = "auto",
        **options: Any,
    ) -> None:
        self.device = resolve_device(device)
        if engine not in ("auto", "loop", "vmap"):
            raise InputError(f"ensemble engine {engine!r}: expected 'auto', 'loop' or 'vmap'")
        on_cpu = self.device.type == "cpu"
        self.engine = engine if engine != "auto" else "loop" if on_cpu else "vmap"
        self._slice = CPU_SLICE if on_cpu and name in _CONVOLUTIONAL else 1 << 30
        self._models = [build(name, shape, num_classes, seed, self.device, **options) for seed in seeds]
        if self.engine == "vmap":
            self._stacked, _ = stack_module_state(self._models)
            skeleton = self._models[0].to("meta")
            self._call = torch.vmap(lambda parameters, x: functional_call(skeleton, parameters, (x,)))

    def __len__(self) -> int:
        """Number of networks E."""
        return len(self._models)

    def parameters(self) -> list[Tensor]:
        """Every learnable tensor, for an optimiser."""
        if self.engine == "vmap":
            return list(self._stacked.values())
        return [parameter for model in self._models for parameter in model.parameters()]

    def backward(self, x: Tensor, y: Tensor) -> None:
        """Add to the gradients those of each network's mean cross-entropy on its own batch.

        Args:
            x: [E, B, *shape] normalised records.
            y: int64 labels [E, B] or probabilities [E, B, classes].
        """
        size = x.shape[1]
        if self.engine == "vmap":
            for part, target in zip(x.split(self._slice, 1), y.split(self._slice, 1), strict=True):
                logits = self._call(self._stacked, part).float()
                loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1), reduction="sum") / size
                loss.backward()
            return
        for model, batch, labels in zip(self._models, x, y, strict=True):
            for part, target in zip(batch.split(self._slice), labels.split(self._slice), strict=True):
                (F.cross_entropy(model(part).float(), target, reduction="sum") / size).backward()

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Logits [E, B, classes] of every network on the same records [B, *shape]."""
        parts = x.split(self._slice)
        if self.engine == "vmap":
            return torch.cat([self._call(self._stacked, p.expand(len(self), *p.shape)) for p in parts], 1)
        return torch.stack([torch.cat([model(part) for part in parts]) for model in self._models])
