"""Pixels of one image file or byte string, as uint8 [C, H, W]; and many of them as one array."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpcond.errors import InputError

Pixels = NDArray[np.uint8]


def stack_images(images: Iterable[tuple[str, Path | bytes]], count: int, name: str) -> Pixels:
    """Decode ``count`` images (where each is, for messages; its file or bytes) into uint8 [count, C, H, W].

    Size and mode (grey or RGB) must be the same for all: were one record to decide them, it would choose a public
    constant. One image is decoded at a time, so memory stays flat.
    """
    from PIL import Image

    out: Pixels | None = None
    for i, (where, source) in enumerate(images):
        try:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                mode = "L" if image.mode in ("1", "L") else "RGB"
                pixels = np.atleast_3d(np.asarray(image.convert(mode))).transpose(2, 0, 1)
        except (OSError, ValueError, SyntaxError) as error:  # Pillow's ways to say truncated or not an image
            raise InputError(f"{name}: {where} is not an image or is truncated ({error}); replace it") from None
        if out is None:
            out = np.empty((count, *pixels.shape), dtype=np.uint8)
        if pixels.shape != out.shape[1:]:
            raise InputError(
                f"{name}: {where} has size {_size(pixels.shape)}, the first image {_size(out.shape[1:])}; "
                "bring all images to one size and mode (grey or RGB) first"
            )
        out[i] = pixels
    if out is None:
        raise InputError(f"{name}: no images were found; give a folder or file with at least one image")
    return out


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}×{shape[1]} in {'grey' if shape[0] == 1 else 'RGB'}"


def as_uint8_images(x: NDArray[np.generic], name: str) -> Pixels:
    """An array of images in a common layout → uint8 [N, C, H, W].

    Accepts [N, H, W], [N, C, H, W] and [N, H, W, C] with C = 1 or 3; uint8, or floats in [0, 1] (rounded to
    multiples of 1/255).
    """
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise InputError(
            f"{name}: x has shape {x.shape}, expected images (N, H, W), (N, C, H, W) or (N, H, W, C) "
            "with 1 or 3 channels; a table goes in as CSV or parquet with a schema"
        )
    if x.dtype == np.uint8:
        return x  # type: ignore[return-value]
    if x.dtype.kind != "f":
        raise InputError(f"{name}: x is {x.dtype}, expected uint8 pixels 0..255 or floats scaled to [0, 1]")
    values = x.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{name}: x holds NaN or infinite pixels; replace them or drop those records")
    if values.size and (values.min() < 0 or values.max() > 1):
        place = int(((values < 0) | (values > 1)).reshape(len(values), -1).any(axis=1).argmax())
        raise InputError(f"{name}: a pixel of image {place} is outside [0, 1]; scale floats to [0, 1] or store uint8")
    return np.rint(values * 255).astype(np.uint8)
