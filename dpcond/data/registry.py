"""The built-in datasets by name: their public description and the function that reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dpcond.data import adult, benchmarks, digits
from dpcond.data.records import Arrays
from dpcond.spec import DataSpec


@dataclass(frozen=True)
class Source:
    """A built-in dataset: what is public about it, and ``read(root) -> (train, test)``."""

    spec: DataSpec
    read: Callable[[Path], tuple[Arrays, Arrays]]


SOURCES: dict[str, Source] = {
    source.spec.name: source
    for source in (
        Source(digits.SPEC, digits.read),
        Source(benchmarks.MNIST, benchmarks.read_mnist),
        Source(benchmarks.FASHION_MNIST, benchmarks.read_fashion_mnist),
        Source(benchmarks.CIFAR10, benchmarks.read_cifar10),
        Source(benchmarks.SVHN, benchmarks.read_svhn),
        Source(adult.SPEC, adult.read),
    )
}


def describe() -> list[dict[str, str]]:
    """One row per built-in dataset: name, kind, shape, classes, records, source."""
    return [
        {
            "name": name,
            "kind": s.spec.kind,
            "shape": "×".join(map(str, s.spec.shape)),
            "classes": str(s.spec.num_classes),
            "records": f"{s.spec.records:,}",
            "source": s.spec.source,
        }
        for name, s in SOURCES.items()
    ]
