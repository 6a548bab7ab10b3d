"""Open a release folder."""

from __future__ import annotations

import json
from pathlib import Path

from dpcond.errors import InputError
from dpcond.release import bundle
from dpcond.release.release import Release
from dpcond.spec import DataSpec

TENSORS = {"x", "y", "soft_labels"}


def read(path: str | Path) -> Release:
    """The release in the folder ``path``, its files checked against the manifest.

    Raises:
        InputError: not a release, an incomplete or altered one, or one of a later format.
    """
    faults = list(bundle.check_folder(Path(path)))
    if faults:
        raise InputError(f"{path} is not a whole release: {faults[0]}; copy it again from its source")
    return open_release(Path(path))


def open_release(folder: Path) -> Release:
    """The release in ``folder``, its hashes not looked at."""
    from safetensors import safe_open

    try:
        with safe_open(folder / bundle.DATA, framework="pt") as tensors:
            about = json.loads(tensors.metadata()["dpcond"])
            found = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - not a dict
            stray = sorted(set(found) - TENSORS) or sorted(set(tensors.metadata()) - {"dpcond"})
        ledger = folder / bundle.LEDGER
        if stray:
            raise InputError(f"{folder}: {bundle.DATA} holds {stray[0]!r}, which does not belong to a release")
        if about["format"] != bundle.FORMAT:
            raise InputError(f"{folder}: release format {about['format']}; this version reads {bundle.FORMAT}")
        return Release(
            x=found["x"],
            y=found["y"],
            spec=DataSpec.from_json(json.loads((folder / bundle.SPEC).read_bytes())),
            privacy=json.loads((folder / bundle.PRIVACY).read_bytes()),
            method=about["method"],
            options=about["options"],
            soft_labels=found.get("soft_labels"),
            ledger=ledger if ledger.exists() else None,
        )
    except InputError:
        raise
    except Exception as error:  # a well-hashed but foreign file may hold anything
        raise InputError(f"{folder}: cannot be read as a release ({type(error).__name__}: {error})") from None
