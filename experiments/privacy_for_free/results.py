"""Run the parts in order, keep each as it finishes, and put together results.json and page.html."""

from __future__ import annotations

import hashlib
import importlib
import json
import time
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from attacks.errors import InputError
from experiments.privacy_for_free.frame import Frame, write_json
from experiments.privacy_for_free.profile import Profile

HERE = Path(__file__).parent
IDS = tuple(f"E{i}" for i in range(1, 21))
ABSENT: dict[str, str] = {}  # id -> what is missing


def run_parts(frame: Frame, only: Sequence[str] = ()) -> Path:
    """Finished parts are read back, the others run; returns the page. Raises InputError on an unknown id."""
    for id in only:
        if id not in IDS:
            raise InputError(f"--only {id}: choose from {', '.join(IDS)}")
        if id in ABSENT:
            raise InputError(f"--only {id}: this part is absent: {ABSENT[id]}")
    wanted = [id for id in (only or IDS) if id not in ABSENT]
    missing = [id for id in wanted if finished(frame, id) is None]
    share, begun = usual_seconds(), time.monotonic()
    for place, id in enumerate(missing):
        _run(frame, id)
        spent = time.monotonic() - begun
        done, rest = (
            sum(share.get(other, 1.0) for other in ids) for ids in (missing[: place + 1], missing[place + 1 :])
        )
        known = done > (done + rest) / 20  # the first part makes runs for all: nothing follows from its time alone
        left = f", about {spent * rest / done:.0f} s more" if known else ""
        frame.say(f"{id} done, {len(missing) - place - 1} to go; {spent:.0f} s so far{left}")
    return collect(frame)


def usual_seconds() -> dict[str, float]:
    """Seconds of each part in the kept laptop run, by which the time to go is judged."""
    kept = HERE / "laptop" / "results.json"
    stored = json.loads(kept.read_text()) if kept.exists() else {}
    return {id: stored[id]["seconds"] for id in IDS if id in stored}


def finished(frame: Frame, id: str) -> dict[str, Any] | None:
    """A part that was run with these sizes before."""
    path = frame.out / "parts" / f"{id}.json"
    if not path.exists():
        return None
    stored: dict[str, Any] = json.loads(path.read_text())
    return stored if stored.get("sizes") == sizes(frame.profile, id) else None


#: Parts that make their private runs by another part's sizes.
READS = {"E18": ("E9",)}


def sizes(profile: Profile, id: str) -> str:
    """Hash of the profile, of this part's own sizes and of those it reads beside them."""
    read = {name: profile.part(name) for name in (id, *READS.get(id, ()))}
    given = profile.model_copy(update={"parts": read}).model_dump_json()
    return hashlib.sha256(given.encode()).hexdigest()[:16]


def collect(frame: Frame) -> Path:
    """Write results.json, keyed by id, and the page."""
    from experiments.privacy_for_free.page import write_page

    parts = {id: part for id in IDS if (part := finished(frame, id)) is not None}
    results = {
        "profile": json.loads(frame.profile.model_dump_json()),
        "absent": ABSENT,
        "expected": expected(),
        "cells": cell_seconds(frame.out / "cells"),
        **parts,
    }
    write_json(frame.out / "results.json", results)
    return write_page(results, frame.out)


def cell_seconds(folder: Path) -> dict[str, dict[str, float]]:
    """What each cell cost when it was made, by name: seconds condensing and seconds training students."""
    costs = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            costs[path.stem] = {name: round(float(stored[f"seconds_{name}"]), 1) for name in ("condense", "students")}
    return costs


def expected() -> dict[str, Any]:
    """What each side says and what was expected before the run, by id."""
    return tomllib.loads((HERE / "expected.toml").read_text())


def _run(frame: Frame, id: str) -> None:
    begun = time.monotonic()
    part = importlib.import_module(f"experiments.privacy_for_free.parts.e{int(id[1:]):02d}").run(frame)
    part = replace(part, seconds=time.monotonic() - begun)
    write_json(frame.out / "parts" / f"{id}.json", part.to_json() | {"sizes": sizes(frame.profile, id)})
