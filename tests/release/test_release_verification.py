import json
import math
import os
import shutil
from dataclasses import replace

import pytest

from dpcond.data.digits import SPEC as DIGITS
from dpcond.privacy.certificate import certify
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.plan import make_plan
from dpcond.release import not_private, statement, verify
from dpcond.release.privacy_statement import conditions


@pytest.fixture(scope="module")
def saved(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "release"
    run.release().save(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "release")


def failed(report):
    return {check.name: check.detail for check in report.checks if not check.ok}


def test_an_honest_release_verifies(saved, run):
    report = verify(saved)
    assert report.ok, failed(report)
    # The oracle: certify what the plan allows, all of which was charged.
    assert report.epsilon == report.stated == certify(run.plan.events(), 1e-5, "add_remove").epsilon
    assert len(report.checks) == 9
    assert all(check.detail for check in report.checks)


def test_not_private_says_infinity(open_run, run, tmp_path):
    open_run.release().save(tmp_path / "open")
    run.release(privacy=not_private(run.spec, "a real subset"), ledger=None).save(tmp_path / "subset")
    for name in ("open", "subset"):
        report = verify(tmp_path / name)
        assert report.ok, failed(report)
        assert report.epsilon == report.stated == math.inf


FILES = ["data.safetensors", "spec.json", "privacy.json", "ledger.jsonl", "card.md", "preview.png", "manifest.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_one_flipped_bit_is_caught(copy, name, where):
    content = bytearray((copy / name).read_bytes())
    content[int(where * len(content)) if where >= 0 else -1] ^= 1
    (copy / name).write_bytes(content)
    report = verify(copy)
    assert "files match the manifest" in failed(report)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_empty_or_linked_file_is_caught(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(b"")
    assert not verify(copy).ok
    (copy / name).unlink()
    assert not verify(copy).ok
    (copy.parent / "elsewhere").write_bytes(content)
    os.symlink(copy.parent / "elsewhere", copy / name)
    assert f"{name} is not a regular file" in failed(verify(copy))["files match the manifest"]


def test_an_extra_file_or_folder_is_caught(copy):
    (copy / "records.npz").write_bytes(b"everything")
    assert "records.npz does not belong" in failed(verify(copy))["files match the manifest"]
    (copy / "records.npz").unlink()
    (copy / "more").mkdir()
    assert "more is not a regular file" in failed(verify(copy))["files match the manifest"]


def test_what_is_no_release_is_reported(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        report = verify(path)
        assert not report.ok
        assert report.stated is None
        assert report.epsilon is None


@pytest.mark.parametrize(
    ("changes", "check", "detail"),
    [
        ({"epsilon": 0.5}, "epsilon recomputed from the ledger", "above the stated 0.5"),
        ({"epsilon": 50.0}, "epsilon recomputed from the ledger", "above the plan's budget 2"),
        ({"epsilon": 50.0}, "card states the same promise", "does not state ε = 50"),
        ({"delta": 1e-4}, "epsilon recomputed from the ledger", "planned for δ = 1e-05"),
        ({"adjacency": "replace_one"}, "epsilon recomputed from the ledger", "planned for δ"),
        ({"private": False}, "privacy statement is complete", "expected a finite epsilon and true"),
        ({"plan_hash": "0" * 64}, "plan is the stated one", "privacy.json states 000"),
    ],
)
def test_a_rewritten_promise_is_caught_though_the_hashes_fit(copy, rewrite, changes, check, detail):
    privacy = json.loads((copy / "privacy.json").read_text())
    rewrite(copy, privacy_json=json.dumps({**privacy, **changes}).encode())
    report = verify(copy)
    assert "files match the manifest" not in failed(report)
    assert detail in failed(report)[check]


@pytest.mark.parametrize("name", FILES[:-1])
@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"epsilon": 1e999}'])
def test_any_content_is_reported_and_never_raises(copy, rewrite, name, content):
    rewrite(copy, **{name.replace(".", "_"): content})
    report = verify(copy)
    assert all("\n" not in check.detail for check in report.checks)
    # A picture shows and proves nothing: with a fitting hash any will do.
    assert report.ok == (name == "preview.png"), failed(report)


def test_a_rewritten_description_is_caught(copy, rewrite):
    spec = json.loads((copy / "spec.json").read_text())
    rewrite(copy, spec_json=json.dumps({**spec, "records": 10**6}).encode())
    assert "not the data description of the plan" in failed(verify(copy))["plan is the stated one"]


@pytest.mark.parametrize("drop", [0, 1, 3, 5])
def test_a_ledger_with_a_line_less_is_caught(copy, rewrite, drop):
    lines = (copy / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    del lines[drop]
    rewrite(copy, ledger_jsonl=b"".join(lines))
    report = verify(copy)
    # The last line can go without breaking the chain; then the ledger states less than privacy.json, which lists all.
    expected = "every charge is stated and in the plan" if drop == 5 else "ledger is whole and its chain holds"
    assert expected in failed(report)


def test_a_torn_ledger_is_caught(copy, rewrite):
    rewrite(copy, ledger_jsonl=(copy / "ledger.jsonl").read_bytes()[:-10])
    assert "ledger is whole and its chain holds" in failed(verify(copy))


def test_a_ledger_of_another_plan_is_caught(copy, rewrite, table_run):
    rewrite(copy, ledger_jsonl=table_run.ledger.read_bytes())
    assert "plan is the stated one" in failed(verify(copy))


def test_a_private_claim_over_a_ledger_without_noise_is_caught(open_run, run, tmp_path):
    run.release(ledger=open_run.ledger).save(tmp_path / "out")
    report = verify(tmp_path / "out")
    assert "costs epsilon inf" in failed(report)["epsilon recomputed from the ledger"]


def test_a_ledger_cut_short_lowers_no_promise(tmp_path, run):
    """Whoever drops its last lines, and states what the rest costs, is told so by the plan."""
    partial = type(run)(tmp_path, run.spec, charges=(1, 0))
    partial.release().save(tmp_path / "less")
    report = verify(tmp_path / "less")
    assert "charges are missing" in failed(report)["epsilon recomputed from the ledger"]
    events, whole = Ledger.read(partial.ledger).events(), certify(run.plan.events(), 1e-5, "add_remove")
    stated = statement(partial.plan, events, whole, run.spec, noise="secure Gaussian")
    partial.release(privacy=stated).save(tmp_path / "whole")
    report = verify(tmp_path / "whole")
    assert report.ok, failed(report)
    assert report.epsilon < report.stated == run.release().epsilon


@pytest.mark.parametrize(("adjacency", "lines"), [("add_remove", 1), ("replace_one", 2)])
def test_what_the_promise_is_conditional_on_is_stated(run, adjacency, lines):
    """Exact counts are outside the promise; adding and removing is worth 2ε, and the worst pair is taken on trust."""
    plan = make_plan(run.plan.stages, 2.0, 1e-5, adjacency, run.plan.public)
    counted = replace(run.spec, class_counts=(30,) * run.spec.num_classes)
    found = certify(plan.events(), 1e-5, adjacency)
    said = [
        statement(plan, plan.events(), found, spec, noise="secure Gaussian")["assumptions"]
        for spec in (run.spec, counted)
    ]
    plain, conditional = ([line for line in one if "promise is about" in line] for one in said)
    assert plain == []
    assert len(conditional) == 1
    assert ("e^" in conditional[0]) == (adjacency == "add_remove")
    assert sum("worst" in line for line in said[0]) == lines - 1


def test_what_an_exchange_costs_is_rounded_up():
    counted = replace(DIGITS, class_counts=(30,) * DIGITS.num_classes)
    (line,) = conditions(counted, 0.9997, 1e-5, "add_remove", "exact")
    assert "at most e^2 and" in line  # 1.9994 to four digits
    assert "addition of at most 3.8e-05" in line  # 3.717e-05


def test_a_release_that_hides_a_condition_is_caught(run, tmp_path):
    counted = type(run)(tmp_path, replace(run.spec, class_counts=(30,) * run.spec.num_classes))
    stated = counted.statement()
    counted.release().save(tmp_path / "told")
    assert verify(tmp_path / "told").ok
    stated["assumptions"] = [line for line in stated["assumptions"] if "promise is about" not in line]
    counted.release(privacy=stated).save(tmp_path / "hidden")
    assert "leaves out what it assumes" in failed(verify(tmp_path / "hidden"))["plan is the stated one"]


def test_stating_only_part_of_what_was_spent_is_caught(run, tmp_path):
    events = Ledger.read(run.ledger).events()[:1]
    stated = statement(run.plan, events, certify(events, 1e-5, "add_remove"), run.spec, noise="secure Gaussian")
    run.release(privacy=stated).save(tmp_path / "out")
    assert "above the stated" in failed(verify(tmp_path / "out"))["epsilon recomputed from the ledger"]
