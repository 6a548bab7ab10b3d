"""Real records as an auditor holds them: an array of values, an array of labels, checked once."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from attacks.errors import InputError

VALUES = ("x", "images", "data", "pixels", "rows", "arr_0")
LABELS = ("y", "labels", "label", "targets", "arr_1")
SOFT = ("soft", "soft_labels", "probabilities")


@dataclass(frozen=True, eq=False)
class Records:
    """Records x [N, ...] (float32; integer pixels 0..255 become 0..1) and labels y [N] (int64).

    Raises InputError on NaN, on labels that are not whole numbers, and on lengths that differ.
    """

    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", as_values(self.x, "records"))
        object.__setattr__(self, "y", as_labels(self.y, len(self.x), "records"))

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        """Their number and hashes, never a value: enough to tell other records by."""
        return f"Records({len(self)}, x {array_hash(self.x)[:16]}, y {array_hash(self.y)[:16]})"

    def __getitem__(self, rows: np.ndarray | slice) -> "Records":
        return Records(self.x[rows], self.y[rows])

    @staticmethod
    def of(data: "Records | tuple[np.ndarray, np.ndarray]") -> "Records":
        """Records themselves, or a pair (x, y)."""
        if isinstance(data, Records):
            return data
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise InputError(f"records: expected Records or a pair (x, y), got {type(data).__name__}")
        return Records(*data)

    @staticmethod
    def read(path: str | Path) -> "Records":
        """Read an .npz with arrays x and y (images/labels, data/targets are understood too)."""
        arrays = read_npz(Path(path))
        return Records(pick(arrays, VALUES, path), pick(arrays, LABELS, path))


def join(*parts: Records) -> Records:
    """One set of records after the other."""
    return Records(np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts]))


def split(records: Records, seed: int) -> tuple[Records, Records]:
    """Two disjoint random halves."""
    order = np.random.default_rng(seed).permutation(len(records))
    half = len(records) // 2
    return records[np.sort(order[:half])], records[np.sort(order[half:])]


def flat(x: np.ndarray) -> np.ndarray:
    """Records as rows [N, features] in float64."""
    return x.reshape(len(x), -1).astype(np.float64)


def as_values(x: np.ndarray, name: str) -> np.ndarray:
    """Float32 values; 8-bit pixels are scaled to 0..1; NaN and infinities are refused."""
    x = np.asarray(x)
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
    if x.dtype.kind not in "fiub":
        raise InputError(f"{name}: x holds {x.dtype}, expected numbers")
    if x.ndim < 2 or len(x) == 0 or x[0].size == 0:
        raise InputError(f"{name}: x has shape {x.shape}, expected [number of records, features...]")
    x = np.ascontiguousarray(x, dtype=np.float32)
    if not np.isfinite(x).all():
        raise InputError(
            f"{name}: x holds {int((~np.isfinite(x)).sum())} NaN or infinite values; remove or repair them"
        )
    return x


def as_labels(y: np.ndarray, n: int, name: str) -> np.ndarray:
    """Whole-number labels [n]; one-hot rows are not accepted (give them as soft labels)."""
    y = np.asarray(y)
    if y.shape != (n,):
        raise InputError(f"{name}: y has shape {y.shape} for {n} records, expected ({n},)")
    if y.dtype.kind not in "iub" and not (y.dtype.kind == "f" and np.all(y == np.round(y))):
        raise InputError(f"{name}: y must hold whole-number class labels, got {y.dtype}")
    if np.min(y) < 0:
        raise InputError(f"{name}: y holds the negative label {int(np.min(y))}; number the classes from 0")
    return y.astype(np.int64)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz; pickled objects are never loaded."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file.items())
    except (ValueError, OSError, AttributeError, EOFError, TypeError, BadZipFile) as error:
        raise InputError(f"{path}: not a readable .npz of plain arrays ({error})") from error


def pick(arrays: dict[str, np.ndarray], names: tuple[str, ...], path: str | Path) -> np.ndarray:
    """The first array that bears one of the names."""
    for name in names:
        if name in arrays:
            return arrays[name]
    raise InputError(f"{path}: no array named {' or '.join(names)}; it holds {', '.join(arrays) or 'nothing'}")


def array_hash(x: np.ndarray) -> str:
    """sha256 over dtype, shape and bytes."""
    digest = hashlib.sha256(f"{x.dtype}{x.shape}".encode())
    digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()
