"""The page: complete, self-contained, small, readable in a real browser; its tables and verdicts say what the results hold."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from experiments.privacy_for_free.page import LARGEST, write_page
from experiments.privacy_for_free.readme import BEGIN, END, HERE, numbers, renewed
from experiments.privacy_for_free.results import ABSENT, IDS, expected
from experiments.privacy_for_free.tables import shown, table
from experiments.privacy_for_free.verdicts import checked, owner_table, parts_of

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEPT = HERE / "laptop"
PAGES = ["smoke", *(["laptop"] if (KEPT / "page.html").exists() else [])]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Path:
    """The page of a fresh smoke run, and the kept one."""
    folder: Path = KEPT if request.param == "laptop" else request.getfixturevalue("smoke")
    return folder / "page.html"


def test_every_question_has_both_sides_an_expectation_and_checks_that_can_fail() -> None:
    told = expected()
    assert tuple(told) == IDS
    for id, said in told.items():
        assert all(said[name].strip() for name in ("title", "dong", "carlini", "expected")), id
        for check in said["checks"]:
            assert check["op"] in ("<=", ">=", "<", ">", "==")
            assert ("value" in check) != ("than" in check), f"{id}: {check}"


def test_every_check_finds_its_number(smoke: Path) -> None:
    results = json.loads((smoke / "results.json").read_text())
    for id, part in parts_of(results).items():
        missing = [row["says"] for row in checked(results["expected"][id], part["numbers"]) if row["agrees"] is None]
        assert not missing, f"{id}: not measured: {missing}"


def test_the_page_is_self_contained_small_and_complete(page: Path) -> None:
    text = page.read_text()
    assert len(text.encode()) < LARGEST
    assert "<script" not in text
    assert "@import" not in text
    asked = [
        link for link in re.findall(r'(?:src|href|srcset|data)="([^"]+)"', text) if not link.startswith(("#", "data:"))
    ]
    assert asked == [], "a request would leave the page"
    assert not re.findall(r"url\((?!#)", text)
    results = json.loads((page.parent / "results.json").read_text())
    for id in IDS:
        assert f'<section id="{id}"' in text
    for id, part in parts_of(results).items():
        for figure in part["figures"]:
            place = text.index(f'id="{id}-{figure["name"]}"')
            shown_figure = text[place : text.index("</figure>", place)]
            assert "<svg" in shown_figure or "data:image/png" in shown_figure
            if figure["series"]:
                assert "The figure's data" in shown_figure.replace("&#39;", "'"), (
                    f"{id} {figure['name']} has no data beside it"
                )


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_all_of_it_without_scrolling_sideways(page: Path, width: int, tmp_path: Path) -> None:
    probe = (
        "<script>addEventListener('load',()=>{document.title=[document.documentElement.scrollWidth,document.querySelectorAll('section.part').length,"
        "[...document.querySelectorAll('svg')].filter(s=>s.getBoundingClientRect().width<100).length,"
        "[...document.images].filter(i=>!i.complete||!i.naturalWidth).length].join(' ')})</script>"
    )
    copy = tmp_path / "probe.html"
    copy.write_text(page.read_text().replace("</body>", probe + "</body>"))
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
    ]
    frame = tmp_path / "frame.html"  # a window narrower than 500 is not given to every headless browser, a frame is
    frame.write_text(
        f"<iframe id=f src=probe.html width={width} height=800 style='border:0'></iframe>"
        "<script>addEventListener('load',()=>{document.title=document.getElementById('f').contentDocument.title})</script>"
    )
    done = subprocess.run(
        [*command, "--allow-file-access-from-files", f"file://{frame}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r"<title>([\d ]+)</title>", done.stdout)
    assert found, done.stderr[-500:]
    wide, parts, flat, broken = map(int, found[1].split())
    assert (parts, flat, broken) == (len(IDS), 0, 0)
    assert wide <= width


def test_what_was_not_run_is_named_with_its_reason(smoke: Path, tmp_path: Path) -> None:
    results = json.loads((smoke / "results.json").read_text())
    results = {name: value for name, value in results.items() if name not in IDS or name == "E11"}
    results["absent"] = {"E17": "no classifier of releases"}
    text = write_page(results, tmp_path).read_text()
    assert "Absent: no classifier of releases." in text
    assert text.count("Absent: not run with this profile yet.") == len(IDS) - 2


def test_an_interval_shares_the_cell_of_its_value() -> None:
    rows = [
        {"what": "a", "auc": 0.51234, "auc_low": 0.49, "auc_high": 0.53, "n": 12345},
        {"what": "b", "tpr_1pct": 0.0131},
    ]
    content = table(rows)
    assert content.columns == ["what", "AUC", "n", "TPR at FPR 1%"]
    assert content.rows == [["a", "0.512 (0.49–0.53)", "12,345", "–"], ["b", "–", "–", "1.31%"]]
    assert shown(float("nan")) == "–"
    assert shown(1.0, "accuracy") == "100%"


def test_a_check_agrees_disagrees_or_was_not_measured() -> None:
    told = {
        "checks": [
            {"number": "a", "op": "<=", "value": 1.0, "says": "x"},
            {"number": "a", "op": ">", "than": "b", "says": "y"},
            {"number": "c", "op": ">", "than": "b", "says": "z"},
        ]
    }
    assert [row["agrees"] for row in checked(told, {"a": 1.0, "b": 2.0})] == [True, False, None]


def test_the_owner_sees_every_choice_with_accuracy_epsilon_leak_and_cost(smoke: Path) -> None:
    parts = parts_of(json.loads((smoke / "results.json").read_text()))
    rows = owner_table(parts)
    choices = " ".join(row["choice"] for row in rows)
    for wanted in ("all members", "random subset", "DM", "DP-SGD", "private release"):
        assert wanted in choices
    for row in rows:
        assert row["tpr_1pct_low"] <= row["tpr_1pct"] <= row["tpr_1pct_high"]
        assert row["seconds each"] > 0
        assert (row["ε"] == "unbounded") != ("DP-SGD" in row["choice"] or "private" in row["choice"])
    assert (
        next(row for row in rows if row["choice"].startswith("DP-SGD, ε = 1"))["accuracy with all records"] is not None
    )


def test_the_readme_holds_the_numbers_of_the_kept_results() -> None:
    text, file = (HERE / "README.md").read_text(), KEPT / "results.json"
    assert text.count(BEGIN) == text.count(END) == 1
    if not file.exists():
        pytest.skip("no results of the laptop profile are kept yet")
    results: dict[str, Any] = json.loads(file.read_text())
    assert numbers(results) in text, "run python -m experiments.privacy_for_free.readme"
    assert renewed(text, results) == text
    assert set(parts_of(results)) == set(IDS) - set(ABSENT)
    assert results["profile"]["shadows"] >= 64
