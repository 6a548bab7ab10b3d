"""Small releases of a private image run, a private table run, and a run without noise."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from dpcond.data.adult import SPEC as ADULT
from dpcond.data.digits import SPEC as DIGITS
from dpcond.privacy import certificate
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.plan import Stage, make_plan
from dpcond.release import Release, bundle, statement

STAGES = (
    Stage("means", 2, 640, 0.75, purpose="class means of random features"),
    Stage("gradients", 3, 100, 0.25, sampling_rate=0.1),
)


# Certifying is a slow pure function: these tests ask the accountants once about the same events.
certify_once = functools.cache(certificate.certify)


@pytest.fixture(autouse=True)
def _certify_once(monkeypatch):
    monkeypatch.setattr(certificate, "certify", certify_once)


@dataclass
class Run:
    """A finished run: call :meth:`release` for what it releases."""

    folder: Path
    spec: object
    private: bool = True
    charges: tuple[int, ...] = (2, 3)

    def __post_init__(self) -> None:
        public = {"spec": self.spec.to_json(), "method": "dm", "options": {"ipc": 2}}
        self.plan = make_plan(STAGES, 2.0, 1e-5, "add_remove", public, private=self.private)
        self.ledger = self.folder / "run.jsonl"
        ledger = Ledger.create(self.ledger, self.plan)
        for stage, count in zip(STAGES, self.charges, strict=True):
            for index in range(count):
                ledger.charge(stage.name, index, self.plan.event(stage.name), "f" * 64)
        ledger.close()

    def statement(self, **changes) -> dict:
        events = Ledger.read(self.ledger).events()
        found = certify_once(events, self.plan.delta, self.plan.adjacency)
        return {**statement(self.plan, events, found, self.spec, noise="secure Gaussian"), **changes}

    def release(self, **changes) -> Release:
        generator = torch.Generator().manual_seed(0)
        size = 2 * self.spec.num_classes
        fields = {
            "x": torch.rand(size, *self.spec.shape, generator=generator) * 2 - 1,
            "y": torch.arange(self.spec.num_classes).repeat_interleave(2),
            "spec": self.spec,
            "method": "dm",
            "options": {"ipc": 2},
            "soft_labels": torch.rand(size, self.spec.num_classes, generator=generator),
            "ledger": self.ledger,
        }
        privacy = changes.pop("privacy", None) or self.statement()
        return Release(**{**fields, **changes}, privacy=privacy)


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    return Run(tmp_path_factory.mktemp("images"), DIGITS)


@pytest.fixture(scope="session")
def table_run(tmp_path_factory) -> Run:
    return Run(tmp_path_factory.mktemp("table"), ADULT)


@pytest.fixture(scope="session")
def open_run(tmp_path_factory) -> Run:
    return Run(tmp_path_factory.mktemp("open"), DIGITS, private=False)


@pytest.fixture(scope="session")
def release(run) -> Release:
    return run.release()


@pytest.fixture(scope="session")
def rewrite():
    """Replace files and make the manifest fit, as one who controls the whole folder can."""

    def replace(folder: Path, **files: bytes) -> None:
        kept = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != bundle.MANIFEST}
        kept.update({name.replace("_", "."): content for name, content in files.items()})
        for name, content in {**kept, bundle.MANIFEST: bundle.manifest(kept)}.items():
            (folder / name).write_bytes(content)

    return replace
