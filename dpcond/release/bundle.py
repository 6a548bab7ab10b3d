"""The folder that leaves: a few files, their hashes in a manifest, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpcond.errors import InputError

DATA, SPEC, PRIVACY, LEDGER = "data.safetensors", "spec.json", "privacy.json", "ledger.jsonl"
CARD, PREVIEW, MANIFEST = "card.md", "preview.png", "manifest.json"
REQUIRED = (DATA, SPEC, PRIVACY, CARD, PREVIEW, MANIFEST)
FORMAT = 1

FIXES = {
    errno.ENOSPC: "free some space or give another folder",
    errno.EDQUOT: "free some space or give another folder",
    errno.EROFS: "give a folder that can be written to",
    errno.EACCES: "give a folder that can be written to",
    errno.EPERM: "give a folder that can be written to",
}


def to_bytes(value: Any) -> bytes:
    """JSON as bytes that depend on the value alone: sorted keys, no NaN or infinity, UTF-8, one final newline."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The manifest of ``files``: size and sha256 of each."""
    entries = {name: {"bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for name, b in files.items()}
    return to_bytes({"format": FORMAT, "files": entries})


def write_folder(path: str | Path, files: Mapping[str, bytes], overwrite: bool = False) -> None:
    """Write ``files`` and their manifest as the folder ``path``, atomically and durably.

    Raises:
        InputError: the folder exists (with ``overwrite``: and is no release), or cannot be written. Nothing of it is
            then left behind, and what was there before still is.
    """
    target = Path(path)
    if overwrite and os.path.lexists(target) and not (target / MANIFEST).is_file():
        raise InputError(f"{target} exists and is not a release; it is not overwritten, give another path")
    with new_path(target, overwrite) as partial:
        partial.mkdir()
        for name, content in {**files, MANIFEST: manifest(files)}.items():
            with open(partial / name, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync_folder(partial)


@contextmanager
def new_path(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary sibling of ``path`` to write; it takes the name when the block ends well, else it is removed."""
    target = Path(path)
    if os.path.lexists(target) and not overwrite:
        raise InputError(f"{target} already exists; remove it or give another path")
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _take_name(partial, target)
        _sync_folder(target.parent)
    except OSError as error:
        fix = FIXES.get(error.errno or 0, "give another path")
        raise InputError(f"cannot write {target}: {error.strerror or error}; nothing was written, {fix}") from None
    finally:
        _remove(partial)


def _take_name(partial: Path, target: Path) -> None:
    if not os.path.lexists(target):
        os.rename(partial, target)
        return
    old = partial.with_suffix(".old")
    os.rename(target, old)
    try:
        os.rename(partial, target)
    except OSError:
        os.rename(old, target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut, where the system lets a folder be synced."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_folder(folder: Path) -> Iterator[str]:
    """What is wrong with the files of a release against its manifest; nothing when all is well. Never raises."""
    if not folder.is_dir():
        yield f"{folder} is not a folder"
        return
    names = sorted(os.listdir(folder))
    yield from (f"{name} is missing" for name in REQUIRED if name not in names)
    yield from (f"{name} does not belong to a release" for name in names if name not in (*REQUIRED, LEDGER))
    irregular = [n for n in names if (folder / n).is_symlink() or not (folder / n).is_file()]
    yield from (f"{name} is not a regular file" for name in irregular)
    if MANIFEST not in names or MANIFEST in irregular:
        return
    try:
        files = {n: (folder / n).read_bytes() for n in names if n != MANIFEST and n not in irregular}
        stated = (folder / MANIFEST).read_bytes()
        entries = json.loads(stated)["files"]
        listed = {name: entry["sha256"] for name, entry in entries.items()}
    except Exception as error:  # a tampered manifest may hold anything
        yield f"{MANIFEST} cannot be read ({type(error).__name__})"
        return
    yield from (f"{name} is listed but missing" for name in listed if name not in files)
    for name, content in files.items():
        if listed.get(name) != hashlib.sha256(content).hexdigest():
            yield f"{name} does not match its hash in the manifest"
    if set(listed) == set(files) and stated != manifest(files):
        yield f"{MANIFEST} is not the manifest of these files"
