"""A folder of images in torchvision's layout: ``class/name.png``, or that under ``train/`` and ``test/``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dpcond.data.pixels import stack_images
from dpcond.data.records import Arrays
from dpcond.errors import InputError


def split_folders(path: Path) -> tuple[Path, Path | None]:
    """``path/train`` and ``path/test`` when both are there and nothing else is, else ``path`` alone."""
    folders = {p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")}
    return (path / "train", path / "test") if folders == {"train", "test"} else (path, None)


def class_names(path: Path, name: str) -> tuple[str, ...]:
    """The folder names, sorted; using them declares them public."""
    names = tuple(sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if not names:
        raise InputError(f"{name}: {path} holds no class folders; expected {path.name}/CLASS/IMAGE.png")
    return names


def read(path: Path, test: Path | None, classes: tuple[str, ...], name: str) -> tuple[Arrays, Arrays | None]:
    """Training images, and test images when there is a folder of them."""
    return _read(path, classes, name), _read(test, classes, name) if test else None


def _read(path: Path, classes: tuple[str, ...], name: str) -> Arrays:
    """Images uint8 [N, C, H, W] and labels [N]; a declared class without a folder is simply absent."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    undeclared = next((c for c in class_names(path, name) if c not in classes), None)
    if undeclared is not None:
        raise InputError(f"{name}: folder {undeclared!r} is not a declared class; declare it or move it away")
    index = {c: i for i, c in enumerate(classes)}
    samples = make_dataset(str(path), index, IMG_EXTENSIONS, allow_empty=True)
    images = ((str(Path(file).relative_to(path)), Path(file)) for file, _ in samples)
    return stack_images(images, len(samples), name), np.array([label for _, label in samples], dtype=np.int64)
