"""The committed results keep their promises, and the page is the one they make."""

from __future__ import annotations

import json

import pytest

from experiments.leaderboard import figures, tables
from experiments.leaderboard.anchors import anchors, best, target
from experiments.leaderboard.figures import CURVES, draw, points
from experiments.leaderboard.readme import PAGES, inserted
from experiments.leaderboard.results import mismatch, read_results, result_name
from experiments.leaderboard.row import read_rows

RESULTS = read_results()


@pytest.mark.parametrize("page", PAGES, ids=("folder", "project"))
def test_a_page_is_in_step_with_the_results(page):
    assert page.read_text() == inserted(page), "run: python -m experiments.leaderboard table"


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_the_data_of_the_figures_are_in_step_with_the_results(curve):
    kept = json.loads((figures.FIGURES / f"{curve.name}.json").read_text())
    assert kept == points(curve, read_rows(), RESULTS), "run: python -m experiments.leaderboard figures"


@pytest.mark.parametrize("name", RESULTS)
def test_a_committed_result_is_of_its_row(name):
    result = RESULTS[name]
    row = read_rows()[result["row"]]
    asked = row.model_copy(update={"protocol": result["config"]["protocol"]})
    assert mismatch(asked, result) == []
    assert name == result["name"] == result_name(row, asked.protocol)
    assert row.tuned_on, "a measured row says what was tuned on evaluation data, or that nothing was"
    first = row.models[0]
    for key, kind in (("accuracy", "hard"), ("accuracy_soft", "soft")):
        judged = [one[kind][first]["accuracy"] for one in result["runs"] if first in one[kind]]
        assert (result[key] or {"values": []})["values"] == judged
        assert all(0 < value < 1 for value in judged)
    assert result["accuracy"] or result["accuracy_soft"]


@pytest.mark.parametrize("name", [name for name, result in RESULTS.items() if result["private"]])
def test_a_committed_private_result_keeps_its_budget(name):
    """The promise and every tight accountant are within the target; PRV's upper end within its grid's two percent, or hundredth."""
    result = RESULTS[name]
    for one in result["runs"]:
        by = one["epsilon_by_accountant"]
        assert one["verified"] is True
        assert len(by) >= 2
        assert one["epsilon"] <= result["epsilon"]
        assert by[one["quoted"]] <= result["epsilon"]
        assert by["pld"] <= result["epsilon"] * (1 + 1e-3)
        assert by.get("prv", 0.0) <= max(1.02 * result["epsilon"], result["epsilon"] + 0.011)
        assert by["rdp"] >= by["pld"] - 1e-3  # RDP is looser, never tighter
    assert result["verified"] is True
    if result["method"] != "teacher":  # every seed is a release of its own
        assert len(set(result["releases"].values())) == len(result["runs"])


def test_an_audited_row_holds_its_claim():
    found = {path.stem: json.loads(path.read_text()) for path in tables.AUDITS.glob("*.json")}
    assert any(read_rows()[name].data == "fashion-mnist" for name in found)
    for name, audit in found.items():
        assert audit["verdict"]["outcome"] == audit["gaussian_verdict"]["outcome"] == "holds"
        claimed = [result["runs"][0]["epsilon"] for result in RESULTS.values() if result["row"] == name]
        assert audit["claimed_epsilon"] in claimed


def test_only_the_field_s_protocol_stands_beside_targets_and_published_numbers():
    rows = read_rows()
    name, wanted = "fashion-e1-i10", target("fashion-mnist", 1.0, 10)
    seeds = list(rows[name].seeds)
    summary = {"mean": 0.9, "std": 0.0, "values": [0.9] * len(seeds)}
    result = {"accuracy": summary, "accuracy_soft": None, "protocol": "dc", "seeds": seeds}
    result |= {"config": rows[name].identity(), "architectures": {"hard": {"convnet": summary}, "soft": {}}}
    lines = tables.frontier(rows, {name: result}).splitlines()
    assert any(f"{wanted['must']:.1f}: **reached**" in line for line in lines)
    lines = tables.frontier(rows, {f"{name}.quick": result | {"protocol": "quick"}}).splitlines()
    assert not any("reached**" in line for line in lines)
    quick = next(line for line in lines if "*quick*" in line and "90.0" in line)
    assert quick.endswith("| – | – | – |")
    assert any("Fashion-MNIST | 1 | 10 | `auto` † | dc | not run" in line for line in lines)
    lines = tables.frontier(rows, {f"{name}.dc-bf16": result | {"protocol": "dc-bf16"}}).splitlines()
    assert any("| dc-bf16 |" in line and "**reached**" in line for line in lines)
    assert not any("Fashion-MNIST | 1 | 10 | `auto` † | dc | not run" in line for line in lines), "it stands in for dc"


def test_the_headline_has_the_better_labels_and_no_quick_judgement():
    rows = read_rows()
    row = rows["fashion-e1-i10"]
    worse, better = ({"mean": mean, "std": 0.0, "values": [mean] * len(row.seeds)} for mean in (0.8, 0.9))
    result = {"accuracy": worse, "accuracy_soft": better, "protocol": "dc"}
    assert "soft | dc | **90.0 ± 0.0** |" in tables.headline(rows, {row.name: result})
    quick = result | {"protocol": "quick"}
    assert "90.0" not in tables.headline(rows, {f"{row.name}.quick": quick})


def test_what_was_not_run_says_so_and_names_its_command():
    said = tables.frontier(read_rows(), {})
    assert said.count("not run") >= 10
    assert "python -m experiments.leaderboard run cifar10-e1-i50" in said
    assert "--protocol" not in said
    for lacking in tables.frontier(read_rows(), RESULTS).partition("```")[2].splitlines():
        if lacking.startswith("python"):  # of what stands in for dc, the rest is asked as that was
            assert lacking.endswith(("--protocol dc-bf16", "--protocol dc-bf16 --labels soft"))
    assert "mnist-e1-i10" not in tables.missing(read_rows(), RESULTS, "frontier"), "measured whole by its stand-in"
    assert "python -m experiments.leaderboard run curve-epsilon curve-ipc\n" in tables.missing(read_rows(), {}, "curve")


def test_anchors_name_their_source():
    for line in anchors()["published"]:
        assert line["source"]
        assert 0 < line["accuracy"] < 100
    assert [(t["data"], t["must"]) for t in anchors()["target"]][2] == ("fashion-mnist", 83.0)
    assert [line["system"] for line in best("fashion-mnist", 1.0, 10)] == ["Dosser", "NDPDC"]
    assert best("fashion-mnist", 10.0, 50)[0]["ipc"] == 0  # no small set was published there


def test_a_curve_is_drawn_from_its_points():
    curve = CURVES[0]
    data = [
        {"method": method, "labels": "hard", "epsilon": epsilon, "mean": 0.7, "std": 0.01}
        for method in curve.methods
        for epsilon in curve.ticks
    ]
    svg = draw(curve, data)
    assert svg == draw(curve, data)  # no dates, no random ids
    assert "private teacher" in svg
    assert len(svg) < 100_000
