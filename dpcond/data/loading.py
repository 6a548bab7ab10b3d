"""Load a dataset by name, or from the user's own files."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from dpcond.data import image_folder, image_parquet, npz, tables
from dpcond.data.records import Data, assemble
from dpcond.data.registry import SOURCES, Source
from dpcond.errors import InputError
from dpcond.schema import read_schema
from dpcond.spec import DataSpec

TABLE_SUFFIXES = (".csv", ".data", ".txt", ".parquet")


def load(
    name_or_path: str | Path,
    root: str | Path | None = None,
    *,
    public_counts: bool = False,
    records: int | None = None,
    classes: int | Sequence[str] | None = None,
    schema: str | Path | None = None,
    test: str | Path | None = None,
) -> Data:
    """Load a dataset: its public spec, its private records, and a public test set when there is one.

    Args:
        name_or_path: a built-in name (see :func:`describe`), or a path: an image folder (``class/name.png``),
            an npz (arrays x, y, x_test, y_test), parquet of images (a file, or a folder of train-*.parquet
            and test-*.parquet), or a CSV or parquet table together with ``schema``.
        root: folder of the built-in datasets; else the variable DPCOND_DATA, else the user's cache folder.
        public_counts: declare the exact class counts public; they are private otherwise.
        records: the DECLARED number of records of the user's own data. It is never counted from the file:
            that would let private records choose a public constant.
        classes: the DECLARED classes, names or how many; required for npz and parquet. An image folder may
            leave it out, which declares its folder names public. A table's schema declares them.
        schema: TOML file that declares a table's columns (:mod:`dpcond.schema`).
        test: a second file or folder of the same kind, used for evaluation only.

    Raises:
        InputError: one line saying what is wrong, where, and what to do.
    """
    source = _built_in(name_or_path, records=records, classes=classes, schema=schema, test=test)
    if source is not None:
        train, held_out = source.read(data_root(root))
        return assemble(source.spec, train, held_out, public_counts)
    path = Path(name_or_path).expanduser()
    if not path.exists():
        near = difflib.get_close_matches(str(name_or_path).lower(), SOURCES, n=1, cutoff=0.5)
        known = f"expected one of {', '.join(SOURCES)}, or a path that exists"
        hint = f"did you mean {near[0]!r}? ({known})" if near else known
        raise InputError(f"unknown dataset {str(name_or_path)!r}: {hint}")
    if records is None:
        raise InputError(
            f"{path.name}: declare the public number of records (records=N, --records N); "
            "it is not counted from the file, which is private"
        )
    return _load_own(path, None if test is None else _existing(test), records, classes, schema, public_counts)


def describe_spec(
    name_or_path: str | Path,
    root: str | Path | None = None,
    *,
    public_counts: bool = False,
    records: int | None = None,
    classes: int | Sequence[str] | None = None,
    schema: str | Path | None = None,
) -> DataSpec:
    """What :func:`load` would declare public. A built-in needs no files for it, unless its counts are made public."""
    source = _built_in(name_or_path, records=records, classes=classes, schema=schema)
    if source is not None and not public_counts:
        return source.spec
    return load(name_or_path, root, public_counts=public_counts, records=records, classes=classes, schema=schema).spec


def _built_in(name: str | Path, **given: object) -> Source | None:
    """The built-in dataset of that name, if it is one; what it declares itself may not be given."""
    source = SOURCES.get(str(name))
    for argument, value in given.items():
        if source is not None and value is not None:
            raise InputError(f"{argument}={value!r}: {name} declares it itself; leave it out")
    return source


def data_root(root: str | Path | None = None) -> Path:
    """Where the built-in datasets are: the argument, else DPCOND_DATA, else the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dpcond"
    return Path(root or os.environ.get("DPCOND_DATA") or cache).expanduser()


def _existing(path: str | Path) -> Path:
    if not Path(path).expanduser().exists():
        raise InputError(f"test data {str(path)!r}: no such file or folder")
    return Path(path).expanduser()


def _load_own(
    path: Path,
    test: Path | None,
    records: int,
    classes: int | Sequence[str] | None,
    schema: str | Path | None,
    public_counts: bool,
) -> Data:
    name = path.stem if path.is_file() else path.name
    if schema is not None:
        if classes is not None or path.suffix not in TABLE_SUFFIXES:
            raise InputError(
                f"{path.name}: a schema goes with {', '.join(TABLE_SUFFIXES)} and declares the classes "
                "itself; leave schema or classes out"
            )
        declared = read_schema(schema)
        spec = tables.table_spec(name, declared, records, "a table given by the user, with its declared schema")
        held_out = tables.read(test, declared, name) if test else None
        return assemble(spec, tables.read(path, declared, name), held_out, public_counts)
    if path.is_dir() and not list(path.glob("*.parquet")):
        folder, test_folder = image_folder.split_folders(path)
        names = image_folder.class_names(folder, name) if classes is None else class_names(classes, name)
        how = "the classes are its folder names" if classes is None else "the classes are declared"
        source = f"an image folder given by the user; {how}"
        train, held_out = image_folder.read(folder, test or test_folder, names, name)
    elif path.is_dir() or path.suffix == ".parquet":
        names, source = (
            class_names(classes, name),
            "parquet images given by the user; the classes are declared",
        )
        train, held_out = image_parquet.read_splits(path, test, name)
    elif path.suffix == ".npz":
        names, source = class_names(classes, name), "an npz file given by the user; the classes are declared"
        train, held_out = npz.read(path, name)
        held_out = npz.read(test, name)[0] if test else held_out
    else:
        kinds = f"an image folder, .npz, .parquet, or with a schema {', '.join(TABLE_SUFFIXES)}"
        raise InputError(f"{path.name}: expected {kinds}")
    spec = DataSpec(name, "image", train[0].shape[1:], names, records, source=source)
    return assemble(spec, train, held_out, public_counts)


def class_names(classes: int | Sequence[str] | None, name: str) -> tuple[str, ...]:
    """Declared class names; a number n stands for the names 0 … n-1."""
    if classes is None:
        raise InputError(
            f"{name}: declare the classes, names or how many (classes=10, --classes 10); labels do not declare them"
        )
    if isinstance(classes, bool | str):
        raise InputError(f"classes {classes!r}: expected two or more class names, or how many")
    return tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
