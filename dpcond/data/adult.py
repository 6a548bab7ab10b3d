"""UCI Adult (census income), from the raw files ``root/adult/adult.data`` and ``adult.test``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from dpcond.data import tables
from dpcond.data.records import Arrays
from dpcond.errors import InputError
from dpcond.schema import read_schema

with resources.as_file(resources.files("dpcond.data") / "schemas" / "adult.toml") as _path:
    SCHEMA = read_schema(_path)

SPEC = tables.table_spec(
    "adult", SCHEMA, 32_561, "UCI Adult (census income), 32,561 / 16,281; the final weight is dropped"
)


def read(root: Path) -> tuple[Arrays, Arrays]:
    """Training and test rows, float32 [N, D] within [0, 1]."""
    folder = root / "adult"
    files = folder / "adult.data", folder / "adult.test"
    for file in files:
        if not file.is_file():
            raise InputError(
                f"adult: {file} is not there; put UCI's adult.data and adult.test in {folder}, "
                "or give their parent folder with --data-root or DPCOND_DATA"
            )
    # The test file opens with a remark, and ends every label with a full stop.
    test = tables.read_frame(files[1], SCHEMA, "adult", skip=1)
    test["income"] = test["income"].str.removesuffix(".")
    return tables.read(files[0], SCHEMA, "adult"), tables.encode(test, SCHEMA, "adult")
