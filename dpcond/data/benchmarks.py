"""The image benchmarks, in torchvision's layouts: read from a folder, or downloaded into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dpcond.data import image_parquet
from dpcond.data.records import Arrays
from dpcond.errors import InputError
from dpcond.spec import DataSpec

DIGITS = tuple("0123456789")
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

MNIST = DataSpec("mnist", "image", (1, 28, 28), DIGITS, 60_000, source="MNIST, 60,000 / 10,000")
FASHION_MNIST = DataSpec(
    "fashion-mnist", "image", (1, 28, 28), CLOTHES, 60_000, source="Fashion-MNIST, 60,000 / 10,000"
)
CIFAR10 = DataSpec("cifar10", "image", (3, 32, 32), OBJECTS, 50_000, source="CIFAR-10, 50,000 / 10,000")
SVHN = DataSpec("svhn", "image", (3, 32, 32), DIGITS, 73_257, source="SVHN cropped digits, 73,257 / 26,032")


def read_mnist(root: Path) -> tuple[Arrays, Arrays]:
    """``root/MNIST/raw``: images uint8 [N, 1, 28, 28]."""
    from torchvision.datasets import MNIST as Set

    return _both(MNIST, root, "MNIST/raw", lambda train, get: Set(root, train=train, download=get))


def read_fashion_mnist(root: Path) -> tuple[Arrays, Arrays]:
    """``root/FashionMNIST/raw``: images uint8 [N, 1, 28, 28]."""
    from torchvision.datasets import FashionMNIST as Set

    wanted = "FashionMNIST/raw"
    return _both(FASHION_MNIST, root, wanted, lambda train, get: Set(root, train=train, download=get))


def read_cifar10(root: Path) -> tuple[Arrays, Arrays]:
    """``root/cifar10/plain_text/*.parquet`` (Hugging Face) if there, else ``root/cifar-10-batches-py``."""
    from torchvision.datasets import CIFAR10 as Set

    train, test = (image_parquet.split_files(root / "cifar10" / "plain_text", s) for s in ("train", "test"))
    if train and test:
        return image_parquet.read(train, CIFAR10.name), image_parquet.read(test, CIFAR10.name)
    wanted = "cifar-10-batches-py or cifar10/plain_text/*.parquet"
    return _both(CIFAR10, root, wanted, lambda train, get: Set(root, train=train, download=get))


def read_svhn(root: Path) -> tuple[Arrays, Arrays]:
    """``root/{train,test}_32x32.mat``: images uint8 [N, 3, 32, 32]."""
    from torchvision.datasets import SVHN as Set

    return _both(
        SVHN,
        root,
        "{train,test}_32x32.mat",
        lambda train, get: Set(root, split="train" if train else "test", download=get),
    )


def _both(spec: DataSpec, root: Path, wanted: str, make: Callable[[bool, bool], Any]) -> tuple[Arrays, Arrays]:
    """Training and test set; ``make(train, download)`` opens one of torchvision's."""
    return _arrays(_open(spec, root, wanted, make, True)), _arrays(_open(spec, root, wanted, make, False))


def _open(spec: DataSpec, root: Path, wanted: str, make: Callable[[bool, bool], Any], train: bool) -> Any:
    """Read what is there; download only what is absent. Every failure becomes one line with its fix."""
    try:
        return make(train, False)
    except Exception as error:  # torchvision's parsers raise whatever a broken file provokes
        # torchvision's word for absent files (and, for sets with checksums, for corrupt ones).
        if not (isinstance(error, RuntimeError) and "download=True" in str(error)):
            raise InputError(
                f"{spec.name}: {root / wanted} is truncated or corrupt ({_first_line(error)}); "
                "delete it and fetch it again"
            ) from None
    try:
        root.mkdir(parents=True, exist_ok=True)
        return make(train, True)
    except Exception as error:  # no network, no space, a proxy's page instead of a file …
        raise InputError(
            f"{spec.name}: not found in {root} (looked for {wanted}) and the download failed "
            f"({_first_line(error)}); put them there, or give their folder with --data-root or DPCOND_DATA"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _arrays(dataset: Any) -> Arrays:
    """torchvision's in-memory arrays as uint8 [N, C, H, W] and labels [N]."""
    x = np.asarray(dataset.data)
    y = np.asarray(dataset.labels if hasattr(dataset, "labels") else dataset.targets)
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[-1] == 3 and x.shape[1] != 3:
        x = x.transpose(0, 3, 1, 2)
    return x, y
