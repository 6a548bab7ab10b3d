"""The command: every part runs on the digits, finished work is never redone, bad input is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from attacks.errors import InputError
from experiments.privacy_for_free.__main__ import app
from experiments.privacy_for_free.cell import Cell
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.profile import load_profile
from experiments.privacy_for_free.results import ABSENT, IDS, sizes
from experiments.privacy_for_free.shadows import run_cell, setup
from experiments.privacy_for_free.verdicts import parts_of


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def frame(out: Path) -> Frame:
    return Frame(load_profile("smoke"), out, None, lambda line: None)


def test_every_part_ran_and_reports_what_was_measured(smoke: Path) -> None:
    results = json.loads((smoke / "results.json").read_text())
    assert set(parts_of(results)) == set(IDS) - set(ABSENT)
    for id, part in parts_of(results).items():
        assert part["id"] == id
        assert part["rows"], id
        assert part["findings"], id
        assert part["numbers"], id
        assert part["outcome"] in ("supports Dong", "supports Carlini", "neither", "cannot tell")
    for row in results["E2"]["rows"]:  # every rate with its interval, N and power
        assert row["tpr_1pct_low"] <= row["tpr_1pct"] <= row["tpr_1pct_high"]
        assert row["n_in"] > 0
        assert row["zero_rules_out"] == pytest.approx(1 - 0.05 ** (1 / row["n_in"]))


def test_an_interrupted_run_goes_on_without_redoing_what_was_finished(smoke: Path) -> None:
    parts, cells = stamps(smoke / "parts"), stamps(smoke / "cells")
    before = json.loads((smoke / "parts" / "E5.json").read_text())
    (smoke / "parts" / "E5.json").unlink()  # as if stopped while E5 ran
    (smoke / "results.json").unlink()
    done = CliRunner().invoke(app, ["--profile", "smoke", "--out", str(smoke)])
    assert done.exit_code == 0, done.output
    assert stamps(smoke / "cells") == cells
    again = stamps(smoke / "parts")
    assert {name for name in parts if parts[name] != again[name]} == {"E5.json"}
    after = json.loads((smoke / "parts" / "E5.json").read_text())
    assert {k: v for k, v in after.items() if k != "seconds"} == {k: v for k, v in before.items() if k != "seconds"}
    assert set(parts_of(json.loads((smoke / "results.json").read_text()))) == set(IDS) - set(ABSENT)


def test_a_part_depends_on_the_profile_and_on_its_own_sizes_only() -> None:
    profile = load_profile("smoke")
    longer = profile.model_copy(update={"parts": profile.parts | {"E6": {"steps": [9]}}})
    assert sizes(longer, "E6") != sizes(profile, "E6")
    assert sizes(longer, "E5") == sizes(profile, "E5")
    plane = profile.model_copy(update={"parts": {**profile.parts, "E9": {"epsilons": [3.0]}}})
    assert sizes(plane, "E18") != sizes(profile, "E18"), "E18 makes its releases by the sizes of E9"
    assert sizes(profile.model_copy(update={"shadows": 16}), "E5") != sizes(profile, "E5")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--profile", "smoke", "--only", "E99"], "choose from E1"),
        (["--profile", "pocket"], "choose"),
        (["--profile", "laptop", "--data-root", "/nowhere", "--only", "E1"], "nowhere"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path: Path, given: list[str], says: str) -> None:
    done = CliRunner().invoke(app, [*given, "--out", str(tmp_path)])
    assert done.exit_code == 2
    lines = [line for line in done.output.strip().splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert says in lines[0]


def test_a_profile_with_an_unknown_entry_or_dataset_is_refused(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "experiments/privacy_for_free/profiles/smoke.toml").read_text()
    (tmp_path / "a.toml").write_text(text.replace("targets = 100", "targets = 100\ntarget = 1"))
    (tmp_path / "b.toml").write_text(text.replace('data = "digits"', 'data = "letters"'))
    with pytest.raises(InputError, match="target"):
        load_profile(str(tmp_path / "a.toml"))
    with pytest.raises(InputError, match="'letters' is not described"):
        load_profile(str(tmp_path / "b.toml"))


@pytest.mark.parametrize("name", ["laptop", "digits", "paper"])
def test_figures_rest_on_64_shadows_and_the_grid_has_what_the_parts_compare(name: str) -> None:
    profile = load_profile(name)
    assert profile.shadows >= 64
    grid = set(profile.cells())
    assert {
        Cell(profile.focus, "dm", profile.few, i) for i in ("member", "nonmember", "public", "noise", "mean")
    } <= grid
    assert {Cell(profile.focus, "dm", profile.many, i) for i in ("member", "noise")} <= grid
    assert {cell.method for cell in grid} == {"dm", "dc", "dsa", "kip"}


def test_every_run_of_the_digits_profile_has_the_members_that_it_starts_from(tmp_path: Path) -> None:
    profile = load_profile("digits")
    pool = Frame(profile, tmp_path, None, lambda line: None).pool("digits")
    sizes = profile.part("E15")
    cells = [
        *profile.cells(),
        *(Cell("digits", "dm", profile.few, "member", pool=size) for size in sizes["pools"]),
        *(Cell("digits", "dm", profile.few, "member", classes=number) for number in sizes["classes"]),
    ]
    for cell in cells:
        made = setup(cell, profile, pool)
        classes = np.unique(made.pool.y)
        fewest = min(np.bincount(made.pool.y[run], minlength=10)[classes].min() for run in made.member)
        assert fewest >= cell.ipc, cell


def test_cells_stored_and_read_back_are_the_cells_that_were_run(smoke: Path) -> None:
    stored = frame(smoke)
    cell = Cell("digits", "dm", 5, "member")
    read, made = stored.cell(cell), run_cell(cell, stored.profile, stored.pool("digits"), lambda line: None)
    np.testing.assert_allclose(read.phi, made.phi, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(read.member, made.member)
    assert [r.hash for r in read.releases] == [r.hash for r in made.releases]


def test_runs_start_from_members_and_the_subset_is_exactly_these(smoke: Path) -> None:
    made = frame(smoke)
    condensed, subset = (made.cell(Cell("digits", method, 5, "member")) for method in ("dm", "subset"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(condensed.started, subset.started)
    assert not (condensed.started & ~condensed.member).any()
    assert (condensed.started.sum(axis=1) == 50).all()
    for mask, release in zip(subset.started, subset.releases, strict=True):
        theirs = {row.tobytes() for row in release.x}
        assert theirs <= {row.tobytes() for row in subset.pool.x[mask]}
    assert not made.cell(Cell("digits", "dm", 5, "noise")).started.any()
    np.testing.assert_array_equal(subset.member[0], ~subset.member[1])


def test_sources_of_starting_images_hold_no_candidate(smoke: Path) -> None:
    pool = frame(smoke).pool("digits")
    candidates = {row.tobytes() for row in pool.candidates.x}
    for other in (pool.auxiliary, pool.public, pool.test):
        shared = sum(row.tobytes() in candidates for row in other.x)
        assert shared <= 1  # the digits hold a few images twice
