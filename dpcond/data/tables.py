"""Tables (CSV or parquet) with a declared schema: one-hot categories, numbers scaled by declared bounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dpcond.data.records import Arrays
from dpcond.errors import InputError
from dpcond.schema import Column, TableSchema
from dpcond.spec import DataSpec

if TYPE_CHECKING:
    import pandas


def table_spec(name: str, schema: TableSchema, records: int, source: str) -> DataSpec:
    """The public description of a table; the schema travels in it, so that a release can be decoded."""
    return DataSpec(
        name=name,
        kind="table",
        shape=(schema.width,),
        classes=schema.classes,
        records=records,
        preprocessing={"table": schema.to_json()},
        source=source,
    )


def read(path: Path, schema: TableSchema, name: str) -> Arrays:
    """Rows float32 [N, D] within [0, 1] and labels [N]; every cell is checked against the schema."""
    return encode(read_frame(path, schema, name), schema, name)


def encode(frame: pandas.DataFrame, schema: TableSchema, name: str) -> Arrays:
    """Encode a table that has exactly the declared columns: rows float32 [N, D] within [0, 1], labels [N]."""
    for column in schema.columns:
        if column.name not in frame:
            raise InputError(f"{name}: column {column.name!r}, which the schema declares, is missing")
    declared = {c.name for c in schema.columns}
    extra = next((c for c in frame.columns if c not in declared), None)
    if extra is not None:
        raise InputError(f"{name}: column {extra!r} is not in the schema; declare it, or with drop = true")
    if frame.empty:
        raise InputError(f"{name}: no records were found; give a table with at least one row")
    label = next(c for c in schema.columns if c.name == schema.label)
    y = _categories(frame[schema.label], label, name).argmax(axis=1)
    return np.concatenate([_encode(frame[c.name], c, name) for c in schema.encoded], axis=1), y


def read_frame(path: Path, schema: TableSchema, name: str, skip: int = 0) -> pandas.DataFrame:
    """All cells as written: nothing is guessed, an empty cell stays empty; ``skip`` lines go unread."""
    import pandas as pd

    names = None if schema.header else [c.name for c in schema.columns]
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(
            path,
            dtype=str,
            header=0 if schema.header else None,
            names=names,
            index_col=False,
            keep_default_na=False,
            skipinitialspace=True,
            skiprows=skip,
        )
    except (OSError, ValueError) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name}: {path} cannot be read as a table ({reason})") from None


def _encode(values: pandas.Series[Any], column: Column, name: str) -> NDArray[np.float32]:
    return _categories(values, column, name) if column.categories else _number(values, column, name)


def _number(values: pandas.Series[Any], column: Column, name: str) -> NDArray[np.float32]:
    """[N, 1] scaled to [0, 1] by the declared bounds; out of bounds is refused, never clipped in silence.

    An error names the cell, not what is in it: errors end up in logs.
    """
    import pandas as pd

    assert column.low is not None
    assert column.high is not None
    number = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~((number >= column.low) & (number <= column.high)))
    if len(bad):
        raise InputError(
            f"{name}: column {column.name!r}, row {bad[0]}: the value is missing or not within the "
            f"declared bounds [{column.low:g}, {column.high:g}]; correct it, clip it, or declare wider bounds"
        )
    return ((number - column.low) / (column.high - column.low)).astype(np.float32)[:, None]


def _categories(values: pandas.Series[Any], column: Column, name: str) -> NDArray[np.float32]:
    """[N, K] one-hot by the declared categories; an undeclared or missing one is refused."""
    from sklearn.preprocessing import OneHotEncoder

    cells = values.to_numpy(dtype=object)
    bad = np.flatnonzero(values.isna().to_numpy() | ~np.isin(cells.astype(str), column.categories))
    if len(bad):
        raise InputError(
            f"{name}: column {column.name!r}, row {bad[0]}: the value is not a declared category; "
            "declare it in the schema (a missing value may be a category of its own)"
        )
    declared = np.array(column.categories, dtype=object)
    encoder = OneHotEncoder(categories=[declared], dtype=np.float32, sparse_output=False)
    encoder.fit(declared[:, None])  # on what is declared, never on the records
    encoded: NDArray[np.float32] = encoder.transform(cells.astype(str).astype(object)[:, None])
    return encoded
