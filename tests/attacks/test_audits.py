"""Whole audits: verdicts, controls, calibration without a leak, the page in a real browser, the command line."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import attacks
from attacks.cli import main
from attacks.procedures import LinearDM, Subset, Verbatim
from attacks.records import Records
from attacks.release_set import ReleaseSet


def normal(n: int, seed: int, d: int = 20, classes: int = 2) -> Records:
    rng = np.random.default_rng(seed)
    return Records(rng.standard_normal((n, d)), rng.integers(0, classes, n))


@cache
def procedure_report() -> attacks.Report:
    return attacks.audit_procedure(
        LinearDM(5, "data"),
        normal(120, 0, 100),
        shadows=16,
        targets=120,
        attacks=["lira_fixed", "rmia:mean"],
        canaries=5,
        claimed_epsilon=1.0,
    )


def test_sides_that_overlap_are_refused() -> None:
    members, others = normal(100, 0), normal(100, 1)
    release = ReleaseSet(members.x[:10], members.y[:10])
    with pytest.raises(attacks.InputError, match="non-members: 100 of 100 records also occur"):
        attacks.audit(release, members, members, others)
    with pytest.raises(attacks.InputError, match="reference: 100 of 100 records also occur"):
        attacks.audit(release, members, others, others)
    many = normal(5000, 2)
    for side in (members, others):  # a few of the reference, and all of a side
        mixed = Records(np.concatenate([many.x, side.x]), np.concatenate([many.y, side.y]))
        with pytest.raises(attacks.InputError, match="reference: 100 of 5100 records also occur"):
            attacks.audit(release, members, others, mixed)


def test_sides_that_differ_by_themselves_prove_nothing() -> None:
    members, known, made = (normal(400, seed) for seed in (0, 2, 3))
    shifted = Records(normal(400, 1).x + 0.5, normal(400, 1).y)
    report = attacks.audit(ReleaseSet(made.x[:50], made.y[:50]), members, shifted, known, claimed_epsilon=0.2)
    assert report.verdict.measured > 0.2
    assert report.verdict.outcome == "cannot tell"


def test_members_that_are_a_part_of_what_went_in_are_held_to_the_line_of_all() -> None:
    everyone = normal(2000, 0)
    members, others, known = everyone[:200], normal(200, 1), normal(400, 2)
    release = Subset(100)(everyone.x, everyone.y, 0)
    report = attacks.audit(release, members, others, known, attacks=["dcr"], trained_on=2000)
    assert report.subset_line == 100 / 2000
    assert report.attacks["dcr"].controls["subset"].auc.high < 0.65
    two = ReleaseSet(release.x[:2], release.y[:2])
    few = attacks.audit(two, members, others, known, attacks=["dcr"], trained_on=50_000)
    assert "verbatim" not in few.attacks["dcr"].controls  # of two records of 50,000 none is likely to be audited
    assert any("No control of members released as they are" in note for note in few.notes)
    with pytest.raises(attacks.InputError, match="trained_on=100"):
        attacks.audit(release, members, others, known, trained_on=100)


def test_verbatim_release_is_violated_and_reaches_near_its_ceiling() -> None:
    members, others, known = normal(200, 0), normal(200, 1), normal(200, 2)
    report = attacks.audit(ReleaseSet(members.x, members.y), members, others, known, claimed_epsilon=1.0)
    assert report.verdict.outcome == "violated"
    assert report.verdict.measured > 0.6 * report.verdict.ceiling
    best = max(result.metrics.tpr["0.001"].value for result in report.attacks.values())
    assert best == 1.0
    assert report.subset_line == 1.0


def test_data_initialised_release_is_caught_on_its_initial_members() -> None:
    members, others, known = normal(300, 0, 60, 1), normal(1000, 1, 60, 1), normal(1000, 2, 60, 1)
    release = LinearDM(10, "data")(members.x, members.y, 3)
    report = attacks.audit(release, members, others, known, attacks=["offset"])
    assert report.attacks["offset"].metrics.tpr["0.001"].value >= 10 / 300
    start = set(np.random.default_rng(3).choice(300, 10, replace=False).tolist())
    assert {entry["index"] for entry in report.exposed[:10]} == start
    assert report.verdict.outcome == "cannot tell"  # none is claimed
    assert any("one-run bound" in note for note in report.notes)


def test_two_hundred_audits_without_a_leak_stay_at_zero() -> None:
    """The bound passes 0, and the AUC interval misses ½, no more often than 5%."""
    above = missed = 0
    for seed in range(200):
        members, others, known, made = (normal(40, 4 * seed + i, 5) for i in range(4))
        release = ReleaseSet(made.x[:8], made.y[:8])
        report = attacks.audit(release, members, others, known, attacks=["gan_leaks"], delta=0.0)
        auc = report.attacks["gan_leaks"].metrics.auc
        above += report.verdict.measured > 0
        missed += not auc.low <= 0.5 <= auc.high
    assert above < 29  # P[Bin(200, 0.05) >= 29] < 1e-6
    assert missed < 29


def test_students_of_a_verbatim_release_and_controls() -> None:
    members, others, known = normal(80, 0), normal(80, 1), normal(160, 2)
    report = attacks.audit(
        ReleaseSet(members.x, members.y), members, others, known, threat="student", students=4, claimed_epsilon=0.5
    )
    assert set(report.attacks) == {"loss", "lira_offline", "rmia", "base"}
    assert report.attacks["loss"].metrics.auc.low > 0.7
    for result in report.attacks.values():
        assert set(result.controls) == {"subset", "verbatim", "null"}
        assert result.controls["null"].auc.low < 0.5 < result.controls["null"].auc.high + 0.05


def test_procedure_audit_finds_data_initialisation_and_controls_behave() -> None:
    report = procedure_report()
    assert report.verdict.outcome == "violated"
    for result in report.attacks.values():
        assert result.controls["verbatim"].auc.value > 0.95
        assert result.controls["null"].auc.low - 0.02 < 0.5 < result.controls["null"].auc.high + 0.02
    assert set(report.families) == {"random", "mislabelled", "duplicated", "ood", "blank", "hard"}
    assert report.exposed[0]["auc"] >= report.exposed[-1]["auc"]


def test_procedure_audit_does_not_accuse_a_procedure_that_ignores_its_members() -> None:
    fixed = normal(8, 9)
    report = attacks.audit_procedure(
        Constant(fixed.x, fixed.y),
        normal(120, 0),
        shadows=16,
        targets=60,
        attacks=["lira_fixed:dcr", "rmia:mean"],
        claimed_epsilon=0.1,
        seed=1,
    )
    assert report.verdict.outcome != "violated"
    assert report.verdict.measured < 0.1


class Constant:
    """Releases the same records, jittered by the seed, whoever the members are."""

    def __init__(self, x, y) -> None:
        self.x, self.y = x, y

    def __call__(self, x, y, seed):
        return ReleaseSet(self.x + np.random.default_rng(seed).standard_normal(self.x.shape), self.y)


def test_verbatim_procedure_shows_almost_all_it_could() -> None:
    report = attacks.audit_procedure(
        Verbatim(10_000), normal(100, 0), shadows=8, targets=100, attacks=["lira_fixed:dcr"], claimed_epsilon=1.0
    )
    assert report.verdict.outcome == "violated"
    assert report.verdict.measured > 0.7 * report.verdict.ceiling


def test_subset_procedure_stays_under_its_line() -> None:
    report = attacks.audit_procedure(Subset(10), normal(200, 0), shadows=16, targets=200, attacks=["lira_fixed:dcr"])
    result = report.attacks["lira_fixed:dcr"].metrics
    for fpr, tpr in result.tpr.items():
        assert tpr.low <= float(fpr) + report.subset_line


def test_page_is_self_contained_light_and_says_the_verdict_first(tmp_path: Path) -> None:
    procedure_report().save(tmp_path / "audit")
    text = (tmp_path / "audit" / "audit.html").read_text()
    assert len(text) < 2_000_000
    for outside in ("<script", "<link", "@import", 'src="http', "url(http", "<img"):
        assert outside not in text
    assert text.index('id="verdict"') < text.index('id="roc"') < text.index('id="attacks"')
    stored = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert stored["verdict"]["outcome"] == "violated"
    assert set(stored["attacks"]) == set(procedure_report().attacks)
    with pytest.raises(attacks.InputError, match="holds an audit already"):
        procedure_report().save(tmp_path / "audit")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to open the page in")
def test_page_in_a_real_browser_on_a_phone(tmp_path: Path) -> None:
    procedure_report().save(tmp_path / "audit")
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=390,800",
            "--dump-dom",
            (tmp_path / "audit" / "audit.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert "<h1>Violated</h1>" in done.stdout
    assert done.stdout.count("<svg") == 2
    assert done.stdout.count("<tr>") > 20


def npz(folder: Path, name: str, x: np.ndarray, y: np.ndarray) -> str:
    np.savez(folder / name, x=x, y=y)
    return str(folder / name)


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["attacks", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_command_line(tmp_path: Path, monkeypatch, capsys) -> None:
    members, others = normal(60, 0), normal(80, 1)
    files = ["--members", npz(tmp_path, "m.npz", members.x, members.y)]
    files += ["--nonmembers", npz(tmp_path, "n.npz", others.x, others.y)]
    out = str(tmp_path / "out")
    good = ["--release", npz(tmp_path, "s.npz", members.x, members.y), "--claimed-epsilon", "0.5", "--out", out]
    assert run(monkeypatch, *files, *good, "--attacks", "dcr,mean") == 0
    assert "violated" in capsys.readouterr().out
    assert (tmp_path / "out" / "audit.html").exists()

    def refused(*arguments: str) -> str:
        assert run(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("error: ")
        assert len(error.splitlines()) == 1
        return error

    assert "holds an audit already" in refused(*files, *good)
    new = ["--out", str(tmp_path / "other")]
    bad = {
        "shape": (members.x[:, :5], members.y, "each record has shape"),
        "label": (members.x, members.y + 7, "does not occur"),
        "nan": (np.where(members.x > 1, np.nan, members.x), members.y, "NaN"),
    }
    for name, (x, y, text) in bad.items():
        assert text in refused(*files, *new, "--release", npz(tmp_path, f"{name}.npz", x, y))
    few = ["--members", npz(tmp_path, "few.npz", members.x[:5], members.y[:5])]
    assert "too few" in refused(*few, *files[2:], *new, *good[:2])
    assert "not known" in refused(*files, *new, *good[:2], "--attacks", "magic")
    assert "no such file" in refused("--members", str(tmp_path / "none.npz"), *files[2:], *new, *good[:2])
    assert "--members is missing" in refused(*new)
    assert "threat" in refused(*files, *new, *good[:2], "--threat", "psychic")
    corners, y = np.eye(140), np.arange(140) % 2  # all equally far from the origin
    assert "scores are the same" in refused(
        "--members",
        npz(tmp_path, "cm.npz", corners[:60], y[:60]),
        "--nonmembers",
        npz(tmp_path, "cn.npz", corners[60:], y[60:]),
        "--release",
        npz(tmp_path, "o.npz", np.stack([corners[0] * 0, corners[0] * 0, corners[0] * 0 + 1]), np.array([0, 1, 1])),
        "--attacks",
        "dcr",
        *new,
    )


def test_command_line_of_a_procedure(tmp_path: Path, monkeypatch, capsys) -> None:
    records = normal(100, 0)
    code = run(
        monkeypatch,
        "--threat",
        "procedure",
        "--pool",
        npz(tmp_path, "p.npz", records.x, records.y),
        "--procedure",
        "subset",
        "--option",
        "m=10",
        "--shadows",
        "8",
        "--targets",
        "40",
        "--attacks",
        "lira_fixed:dcr",
        "--out",
        str(tmp_path / "out"),
    )
    assert code == 0
    assert len(list((tmp_path / "out" / "shadows").glob("*.npz"))) == 8


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, attacks; sys.exit('torch' in sys.modules or 'dpcond' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
