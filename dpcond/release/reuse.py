"""A release as the data of a further condensation: verified first, and then never read from its folder again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpcond.errors import InputError
from dpcond.release import bundle
from dpcond.release.reading import open_release
from dpcond.release.release import Release
from dpcond.release.verification import verify
from dpcond.spec import DataSpec


@dataclass(frozen=True, eq=False)
class Source:
    """A verified release: what it is, its promise and manifest, and its records as a curator reads them (public already)."""

    release: Release
    privacy: dict[str, Any]
    manifest: dict[str, Any]

    def __len__(self) -> int:
        return len(self.release)

    def batch(self, indices: Any) -> tuple[Tensor, Tensor]:
        """Synthetic records [B, *shape], normalised, and their hard labels [B]."""
        return self.release.x[indices], self.release.y[indices]

    def spec(self) -> DataSpec:
        """The description of the synthetic records: the original's, with their own numbers, which are public.

        Raises:
            InputError: a class has no record.
        """
        spec = self.release.spec
        counts = torch.bincount(self.release.y, minlength=spec.num_classes).tolist()
        if 0 in counts:
            raise InputError(
                f"the release has no record of class {spec.classes[counts.index(0)]!r}: nothing to condense"
            )
        return replace(spec, records=len(self), class_counts=tuple(counts))


def verified(source: str | Path | Release, copy: Path) -> Source:
    """The release ``source``, if ``dpcond verify`` finds no fault in it.

    What is verified is the copy that this writes to the new folder ``copy``, and the records are read from that same copy:
    changing the original meanwhile changes nothing.

    Raises:
        InputError: no release, or one that fails its verification.
    """
    if isinstance(source, Release):
        name = "the release"
        source.save(copy)
    else:
        name = str(source)
        path = Path(source).expanduser()
        faults = list(bundle.check_folder(path))  # before anything is copied: it may be a folder of real data
        if faults:
            raise _refused(name, faults[0])
        files = {file.name: file.read_bytes() for file in path.iterdir()}
        copy.mkdir()
        for file, content in files.items():
            (copy / file).write_bytes(content)
    report = verify(copy)
    fault = next((check for check in report.checks if not check.ok), None)
    if fault is not None:
        raise _refused(name, f"{fault.name}: NO, {fault.detail}".replace(str(copy), name))
    privacy, manifest = (json.loads((copy / name).read_bytes()) for name in (bundle.PRIVACY, bundle.MANIFEST))
    return Source(open_release(copy), privacy, manifest)


def _refused(name: str, why: str) -> InputError:
    return InputError(
        f"{name} is not a verified release ({why}); --privacy free condenses releases alone, never records"
    )
