"""From normalised values back to what a person reads: uint8 images, or a table in its original columns.

Everything needed is in the :class:`~dpcond.spec.DataSpec`: a release can be decoded from its own JSON alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpcond.errors import InputError
from dpcond.schema import TableSchema
from dpcond.spec import DataSpec

if TYPE_CHECKING:
    import pandas


def denormalize(x: ArrayLike, spec: DataSpec) -> NDArray[np.float64]:
    """Undo the public normalisation of ``x`` [M, *shape]: values within ``spec.bounds`` (clipped to them)."""
    return np.clip(_unclipped(x, spec), *spec.bounds)


def _unclipped(x: ArrayLike, spec: DataSpec) -> NDArray[np.float64]:
    values = np.asarray(x, dtype=np.float64)
    if values.shape[1:] != spec.shape:
        raise InputError(f"values of shape {values.shape}: expected [M, {', '.join(map(str, spec.shape))}]")
    per_channel = (-1,) + (1,) * (len(spec.shape) - 1)
    mean, std = (np.asarray(v, dtype=np.float64).reshape(per_channel) for v in (spec.mean, spec.std))
    return values * std + mean


def decode_images(x: ArrayLike, spec: DataSpec) -> NDArray[np.uint8]:
    """Normalised images [M, C, H, W] → uint8 pixels [M, C, H, W]."""
    if spec.kind != "image":
        raise InputError(f"{spec.name} is a {spec.kind}, not images: decode it with decode_rows")
    low, high = spec.bounds
    return np.rint((denormalize(x, spec) - low) / (high - low) * 255).astype(np.uint8)


def table_schema(spec: DataSpec) -> TableSchema:
    """The declared schema that a table's spec carries in ``preprocessing["table"]``."""
    if spec.kind != "table" or "table" not in spec.preprocessing:
        raise InputError(f"{spec.name} is not a table with a declared schema")
    return TableSchema.from_json(spec.preprocessing["table"])


def decode_rows(x: ArrayLike, y: ArrayLike, spec: DataSpec) -> pandas.DataFrame:
    """Normalised rows [M, D] and labels [M] → DataFrame in the declared columns (those not dropped).

    A category is the largest of its encoded values; a number is clipped to its bounds, rounded if declared
    whole.
    """
    import pandas as pd

    schema = table_schema(spec)
    low, high = spec.bounds
    unit = (_unclipped(x, spec) - low) / (high - low)
    decoded: dict[str, Any] = {}
    start = 0
    for column in schema.encoded:
        block = unit[:, start : start + column.width]
        start += column.width
        if column.categories:
            decoded[column.name] = np.asarray(column.categories, dtype=object)[block.argmax(axis=1)]
        else:
            assert column.low is not None
            assert column.high is not None
            number = column.low + np.clip(block[:, 0], 0, 1) * (column.high - column.low)
            decoded[column.name] = np.rint(number).astype(np.int64) if column.integer else number
    decoded[schema.label] = np.asarray(schema.classes, dtype=object)[np.asarray(y, dtype=np.int64)]
    order = [c.name for c in schema.columns if c.name in decoded]
    return pd.DataFrame({name: decoded[name] for name in order}, columns=order)
