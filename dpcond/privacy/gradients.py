"""Sums of clipped per-record gradients: several engines, one answer.

``vmap`` (the default) holds a chunk of per-record gradients explicitly, so norm and clip act on the same numbers and
records are apart by construction. ``loop`` is the slow twin that anybody can check. ``opacus`` is a third party's.
``linear`` is a closed form for one linear layer under the cross-entropy, where no gradient need be held at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from dpcond.errors import InputError
from dpcond.privacy.clipping import clip_scales

Loss = Callable[[Tensor, Tensor], Tensor]
Params = dict[str, Tensor]


def trainable(model: nn.Module) -> Params:
    """The parameters whose gradient is asked for, by name, in the model's order."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def _chunks(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(x), size):
        yield x[start : start + size], y[start : start + size]


def _vmap(model: nn.Module, loss: Loss, x: Tensor, y: Tensor, chunk: int) -> Iterator[list[Tensor]]:
    params = trainable(model)
    fixed = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
    fixed |= dict(model.named_buffers())

    def one(p: Params, record: Tensor, label: Tensor) -> Tensor:
        return loss(functional_call(model, {**p, **fixed}, (record[None],)), label[None])

    per_record = vmap(grad(one), in_dims=(None, 0, 0))
    for cx, cy in _chunks(x, y, chunk):
        yield list(per_record(params, cx, cy).values())


def _loop(model: nn.Module, loss: Loss, x: Tensor, y: Tensor, chunk: int) -> Iterator[list[Tensor]]:
    params = [p for p in model.parameters() if p.requires_grad]
    for cx, cy in _chunks(x, y, 1):
        yield [g[None] for g in torch.autograd.grad(loss(model(cx), cy), params)]


def _opacus(model: nn.Module, loss: Loss, x: Tensor, y: Tensor, chunk: int) -> Iterator[list[Tensor]]:
    from opacus import GradSampleModule

    wrapped = GradSampleModule(model, loss_reduction="sum")
    try:
        for cx, cy in _chunks(x, y, chunk):
            wrapped.zero_grad(set_to_none=True)
            torch.stack([loss(o[None], t[None]) for o, t in zip(wrapped(cx), cy, strict=True)]).sum().backward()
            yield [p.grad_sample.detach() for p in model.parameters() if p.requires_grad]  # type: ignore[attr-defined]
    finally:
        wrapped.zero_grad(set_to_none=True)
        wrapped.to_standard_module()
        model.zero_grad(set_to_none=True)


ENGINES = {"vmap": _vmap, "loop": _loop, "opacus": _opacus}
LINEAR = "linear"


def _linear(
    model: nn.Module, loss: Loss, x: Tensor, y: Tensor, bound: float | None, chunk: int, grid: float | None
) -> Tensor:
    """Clipped gradient sum of softmax regression, float64 [C·k + C].

    One record's gradient is (p − e_y) ⊗ (x, 1) with p its class probabilities, so its norm is ‖p − e_y‖·‖(x, 1)‖, and
    the sum of the clipped ones is one product of matrices.
    """
    if type(model) is not nn.Linear or model.bias is None or loss is not F.cross_entropy:
        raise InputError("gradient engine 'linear': expected one nn.Linear with a bias, under F.cross_entropy")
    if len(trainable(model)) != 2:
        raise InputError("gradient engine 'linear': weight and bias must both require a gradient")
    rows = x.detach().flatten(1).double()
    residual = F.linear(rows, model.weight.detach().double(), model.bias.detach().double()).softmax(1)
    residual[torch.arange(len(y), device=y.device), y] -= 1
    norms = residual.norm(dim=1) * (rows.square().sum(1) + 1).sqrt()
    scales = torch.ones_like(norms) if bound is None else clip_scales(norms, bound)
    kept = scales > 0
    if bound is not None and not kept.all():  # a dropped row may hold NaN, and 0 * NaN is NaN
        rows, residual, scales = rows[kept], residual[kept], scales[kept]
    residual = residual * scales[:, None]
    if grid is None:
        return torch.cat([(residual.T @ rows).flatten(), residual.sum(0)])
    total = torch.zeros(model.weight.numel() + model.bias.numel(), dtype=torch.float64, device=x.device)
    for r, p in zip(rows.split(chunk), residual.split(chunk), strict=True):
        gradients = torch.cat([(p[:, :, None] * r[:, None, :]).flatten(1), p], 1)
        total += (torch.round(gradients / grid) * grid).sum(0)
    return total


def clipped_gradient_sum(
    model: nn.Module,
    loss: Loss,
    x: Tensor,
    y: Tensor,
    bound: float | None,
    *,
    engine: str = "vmap",
    chunk: int = 32,
    grid: float | None = None,
) -> Tensor:
    """Sum over records of clip(gradient of loss(model(x), y)), as one float64 vector [parameters].

    Args:
        model: public network; refused beforehand if it couples records.
        loss: mean loss of a batch of logits [B, C] and labels [B] (called with B = 1).
        x, y: records [B, ...] and labels [B]; B = 0 gives zeros.
        bound: clipping norm of one record's whole gradient, or ``None`` for no clip.
        engine: ``vmap``, ``loop``, ``opacus`` or ``linear``; the answer does not depend on it.
        chunk: records held at once; a matter of speed and memory only.
        grid: round every clipped gradient to multiples of this step.

    Raises:
        InputError: on an unknown engine, or one that does not fit the model.
    """
    if engine not in (*ENGINES, LINEAR):
        raise InputError(f"gradient engine {engine!r}: expected one of {', '.join((*ENGINES, LINEAR))}")
    sizes = [p.numel() for p in trainable(model).values()]
    total = torch.zeros(sum(sizes), dtype=torch.float64, device=x.device)
    if len(x) == 0:
        return total
    if bound is not None and grid is not None:
        bound = max(bound - grid * sum(sizes) ** 0.5 / 2, 0.0)
    if engine == LINEAR:
        return _linear(model, loss, x, y, bound, chunk, grid)
    views = total.split(sizes)
    for grads in ENGINES[engine](model, loss, x, y, chunk):
        rows = [g.detach().reshape(len(g), -1).double() for g in grads]  # one copy, for the norm and for the sum
        if bound is None:
            scales = torch.ones(len(rows[0]), dtype=torch.float64, device=x.device)
        else:
            norms = torch.stack([torch.linalg.vector_norm(r, dim=1) for r in rows], 1)
            scales = clip_scales(torch.linalg.vector_norm(norms, dim=1), bound)
            kept = scales > 0
            if not kept.all():  # a dropped row may hold NaN, and 0 * NaN is NaN
                rows, scales = [r[kept] for r in rows], scales[kept]
        for view, r in zip(views, rows, strict=True):
            if grid is None:
                view += scales @ r
            else:
                view += (torch.round(scales[:, None] * r / grid) * grid).sum(0)
    return total
