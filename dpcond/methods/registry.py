"""Methods by name."""

from __future__ import annotations

import difflib

from dpcond.errors import InputError
from dpcond.methods import dc, dm, merf, mmd, taught
from dpcond.methods.auto import AUTO
from dpcond.methods.base import Method
from dpcond.spec import DataSpec

METHODS: dict[str, Method] = {m.METHOD.name: m.METHOD for m in (dm, dc, merf, mmd, taught)}


def get(name: str, spec: DataSpec | None = None) -> Method:
    """The method of this name; raises InputError with the nearest name, or if it does not take this kind or size of data."""
    if name not in METHODS:
        near = difflib.get_close_matches(name.lower(), (AUTO, *METHODS), n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"method {name!r} is unknown: {hint}choose from {', '.join((AUTO, *METHODS))}")
    method = METHODS[name]
    if spec is not None and spec.kind not in method.kinds:
        raise InputError(f"method {name!r} works on {' and '.join(method.kinds)} data, {spec.name!r} is a {spec.kind}")
    if spec is not None and spec.kind == "image" and min(spec.shape[1:]) < method.smallest:
        size, least = "×".join(map(str, spec.shape[1:])), f"{method.smallest}×{method.smallest}"
        raise InputError(
            f"method {name!r} works on images of at least {least}, those of {spec.name!r} are {size}: use merf"
        )
    return method
