"""Speed of the wall as ratios, each pair measured in one run on one thread in CPU time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from dpcond.models import build
from dpcond.privacy.gradients import clipped_gradient_sum
from dpcond.privacy.noise import DiscreteGaussianNoise, GaussianNoise
from dpcond.privacy.queries import ClassSums, Feature

BATCH, SHAPE, CLASSES = 256, (1, 28, 28), 10


def ratios(work: dict[str, Callable[[], Any]], rounds: int = 5) -> dict[str, float]:
    """Median CPU seconds of each piece of work, run in turn for several rounds after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, piece in work.items():
            start = time.process_time()
            piece()
            if turn:
                times[name].append(time.process_time() - start)
    return {name: median(t) for name, t in times.items()}


def inputs() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """The D3-W128 ConvNet and one batch of noise."""
    g = torch.Generator().manual_seed(0)
    return (
        build("convnet", SHAPE, CLASSES, 0),
        torch.randn(BATCH, *SHAPE, generator=g),
        torch.randint(CLASSES, (BATCH,), generator=g),
    )


def plain_gradient(net: nn.Module, x: torch.Tensor, y: torch.Tensor, chunk: int) -> None:
    """The batch gradient without privacy, accumulated over chunks."""
    net.zero_grad()
    for cx, cy in zip(x.split(chunk), y.split(chunk), strict=True):
        F.cross_entropy(net(cx), cy, reduction="sum").backward()


def opacus_default(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """Opacus as it comes: hooks on the full batch, per-record gradients, norms, clipped sum."""
    from opacus import GradSampleModule

    wrapped = GradSampleModule(net, loss_reduction="sum")
    F.cross_entropy(wrapped(x), y, reduction="sum").backward()
    grads = [p.grad_sample for p in net.parameters()]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in grads], 1).norm(dim=1)  # type: ignore[union-attr]
    scale = (1.0 / (norms + 1e-6)).clamp(max=1.0)
    for g in grads:
        torch.einsum("i,i...", scale, g)
    wrapped.zero_grad(set_to_none=True)
    wrapped.to_standard_module()
    net.zero_grad(set_to_none=True)


def gradients() -> dict[str, Any]:
    """Clipped gradient sums against the plain gradient and against Opacus."""
    net, x, y = inputs()
    work: dict[str, Callable[[], Any]] = {
        "plain, full batch": lambda: plain_gradient(net, x, y, BATCH),
        **{f"plain, chunks of {c}": (lambda c=c: plain_gradient(net, x, y, c)) for c in (16, 32, 64)},  # type: ignore[misc]
        **{
            f"clipped, vmap, chunks of {c}": (
                lambda c=c: clipped_gradient_sum(net, F.cross_entropy, x, y, 1.0, chunk=c)
            )  # type: ignore[misc]
            for c in (8, 16, 32)
        },
        "clipped, loop": lambda: clipped_gradient_sum(net, F.cross_entropy, x, y, 1.0, engine="loop"),
        "Opacus hooks, full batch": lambda: opacus_default(net, x, y),
    }
    found = ratios(work)
    ours = found["clipped, vmap, chunks of 16"]
    best_plain = min(t for name, t in found.items() if name.startswith("plain, chunks"))
    return {
        "seconds": found,
        "over the plain full batch (goal ≤ 1.0)": ours / found["plain, full batch"],
        "over the best plain chunks (goal ≤ 1.35)": ours / best_plain,
        "Opacus over ours (goal ≥ 2.3)": found["Opacus hooks, full batch"] / ours,
    }


def class_sums() -> dict[str, Any]:
    """One ClassSums pass against the forward pass it contains."""
    net, x, y = inputs()
    query = ClassSums(Feature(net.embed, 2048, 1.0, center=torch.zeros(2048), unit=True), CLASSES, "benchmark")  # type: ignore[arg-type]

    def forward() -> None:
        with torch.no_grad():
            net.embed(x)  # type: ignore[operator]

    found = ratios({"forward": forward, "ClassSums": lambda: query.sum(x, y)}, rounds=9)
    return {"seconds": found, "over forward (goal ≤ 1.05)": found["ClassSums"] / found["forward"]}


def noise() -> dict[str, Any]:
    """Secure noise against torch's, for one gradient of the ConvNet (317,706 values)."""
    found = ratios(
        {
            "torch float32": lambda: torch.randn(317_706),
            "torch float64": lambda: torch.randn(317_706, dtype=torch.float64),
            "Gaussian, secure float64": lambda: GaussianNoise().draw((317_706,), 1.0),
            "discrete Gaussian, secure": lambda: DiscreteGaussianNoise().draw((317_706,), 1.0),
        }
    )
    return {"seconds": found, **{f"{n} over torch float32": t / found["torch float32"] for n, t in found.items()}}


def peak_mib(what: str, records: int) -> float:
    """Peak resident memory (MiB) of a fresh process that does ``what``, above one that does nothing of it."""
    out = subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks.wall", what, str(records)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(out.stdout)


def memory() -> dict[str, Any]:
    """Peak memory of gradient sums (256 records) and of a ClassSums release over 2,000 and 20,000 records."""
    base = peak_mib("nothing", 0)
    found = {
        "clipped gradient sum": peak_mib("ours", BATCH) - base,
        "Opacus hooks": peak_mib("opacus", BATCH) - base,
        "ClassSums over 2,000": peak_mib("class-sums", 2_000) - base,
        "ClassSums over 20,000": peak_mib("class-sums", 20_000) - base,
    }
    return {
        "MiB": found,
        "ours over Opacus (goal ≤ 0.33)": found["clipped gradient sum"] / found["Opacus hooks"],
        "20,000 records over 2,000 (goal: flat)": found["ClassSums over 20,000"] / found["ClassSums over 2,000"],
    }


def _child(what: str, records: int) -> None:
    net, x, y = inputs()
    if what == "ours":
        clipped_gradient_sum(net, F.cross_entropy, x, y, 1.0, chunk=16)
    if what == "opacus":
        opacus_default(net, x, y)
    if what == "class-sums":
        from dpcond.privacy.curator import Curator
        from dpcond.privacy.plan import Stage, make_plan
        from dpcond.spec import DataSpec

        class Noise:  # records that exist only while they are read, so that the wall's own memory is what is measured
            def __len__(self) -> int:
                return records

            def batch(self, indices: Any) -> tuple[torch.Tensor, torch.Tensor]:
                return torch.zeros(len(indices), *SHAPE), torch.zeros(len(indices), dtype=torch.long)

        spec = DataSpec("noise", "image", SHAPE, tuple("0123456789"), 20_000)
        query = ClassSums(Feature(net.embed, 2048, 1.0, unit=True), CLASSES, "benchmark")  # type: ignore[arg-type]
        plan = make_plan([Stage("s", 1, query.dimension, 1.0)], 1.0, 1e-5, "add_remove", {})
        curator = Curator(spec, plan)
        curator._records = Noise()
        curator.ask("s", 0, query)
    status = Path("/proc/self/status").read_text()  # getrusage's maximum is inherited from the parent process
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _child(sys.argv[1], int(sys.argv[2]))
