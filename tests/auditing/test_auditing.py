"""dpcond under attack: its condensations as procedures, its wall as a mechanism."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from attacks import audit_mechanism
from attacks.procedures import BatchedProcedure
from dpcond import cli
from dpcond.auditing import CondensationProcedure, CuratorMechanism
from dpcond.config import load_config
from dpcond.data import Data, Records
from dpcond.errors import InputError
from dpcond.pipeline import run
from dpcond.spec import DataSpec
from experiments.wall_audit.faults import FAULTS, none

SPEC = DataSpec("toy", "image", (1, 8, 8), ("a", "b"), 40, class_counts=(20, 20))
SMALL = {"networks": 3, "width": 4, "steps": 5}


def pool(n=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 1, 8, 8), generator=g, dtype=torch.uint8), torch.arange(n) % 2


def config(**given):
    keys = {"method": "dm", "ipc": 2, "seed": 5, "privacy.mode": "none", "options": SMALL} | given
    return load_config(given=keys)


def test_shadows_that_share_features_equal_separate_condensations():
    x, y = pool()
    units = x.numpy() / np.float32(255)
    procedure = CondensationProcedure(SPEC, config(), 20, (10, 10))
    assert isinstance(procedure, BatchedProcedure)
    membership = np.zeros((2, 40), dtype=bool)
    membership[0, :20] = membership[1, 20:] = True
    together = procedure.many(units, y.numpy(), membership, [5, 5])
    for k, mask in enumerate(membership):
        alone = procedure(units[mask], y.numpy()[mask], 5)
        assert np.allclose(together[k].x, alone.x, atol=1e-4)
        spec = procedure.spec
        real = run(Data(spec, Records(x[mask], y[mask], spec)), config())
        assert np.allclose(together[k].x, (real.x.numpy() + 1) / 2, atol=1e-4)


def test_methods_that_share_nothing_run_one_by_one():
    x, y = pool()
    procedure = CondensationProcedure(SPEC, config(method="merf", options={"frequencies": 8, "steps": 3}), 40, (20, 20))
    assert not isinstance(procedure, BatchedProcedure)
    assert procedure(x.numpy() / np.float32(255), y.numpy(), 1).x.shape == (4, 1, 8, 8)


def test_private_shadows_are_noised_afresh():
    x, y = pool()
    procedure = CondensationProcedure(SPEC, config(**{"privacy.mode": "dp"}), 40, (20, 20))
    a, b = (procedure(x.numpy() / np.float32(255), y.numpy(), 1).x for _ in range(2))
    assert not np.allclose(a, b)


RUNS, CLAIM = 6000, 4.0


def outcome(fault, adjacency="add_remove"):
    """Verdict on the wall at ε = 4 with a fault planted; an honest one is called violated in one of 1000 audits."""
    wall = CuratorMechanism(CLAIM, 1e-5, adjacency)

    class Marked:
        canaries = wall.canaries
        release = staticmethod(wall.release)

    with fault():
        return audit_mechanism(Marked(), CLAIM, 1e-5, runs=RUNS).gaussian_verdict.outcome


@pytest.mark.parametrize("adjacency", ["add_remove", "replace_one"])
def test_the_honest_wall_is_not_called_violated(adjacency):
    assert outcome(none, adjacency) != "violated"


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_wall_is_called_violated(name):
    assert outcome(FAULTS[name], "replace_one" if name.startswith("replace") else "add_remove") == "violated"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    out = tmp_path_factory.mktemp("audited") / "run"
    arguments = ["condense", "--data", "digits", "--method", "dm", "--ipc", "1", "--out", str(out)]
    for text in ("networks=3", "width=4", "steps=4"):
        arguments += ["--set", text]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    return out / "release"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--members", "200"],
        ["--threat", "mechanism", "--runs", "500"],
        ["--threat", "procedure", "--members", "60", "--shadows", "8"],
    ],
)
def test_the_command_writes_a_report_and_says_the_verdict(release, arguments, tmp_path):
    done = CliRunner().invoke(
        cli.app, ["audit", str(release), "--data", "digits", "--out", str(tmp_path / "a"), *arguments]
    )
    assert done.exit_code == 0, done.output
    assert "epsilon" in done.output
    assert json.loads((tmp_path / "a" / "audit.json").read_text())
    if "mechanism" not in arguments:
        assert (tmp_path / "a" / "audit.html").stat().st_size < 2_000_000


def test_an_unknown_threat_is_refused(release, tmp_path):
    done = CliRunner().invoke(
        cli.app, ["audit", str(release), "--data", "digits", "--out", str(tmp_path), "--threat", "all"]
    )
    assert isinstance(done.exception, InputError)
    assert "procedure" in str(done.exception)
