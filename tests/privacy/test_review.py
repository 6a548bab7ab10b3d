"""Faults found by review, each of which once gave less privacy, or less of a trace, than was stated."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dpcond
from dpcond.config import Config
from dpcond.errors import InputError, LedgerError
from dpcond.pipeline import run
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.noise import DiscreteGaussianNoise, GaussianNoise, SeededEntropy
from dpcond.privacy.queries import ClassSums
from dpcond.release import bundle, card, verify
from tests.laws.checks import PIXELS, SPEC, constant, plan_of

SMALL = Config.model_validate(
    {"method": "merf", "ipc": 1, "options": {"frequencies": 8, "steps": 1}, "engine": {"device": "cpu"}}
)


class Words:
    """The same word for ever."""

    private = True

    def __init__(self, word: int) -> None:
        self.word = word

    def words(self, count: int) -> np.ndarray:
        return np.full(count, self.word, dtype=np.uint64)


def test_noise_is_finite_and_symmetric_at_the_extreme_words():
    low, high, *middle = (GaussianNoise(Words(w)).draw((1,), 1.0).item() for w in (0, 1, 2**64 - 2, 2**64 - 1))
    assert 9.1 < high < 9.2
    assert high == -low
    assert middle == [0.0, 0.0]


def test_small_probabilities_of_the_discrete_sampler_are_not_rounded_to_multiples_of_2_to_the_minus_53():
    """exp(-40) is under 2**-57: its event must happen at the smallest word, and not at one of 2**-53."""
    gamma = np.array([40.0, 0.0])
    assert DiscreteGaussianNoise(Words(0))._bernoulli_exp(gamma).all()
    assert DiscreteGaussianNoise(Words(2**11))._bernoulli_exp(gamma).tolist() == [False, True]


def test_a_curator_and_a_ledger_of_different_plans_are_refused(tmp_path):
    """Full-data events are the same under both adjacencies; the noise is not."""
    removal, replacement = plan_of(), plan_of(adjacency=Adjacency.REPLACE_ONE)
    assert removal.events() == replacement.events()
    with Ledger.create(tmp_path / "l", replacement) as ledger, pytest.raises(InputError, match="another plan"):
        Curator(SPEC, removal, constant(1), ledger)


class Liar(ClassSums):
    def record_norm(self) -> float:
        return 1e-9


def test_a_query_that_the_wall_does_not_know_is_refused(tmp_path):
    plan = plan_of()
    with Ledger.create(tmp_path / "l", plan) as ledger:
        with pytest.raises(InputError, match="Liar"):
            Curator(SPEC, plan, constant(1), ledger).ask("s", 0, Liar(PIXELS.feature, 3, "liar"))
        assert ledger.charged("s") == 0


def test_an_answer_that_cannot_be_kept_is_one_clear_line_and_stays_spent(tmp_path, monkeypatch):
    plan = replace(plan_of(), stages=tuple(replace(stage, keep=True) for stage in plan_of().stages))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with Ledger.create(tmp_path / "l", plan) as ledger:
        curator = Curator(SPEC, plan, constant(1), ledger, answers=tmp_path / "a")
        monkeypatch.setattr("dpcond.privacy.curator.os.replace", full)
        with pytest.raises(LedgerError, match="stays spent"):
            curator.ask("s", 0, PIXELS)
        assert ledger.charged("s") == 1


def test_a_run_without_a_folder_that_fails_leaves_its_ledger(tmp_path, monkeypatch):
    def diverge(*_: object, **__: object) -> None:
        raise RuntimeError("diverged")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("dpcond.methods.merf.match_means", diverge)
    with pytest.raises(RuntimeError, match="diverged") as caught:
        run(dpcond.load("digits"), SMALL)
    (folder,) = tmp_path.iterdir()
    assert Ledger.read(folder / "ledger.jsonl").charged("embedding") == 1
    assert str(folder) in caught.value.__notes__[0]


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """The same run with the system's entropy and with a seeded source."""
    folder = tmp_path_factory.mktemp("runs")
    for name, noise in (("system", None), ("seeded", GaussianNoise(SeededEntropy(0)))):
        run(dpcond.load("digits"), SMALL, folder / name, noise=noise)
    return folder


def rewritten(folder: Path, out: Path, **changes: object) -> str:
    """What verification finds wrong after ``changes`` to privacy.json, with card and hashes made to fit."""
    shutil.copytree(folder, out)
    privacy = {**json.loads((out / bundle.PRIVACY).read_text()), **changes}
    spec = dpcond.load("digits").spec
    (out / bundle.PRIVACY).write_bytes(bundle.to_bytes(privacy))
    (out / bundle.CARD).write_bytes(card.render(spec, privacy, "merf", {}, 10))
    kept = {path.name: path.read_bytes() for path in out.iterdir() if path.name != bundle.MANIFEST}
    (out / bundle.MANIFEST).write_bytes(bundle.manifest(kept))
    return " ".join(check.detail for check in verify(out).checks if not check.ok)


def test_a_replayable_run_cannot_be_called_private(releases, tmp_path):
    seeded = releases / "seeded" / "release"
    assert not rewritten(seeded, tmp_path / "as-it-is")
    lie = {"private": True, "epsilon": 1.0, "noise": {"source": "operating system", "private": True}}
    assert "replayed" in rewritten(seeded, tmp_path / "lie", **lie)


def test_assumptions_cannot_be_left_out(releases, tmp_path):
    honest = releases / "system" / "release"
    assert not rewritten(honest, tmp_path / "as-it-is")
    assert "leaves out" in rewritten(honest, tmp_path / "lie", assumptions=["None."])


def test_nothing_else_hides_among_the_tensors(releases, tmp_path):
    out = tmp_path / "lie"
    shutil.copytree(releases / "system" / "release", out)
    tensors = {**load_file(out / bundle.DATA), "sums": torch.zeros(3)}
    save_file(tensors, out / bundle.DATA, {"dpcond": json.dumps({"format": 1, "method": "merf", "options": {}})})
    kept = {path.name: path.read_bytes() for path in out.iterdir() if path.name != bundle.MANIFEST}
    (out / bundle.MANIFEST).write_bytes(bundle.manifest(kept))
    assert any("'sums', which does not belong" in check.detail for check in verify(out).checks if not check.ok)


def test_a_release_that_promises_nothing_shows_no_finite_epsilon(releases):
    text = (releases / "seeded" / "release" / "card.md").read_text()
    assert "accountants" not in text
    assert not any(json.loads((releases / "seeded/release/privacy.json").read_text())["accountants"].values())
