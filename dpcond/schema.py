"""The declared schema of a table: which columns there are, and the public bounds or categories of each.

A schema is written by hand, in TOML, from public knowledge; nothing in it is measured on the records::

    label = "income"            # a column with categories; they are the classes
    header = true               # the first line names the columns (false: the order below is the file's)

    [[column]]
    name = "age"
    low = 17
    high = 90
    integer = true

    [[column]]
    name = "workclass"
    categories = ["Private", "State-gov", "?"]

    [[column]]
    name = "weight"
    drop = true
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dpcond.errors import InputError


@dataclass(frozen=True)
class Column:
    """One declared column: a number within ``[low, high]``, one of ``categories``, or dropped."""

    name: str
    low: float | None = None
    high: float | None = None
    integer: bool = False
    categories: tuple[str, ...] = ()
    drop: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        where = f"schema column {self.name!r}"
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"{where}: expected a name")
        ways = (self.low is not None or self.high is not None) + bool(self.categories) + self.drop
        if ways != 1:
            raise InputError(f"{where}: declare either low and high, or categories, or drop = true")
        if self.categories and (
            len(set(self.categories)) != len(self.categories) or not all(isinstance(c, str) for c in self.categories)
        ):
            raise InputError(f"{where}: categories must be strings, each declared once")
        if not self.categories and not self.drop:
            for value in (self.low, self.high):
                if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                    raise InputError(f"{where}: bounds {self.low!r} and {self.high!r} must be finite numbers")
            if not self.low < self.high:  # type: ignore[operator]
                raise InputError(f"{where}: low = {self.low} must be below high = {self.high}")

    @property
    def width(self) -> int:
        """Encoded values this column takes: 1 for a number, one per category, 0 when dropped."""
        return 0 if self.drop else len(self.categories) or 1


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table in the order of its file, and which of them is the label."""

    columns: tuple[Column, ...]
    label: str
    header: bool = True

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise InputError("schema: a column is declared twice")
        labels = [c for c in self.columns if c.name == self.label]
        if len(labels) != 1 or len(labels[0].categories) < 2:
            raise InputError(f"schema: label = {self.label!r} must name a column with two or more categories")
        if not self.encoded:
            raise InputError("schema: declare at least one column besides the label")

    @property
    def encoded(self) -> tuple[Column, ...]:
        """The columns that make up a record, in order."""
        return tuple(c for c in self.columns if c.name != self.label and not c.drop)

    @property
    def classes(self) -> tuple[str, ...]:
        """The declared categories of the label."""
        return next(c.categories for c in self.columns if c.name == self.label)

    @property
    def width(self) -> int:
        """Encoded values per record."""
        return sum(c.width for c in self.encoded)

    def to_json(self) -> dict[str, Any]:
        """A plain dict of JSON values."""
        defaults = asdict(Column("x", drop=True)) | {"drop": False}
        columns = [{k: v for k, v in asdict(c).items() if v != defaults[k]} for c in self.columns]
        for column in columns:
            column.update({k: list(v) for k, v in column.items() if isinstance(v, tuple)})
        return {"label": self.label, "header": self.header, "columns": columns}

    @staticmethod
    def from_json(value: dict[str, Any]) -> TableSchema:
        """The inverse of :meth:`to_json`; raises InputError on a missing, unknown or mistyped field."""
        if unknown := set(value) - {"label", "header", "columns"}:
            raise InputError(f"schema: unknown field {sorted(unknown)[0]!r}; expected label, header, column")
        for name, kind in (("label", str), ("columns", list)):
            if not isinstance(value.get(name), kind):
                raise InputError(f"schema: {name.removesuffix('s')} is missing or is not a {kind.__name__}")
        known = {f.name for f in fields(Column)}
        columns = []
        for entry in value["columns"]:
            unknown = set(entry) - known if isinstance(entry, dict) else {str(entry)}
            if unknown or "name" not in entry:
                raise InputError(f"schema column {entry}: expected name, and of {', '.join(sorted(known))}")
            categories = entry.get("categories", [])
            if not isinstance(categories, list | tuple):
                raise InputError(f"schema column {entry['name']!r}: categories must be a list of strings")
            columns.append(Column(**{**entry, "categories": tuple(categories)}))
        return TableSchema(tuple(columns), value["label"], bool(value.get("header", True)))


def read_schema(path: str | Path) -> TableSchema:
    """Read a schema from a TOML file; raises InputError with the file's name when it cannot be used."""
    try:
        value = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"schema file {path}: cannot be read as TOML ({error})") from None
    try:
        return TableSchema.from_json({("columns" if k == "column" else k): v for k, v in value.items()})
    except InputError as error:
        raise InputError(f"schema file {path}: {error}") from None
