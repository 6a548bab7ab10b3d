"""What is public about the private data: the only thing, besides answers, that a method ever sees."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dpcond.errors import InputError


@dataclass(frozen=True)
class DataSpec:
    """Public metadata of a private dataset.

    Every field is declared, never measured on the records (law 6): ``records`` is a nominal size, ``class_counts``
    is ``None`` (private) unless the user declares the counts public, ``mean`` and ``std`` are fixed constants.

    Attributes:
        name: what the data is called.
        kind: ``"image"`` (shape ``(channels, height, width)``) or ``"table"`` (shape ``(columns,)`` after encoding).
        shape: shape of one record.
        classes: class names; labels are indices into it.
        records: declared number of records (public; need not be exact).
        class_counts: records per class, when the user declares them public.
        bounds: range of a value before normalisation.
        mean, std: normalisation constants, one per channel (or one for all).
        preprocessing: what is needed to undo the encoding (tables: the declared schema).
        source: where the data came from.
    """

    name: str
    kind: Literal["image", "table"]
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    records: int
    class_counts: tuple[int, ...] | None = None
    bounds: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        expected = {"image": 3, "table": 1}.get(self.kind)
        if expected is None:
            raise InputError(f"data kind {self.kind!r}: expected 'image' or 'table'")
        if len(self.shape) != expected or any(s < 1 for s in self.shape):
            raise InputError(f"record shape {self.shape}: a {self.kind} record needs {expected} positive sizes")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InputError(f"classes {self.classes!r}: declare at least two classes, each once")
        if isinstance(self.records, bool) or not isinstance(self.records, int) or self.records < 1:
            raise InputError(f"declared number of records {self.records!r}: expected a positive whole number")
        if self.class_counts is not None and (
            len(self.class_counts) != len(self.classes) or any(c < 1 for c in self.class_counts)
        ):
            raise InputError(
                f"public class counts {self.class_counts}: expected {len(self.classes)} positive counts, "
                "one per declared class (an empty class: leave it out of the declared classes)"
            )
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"value bounds {self.bounds}: expected finite (low, high) with low < high")
        channels = self.shape[0]
        for what, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels) or not all(math.isfinite(v) for v in values):
                raise InputError(f"normalisation {what} {values}: expected 1 or {channels} finite constants")
        if any(s <= 0 for s in self.std):
            raise InputError(f"normalisation std {self.std}: expected positive constants")

    @property
    def num_classes(self) -> int:
        """Number of declared classes."""
        return len(self.classes)

    @property
    def features(self) -> int:
        """Values per record."""
        return math.prod(self.shape)

    @property
    def normalized_bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Lowest and highest normalised value, per normalisation channel."""
        low, high = self.bounds
        size = max(len(self.mean), len(self.std))
        mean, std = (values * size if len(values) == 1 else values for values in (self.mean, self.std))
        pairs = list(zip(mean, std, strict=True))
        return tuple((low - m) / s for m, s in pairs), tuple((high - m) / s for m, s in pairs)

    def to_json(self) -> dict[str, Any]:
        """A plain dict of JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> DataSpec:
        """The inverse of :meth:`to_json`; raises InputError on a missing or unknown field."""
        lists = ("shape", "classes", "class_counts", "bounds", "mean", "std")
        try:
            fields: dict[str, Any] = {k: tuple(v) if k in lists and v is not None else v for k, v in value.items()}
            return DataSpec(**fields)
        except TypeError as error:
            raise InputError(f"data description: {error}") from None
