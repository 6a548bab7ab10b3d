"""The records of the debate: candidates, test records, and two disjoint sources of starting images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attacks import Records
from attacks.errors import InputError
from experiments.privacy_for_free.profile import Dataset


@dataclass(frozen=True, eq=False)
class Pool:
    """x [N, 1 or 3, H, W] in 0..1; no record is in two of these."""

    name: str
    candidates: Records  # every run takes a random half of them
    test: Records
    auxiliary: Records  # the same dataset, in no run
    public: Records  # another dataset


def read_pool(name: str, dataset: Dataset, root: Path | None) -> Pool:
    """The first records are candidates, the next auxiliary; both and the test records as they lie in the files."""
    train, test = _read(dataset.source, root)
    needed = dataset.pool + dataset.auxiliary
    if needed > len(train):
        raise InputError(
            f"dataset {name}: {needed} candidates and auxiliary records wanted, {dataset.source} has {len(train)}"
        )
    auxiliary = _shrunk(train[slice(dataset.pool, needed)], dataset.shrink)
    if dataset.public == "negative":  # the stand-in where no other dataset is at hand
        public = Records(1 - auxiliary.x[::2], auxiliary.y[::2])
        auxiliary = auxiliary[slice(1, None, 2)]
    else:
        public = _shrunk(_read(dataset.public, root)[0][: dataset.auxiliary], dataset.shrink)
    if public.x.shape[1:] != auxiliary.x.shape[1:]:
        raise InputError(f"dataset {name}: its public images have another shape {public.x.shape[1:]}")
    candidates = _shrunk(train[: dataset.pool], dataset.shrink)
    return Pool(name, candidates, _shrunk(test[: dataset.test], dataset.shrink), auxiliary, public)


def _read(source: str, root: Path | None) -> tuple[Records, Records]:
    import dpcond

    data = dpcond.load(source, root)
    assert data.test is not None
    train, test = (Records(part.x.numpy(), part.y.numpy()) for part in (data.records, data.test))
    return train, test


def _shrunk(records: Records, factor: int) -> Records:
    """Images averaged over factor × factor pixels."""
    if factor == 1:
        return records
    n, channels, height, width = records.x.shape
    cut = records.x[..., : height - height % factor, : width - width % factor]
    blocks = cut.reshape(n, channels, height // factor, factor, width // factor, factor)
    return Records(np.ascontiguousarray(blocks.mean(axis=(3, 5))), records.y)
