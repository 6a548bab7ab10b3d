"""The private records, held compactly and normalised only when asked, by public constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpcond.errors import InputError
from dpcond.spec import DataSpec

#: What a source reads: records [N, *shape] (uint8 images or float32 rows) and labels [N].
Arrays = tuple[NDArray[np.generic], NDArray[np.generic]]


@dataclass(frozen=True, eq=False, repr=False)
class Records:
    """Records and labels, checked against their public description. PRIVATE unless said otherwise.

    Attributes:
        x: [N, *shape], uint8 for images (0..255 spans ``spec.bounds``), for tables float32 within the bounds.
        y: [N] int64 labels, indices into ``spec.classes``.
        spec: the public description.

    Raises:
        InputError: wrong dtype or shape, NaN, a value out of bounds, a label outside the declared classes.
    """

    x: Tensor
    y: Tensor
    spec: DataSpec

    def __post_init__(self) -> None:
        x, y, spec = self.x, self.y, self.spec
        dtype = torch.uint8 if spec.kind == "image" else torch.float32
        if x.dtype != dtype or tuple(x.shape[1:]) != spec.shape:
            raise InputError(
                f"{spec.name}: records are {x.dtype} of shape {tuple(x.shape)}, "
                f"expected {dtype} of shape (N, {', '.join(map(str, spec.shape))})"
            )
        if y.dtype != torch.int64 or y.shape != x.shape[:1]:
            raise InputError(
                f"{spec.name}: labels are {y.dtype} of shape {tuple(y.shape)}, expected int64, one per record"
            )
        if len(y) and (int(y.min()) < 0 or int(y.max()) >= spec.num_classes):
            # Errors end up in logs: they name the record's place, not what is in it.
            place = int(((y < 0) | (y >= spec.num_classes)).nonzero()[0])
            raise InputError(
                f"{spec.name}: the label of record {place} is outside the {spec.num_classes} declared classes "
                f"(0..{spec.num_classes - 1}); declare every class or drop those records"
            )
        # The comparison is false for NaN, so NaN is refused with the rest.
        if dtype == torch.float32 and not bool(((x >= spec.bounds[0]) & (x <= spec.bounds[1])).all()):
            raise InputError(f"{spec.name}: a value is NaN or outside the declared bounds {spec.bounds}")

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        # A record must not end up in a log or a traceback, and neither may their exact number.
        return f"Records({self.spec.name!r}, private)"

    def batch(self, indices: Tensor | NDArray[np.int64] | Sequence[int] | slice) -> tuple[Tensor, Tensor]:
        """The chosen records, float32 [B, *shape], normalised by public constants, and their labels [B]."""
        spec = self.spec
        x = self.x[indices].to(torch.float32)
        if spec.kind == "image":
            low, high = spec.bounds
            x = x * ((high - low) / 255) + low
        per_channel = (-1,) + (1,) * (len(spec.shape) - 1)
        mean = torch.tensor(spec.mean).reshape(per_channel)
        std = torch.tensor(spec.std).reshape(per_channel)
        return (x - mean.to(x.device)) / std.to(x.device), self.y[indices]


@dataclass(frozen=True, eq=False)
class Data:
    """A dataset: what is public about it, its private records, and test records for evaluation only."""

    spec: DataSpec
    records: Records
    test: Records | None = None


def assemble(spec: DataSpec, train: Arrays, test: Arrays | None, public_counts: bool) -> Data:
    """Check what a source read and wrap it.

    Exact class counts enter the spec only with ``public_counts``; only then is an empty declared class an
    error, since to complain about an absent class would tell something about private counts.
    """
    records = _records(spec, train)
    if not len(records):
        raise InputError(f"{spec.name}: no records were found; give a file with at least one record")
    if public_counts:
        counts = torch.bincount(records.y, minlength=spec.num_classes).tolist()
        if 0 in counts:
            raise InputError(
                f"{spec.name}: declared class {spec.classes[counts.index(0)]!r} is empty; "
                "leave it out of the declared classes, or keep the class counts private"
            )
        spec = replace(spec, class_counts=tuple(counts))
        records = Records(records.x, records.y, spec)
    return Data(spec, records, None if test is None else _records(spec, test))


def _records(spec: DataSpec, arrays: Arrays) -> Records:
    x, y = arrays
    return Records(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(label_indices(y, spec)), spec)


def label_indices(y: NDArray[np.generic], spec: DataSpec) -> NDArray[np.int64]:
    """Labels as indices into the declared classes: integers are kept, strings are looked up."""
    if y.ndim != 1:
        raise InputError(f"{spec.name}: labels have shape {y.shape}, expected (N,), one per record")
    if y.dtype.kind in "iu":
        return y.astype(np.int64)
    if y.dtype.kind in "OUS":
        index = {name: i for i, name in enumerate(spec.classes)}
        names = [v.decode() if isinstance(v, bytes) else v for v in y.tolist()]
        unknown = next((place for place, v in enumerate(names) if v not in index), None)
        if unknown is not None:
            declared = ", ".join(spec.classes)
            raise InputError(
                f"{spec.name}: the label of record {unknown} is not one of the declared classes ({declared})"
            )
        return np.array([index[v] for v in names], dtype=np.int64)
    raise InputError(f"{spec.name}: labels are {y.dtype}; expected whole numbers or class names")
