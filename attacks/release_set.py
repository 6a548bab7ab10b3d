"""A released synthetic set: what the outside world sees."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attacks.errors import InputError
from attacks.records import LABELS, SOFT, VALUES, Records, array_hash, as_labels, as_values, pick, read_npz


@dataclass(frozen=True, eq=False)
class ReleaseSet:
    """Released x [m, ...] (float32), labels y [m] (int64) and, if any, soft labels [m, classes]."""

    x: np.ndarray
    y: np.ndarray
    soft: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", as_values(self.x, "release"))
        object.__setattr__(self, "y", as_labels(self.y, len(self.x), "release"))
        if self.soft is not None:
            soft = np.asarray(self.soft, dtype=np.float32)
            if soft.ndim != 2 or len(soft) != len(self.x) or not np.isfinite(soft).all():
                raise InputError(
                    f"release: soft labels have shape {soft.shape}, expected finite [{len(self.x)}, classes]"
                )
            object.__setattr__(self, "soft", soft)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def hash(self) -> str:
        """sha256 of the released values, to prove that a student was trained on them and nothing else."""
        return array_hash(self.x)

    def save(self, path: str | Path) -> None:
        """Write x, y and soft to an .npz, complete or not at all."""
        arrays = {"x": self.x, "y": self.y} | ({} if self.soft is None else {"soft": self.soft})
        partial = Path(path).with_suffix(".partial.npz")
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(path)

    @staticmethod
    def of(release: "ReleaseSet | str | Path | tuple[np.ndarray, ...]") -> "ReleaseSet":
        """A release itself, a path to one, or a tuple (x, y) or (x, y, soft)."""
        if isinstance(release, ReleaseSet):
            return release
        return ReleaseSet.read(release) if isinstance(release, (str, Path)) else ReleaseSet(*release)

    @staticmethod
    def read(path: str | Path) -> "ReleaseSet":
        """Read an .npz, a .safetensors, or a folder that holds one (data.safetensors first).

        A spec.json beside it that names the mean and std of a public normalisation has it undone: records are audited in the
        units in which they were given.
        """
        file = _data_file(Path(path))
        arrays = _read_safetensors(file) if file.suffix == ".safetensors" else read_npz(file)
        x = _in_units(pick(arrays, VALUES, file), file.with_name("spec.json"))
        soft = next((arrays[name] for name in SOFT if name in arrays), None)
        if soft is not None and not any(name in arrays for name in LABELS):
            return ReleaseSet(x, soft.argmax(axis=1), soft)
        return ReleaseSet(x, pick(arrays, LABELS, file), soft)

    def check_against(self, records: Records) -> list[str]:
        """Refuse a release that cannot belong to these records; return notes on what is unusual.

        Raises InputError on another shape, on a label the records do not have, on another scale of values.
        """
        if self.x.shape[1:] != records.x.shape[1:]:
            raise InputError(
                f"release: each record has shape {self.x.shape[1:]}, the members have {records.x.shape[1:]}; "
                "give both in the same layout"
            )
        unknown = sorted(set(self.y.tolist()) - set(records.y.tolist()))
        if unknown:
            raise InputError(f"release: label {unknown[0]} does not occur among the members and non-members")
        theirs, ours = float(np.ptp(records.x)), float(np.ptp(self.x))
        if ours > 50 * theirs or theirs > 50 * max(ours, 1e-12):
            raise InputError(
                f"release: its values span {ours:.3g}, the records' {theirs:.3g}; bring both to the same scale"
            )
        notes = []
        low, high = float(records.x.min()), float(records.x.max())
        if self.x.min() < low - theirs / 4 or self.x.max() > high + theirs / 4:
            notes.append(
                f"The release's values reach from {self.x.min():.3g} to {self.x.max():.3g}, the records' from {low:.3g} to "
                f"{high:.3g}: if these are different units, the attacks are half blind and the audit must be repeated."
            )
        absent = sorted(set(records.y.tolist()) - set(self.y.tolist()))
        if absent:
            notes.append(
                f"Classes absent from the release: {absent}; their records are scored against the whole of it."
            )
        return notes


def _in_units(x: np.ndarray, spec: Path) -> np.ndarray:
    """x · std + mean per channel (axis 1), if spec.json holds these constants."""
    if not spec.is_file():
        return x
    try:
        described = json.loads(spec.read_text())
        mean, std = (np.asarray(described[name], dtype=np.float32) for name in ("mean", "std"))
    except (ValueError, KeyError, TypeError):
        return x
    per_channel = (-1, *[1] * (x.ndim - 2))
    return x * std.reshape(per_channel) + mean.reshape(per_channel)


def _data_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such release (an .npz, a .safetensors, or a folder with data.safetensors)")
    if (path / "data.safetensors").is_file():
        return path / "data.safetensors"
    found = sorted([*path.glob("*.safetensors"), *path.glob("*.npz")])
    if len(found) != 1:
        raise InputError(
            f"{path}: expected data.safetensors, found {len(found)} other data files; name the one to audit"
        )
    return found[0]


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {
            name: tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
            for name, tensor in load_file(path).items()
        }
    except SafetensorError as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
