"""Hugging Face-style parquet files of images: an image column ({bytes, path} or bytes) and a label column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dpcond.data.pixels import stack_images
from dpcond.data.records import Arrays
from dpcond.errors import InputError

if TYPE_CHECKING:
    import pyarrow.parquet


def split_files(folder: Path, split: str) -> list[Path]:
    """The files of one split, ``train-00000-of-00001.parquet`` or ``train.parquet``, in order."""
    return sorted([*folder.glob(f"{split}-*.parquet"), *folder.glob(f"{split}.parquet")])


def read_splits(path: Path, test: Path | None, name: str) -> tuple[Arrays, Arrays | None]:
    """A file, or a folder of train-*.parquet and perhaps test-*.parquet; ``test`` may name another."""
    train = [path] if path.is_file() else split_files(path, "train")
    if not train:
        raise InputError(f"{name}: {path} holds no train-*.parquet; name its files so, or give one file")
    held_out = [test] if test and test.is_file() else split_files(test or path, "test")
    return read(train, name), read(held_out, name) if held_out else None


def read(paths: Sequence[Path], name: str) -> Arrays:
    """Images uint8 [N, C, H, W] and labels [N] of one split; a truncated or foreign file is refused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        files = [pq.ParquetFile(p) for p in paths]
        image, label = _columns(files[0], name)
        count = sum(f.metadata.num_rows for f in files)
        x = stack_images(_encoded(files, image, name), count, name)
        y = np.concatenate([f.read([label]).column(label).to_numpy() for f in files])
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{name}: {paths[0].name} is truncated or is not parquet ({reason})") from None
    return x, y


def _columns(file: pyarrow.parquet.ParquetFile, name: str) -> tuple[str, str]:
    import pyarrow as pa

    fields = list(file.schema_arrow)
    images = [
        f.name
        for f in fields
        if pa.types.is_binary(f.type) or (pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0)
    ]
    labels = [f.name for f in fields if f.name in ("label", "labels", "y")]
    if len(images) != 1 or len(labels) != 1:
        raise InputError(
            f"{name}: columns {', '.join(f.name for f in fields)}: expected one image column "
            "({bytes, path} or bytes) and one named label; a table goes in with a schema"
        )
    return images[0], labels[0]


def _encoded(files: Sequence[pyarrow.parquet.ParquetFile], column: str, name: str) -> Iterator[tuple[str, bytes]]:
    """Where each image is, and its bytes; read in small batches."""
    row = 0
    for file in files:
        for batch in file.iter_batches(batch_size=1024, columns=[column]):
            for value in batch.column(0).to_pylist():
                data = value.get("bytes") if isinstance(value, dict) else value
                if data is None:
                    raise InputError(f"{name}: the image in row {row} has no bytes; embed them or drop it")
                yield f"the image in row {row}", data
                row += 1
