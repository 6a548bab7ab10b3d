"""A release made from a release: post-processing, so the promise, the plan and the ledger stay the source's.

``privacy.json`` gains one list, ``made_from``, the oldest step first. A step names its source by the sha256 of that
release's manifest and holds the manifest itself; so it can be checked, from the new release alone, that everything else in
``privacy.json`` (but the hash of the records), the description and the ledger are byte for byte those of the source.
"""

from __future__ import annotations

import hashlib
from typing import Any

from dpcond.errors import InputError
from dpcond.release import bundle
from dpcond.release.release import RECORDS, Release

MADE_FROM = "made_from"
STEP = {"source", "manifest", RECORDS, "method", "options"}


def inherit(privacy: dict[str, Any], manifest: dict[str, Any], method: str, options: dict[str, Any]) -> dict[str, Any]:
    """What ``privacy.json`` says of what ``method`` made of a release with that promise and that manifest."""
    step = {
        "source": _sha256(bundle.to_bytes(manifest)),
        "manifest": manifest,
        RECORDS: privacy.get(RECORDS),
        "method": method,
        "options": options,
    }
    kept = {name: value for name, value in privacy.items() if name != RECORDS}
    return {**kept, MADE_FROM: [*privacy.get(MADE_FROM, []), step]}


def check(release: Release) -> str:
    """What ``release`` was made from, in words, after checking that its promise is that of its source.

    Raises:
        InputError: the promise, the description or the ledger is not the one of a source, or the last step is not the
            method and the options that the release names.
    """
    if MADE_FROM not in release.privacy:
        return "made from the original data"
    steps, inherited = release.privacy[MADE_FROM], dict(release.privacy)
    if not steps:
        raise InputError(f"{MADE_FROM} is there and holds no step")
    if any(set(step) != STEP for step in steps):
        raise InputError(f"a step of {MADE_FROM} has other fields than {', '.join(sorted(STEP))}")
    if (steps[-1]["method"], steps[-1]["options"]) != (release.method, release.options):
        raise InputError(
            f"the release names method {release.method!r}, its last step {steps[-1]['method']!r}, or options differ"
        )
    for number in reversed(range(len(steps))):
        manifest, source = steps[number]["manifest"], steps[number]["source"]
        if _sha256(bundle.to_bytes(manifest)) != source:
            raise InputError(f"step {number + 1} names source {source}, its manifest is another's")
        inherited |= {MADE_FROM: steps[:number], RECORDS: steps[number][RECORDS]}
        if not number:
            del inherited[MADE_FROM]
        if inherited[RECORDS] is None:  # a source from before this was stated
            del inherited[RECORDS]
        for name, content in {
            bundle.PRIVACY: bundle.to_bytes(inherited),
            bundle.SPEC: bundle.to_bytes(release.spec.to_json()),
            bundle.LEDGER: release.charges,
        }.items():
            listed = manifest["files"].get(name, {}).get("sha256")
            if listed != (None if content is None else _sha256(content)):
                raise InputError(f"{name} is not the one of source {source}")
    return f"{len(steps[-1]['manifest']['files'])} files of release {steps[-1]['source']}, by {release.method}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
