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
from dpcond.models.compiled import COMPILED_SLICE, WORTH, Forward, call, compiled
from dpcond.models.device import resolve_device
from dpcond.models.precision import Precision, computing

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
        precision: in which :meth:`backward` multiplies.
        visits: records that each network will learn from, counted as often as it sees them. Where they are many, a
            ConvNet in bfloat16 on a CPU is compiled, if it can be (ResNet-18 gains nothing).
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        num_classes: int,
        seeds: Sequence[int],
        device: str | torch.device = "auto",
        engine: Engine = "auto",
        *,
        precision: Precision = "float32",
        visits: int = 0,
        **options: Any,
    ) -> None:
        self.device = resolve_device(device)
        if engine not in ("auto", "loop", "vmap"):
            raise InputError(f"ensemble engine {engine!r}: expected 'auto', 'loop' or 'vmap'")
        on_cpu = self.device.type == "cpu"
        self.engine = engine if engine != "auto" else "loop" if on_cpu else "vmap"
        self._slice = CPU_SLICE if on_cpu and name in _CONVOLUTIONAL else 1 << 30
        self._models = [build(name, shape, num_classes, seed, self.device, **options) for seed in seeds]
        self.precision: Precision = precision
        self._forward: Forward | None = None
        if name == "convnet" and on_cpu and self.engine == "loop" and precision == "bfloat16" and visits >= WORTH:
            with computing(precision, self.device):
                self._forward = compiled(self._models[0], shape)
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
                with computing(self.precision, self.device):
                    logits = self._call(self._stacked, part).float()
                loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1), reduction="sum") / size
                loss.backward()
            return
        whole = COMPILED_SLICE if self._forward else self._slice
        for model, batch, labels in zip(self._models, x, y, strict=True):
            for part, target in zip(batch.split(whole), labels.split(whole), strict=True):
                forward = self._forward if self._forward and len(part) == COMPILED_SLICE else call
                with computing(self.precision, self.device):
                    logits = forward(model, part).float()
                (F.cross_entropy(logits, target, reduction="sum") / size).backward()

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Logits [E, B, classes] of every network on the same records [B, *shape]."""
        parts = x.split(self._slice)
        if self.engine == "vmap":
            return torch.cat([self._call(self._stacked, p.expand(len(self), *p.shape)) for p in parts], 1)
        return torch.stack([torch.cat([model(part) for part in parts]) for model in self._models])
