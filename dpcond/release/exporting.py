"""Hand a release to other tools: npz arrays, a folder of PNG images, or parquet. The promise travels along."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dpcond.decoding import denormalize
from dpcond.errors import InputError
from dpcond.release.bundle import new_path, to_bytes
from dpcond.release.release import Release

if TYPE_CHECKING:
    from PIL.Image import Image


def export(release: Release, to: str, out: str | Path) -> None:
    """Write ``release`` as ``"npz"``, ``"png"`` (images only) or ``"parquet"`` at the path ``out``, decoded.

    * npz: x (uint8 [M, C, H, W], or float32 rows within the bounds, encoded), y, classes, soft_labels, privacy (JSON).
    * png: ``out/CLASS/NNNN.png`` (torchvision's ImageFolder layout) and ``out/privacy.json``.
    * parquet: images as Hugging Face has them ({bytes, path}, label), or a table in its original columns; the promise
      is in the file's metadata under ``dpcond.privacy``.

    Raises:
        InputError: unknown format, a format that does not fit the data, or a path that exists or cannot be written.
    """
    writers: dict[str, Callable[[Release, Path], None]] = {"npz": _npz, "png": _png, "parquet": _parquet}
    if to not in writers:
        raise InputError(f"export format {to!r}: expected {', '.join(writers)}")
    if to == "png" and release.spec.kind != "image":
        raise InputError(f"export to png: {release.spec.name} is a {release.spec.kind}; use npz or parquet")
    with new_path(out) as partial:
        writers[to](release, partial)


def _npz(release: Release, path: Path) -> None:
    images = release.spec.kind == "image"
    rows = release.images() if images else denormalize(release.x, release.spec).astype(np.float32)
    arrays: dict[str, Any] = {"x": rows, "y": release.y.numpy(), "classes": np.array(release.spec.classes)}
    if release.soft_labels is not None:
        arrays["soft_labels"] = release.soft_labels.numpy()
    with open(path, "xb") as file:
        np.savez(file, **arrays, privacy=np.array(json.dumps(release.privacy)))


def _png(release: Release, path: Path) -> None:
    path.mkdir()
    (path / "privacy.json").write_bytes(to_bytes(release.privacy))
    folders = [path / _folder_name(name) for name in release.spec.classes]
    for folder in folders:
        folder.mkdir()
    for i, (image, label) in enumerate(zip(_pictures(release), release.y.tolist(), strict=True)):
        image.save(folders[label] / f"{i:04d}.png")


def _folder_name(name: str) -> str:
    """A class name that is one folder name on every system (``T-shirt/top`` → ``T-shirt_top``)."""
    return "".join(c if c.isalnum() or c in " -_.&" else "_" for c in name).strip(". ") or "_"


def _pictures(release: Release) -> list[Image]:
    from PIL import Image

    pixels = release.images()
    if pixels.shape[1] not in (1, 3):
        raise InputError(f"images of {pixels.shape[1]} channels have no picture format; export to npz")
    return [Image.fromarray(p[0] if len(p) == 1 else p.transpose(1, 2, 0)) for p in pixels]


def _parquet(release: Release, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {b"dpcond.privacy": json.dumps(release.privacy).encode()}
    if release.spec.kind == "table":
        table = pa.Table.from_pandas(release.frame(), preserve_index=False)
    else:
        cells = [{"bytes": _png_bytes(p), "path": f"{i:04d}.png"} for i, p in enumerate(_pictures(release))]
        columns: dict[str, Any] = {"image": cells, "label": release.y.numpy()}
        if release.soft_labels is not None:
            columns["soft_label"] = list(release.soft_labels.numpy())
        table = pa.table(columns)
        label = {"names": list(release.spec.classes), "_type": "ClassLabel"}
        features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        if release.soft_labels is None:  # the library refuses a description that leaves a column out
            metadata[b"huggingface"] = json.dumps(features).encode()
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata}), path)


def _png_bytes(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()
