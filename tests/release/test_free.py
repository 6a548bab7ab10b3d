"""A release condensed once more: it keeps its source's promise, and no way leads from real records to that promise."""

import hashlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import dpcond
from dpcond import cli, pipeline
from dpcond.auditing import audit_release
from dpcond.config import load_config
from dpcond.errors import InputError
from dpcond.release import Release, reuse, verify

TINY = {"frequencies": 16, "steps": 3}
FREE = {"method": "merf", "privacy": "free", "ipc": 1, "options": TINY}


@pytest.fixture(scope="module")
def digits():
    return dpcond.load("digits")


@pytest.fixture(scope="module")
def source(digits, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("source")
    dpcond.condense(digits, method="merf", epsilon=2.0, ipc=3, options=TINY, out=out)
    return out / "release"


@pytest.fixture(scope="module")
def second(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("second")
    dpcond.condense(source, out=out, **FREE)
    return out / "release"


@pytest.fixture
def copy(source, tmp_path):
    return shutil.copytree(source, tmp_path / "copy")


@pytest.fixture
def tampered(second, tmp_path):
    return shutil.copytree(second, tmp_path / "tampered")


def said(path, name):
    return json.loads((path / name).read_text())


def failed(path):
    return {check.name: check.detail for check in verify(path).checks if not check.ok}


def refused(source, match, tmp_path, **changes):
    with pytest.raises(InputError, match=match) as error:
        dpcond.condense(source, **{**FREE, "out": tmp_path / "out", **changes})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def command(*arguments):
    result = CliRunner().invoke(cli.app, ["condense", *map(str, arguments)])
    assert isinstance(result.exception, InputError | None), result.exception
    return str(result.exception or "")


# -- what it gives -------------------------------------------------------------------------------------------------


def test_promise_plan_ledger_and_description_are_those_of_the_source(source, second):
    report = verify(second)
    assert report.ok, failed(second)
    assert report.epsilon == report.stated == verify(source).epsilon == 2.0
    (step,) = said(second, "privacy.json").pop("made_from")
    privacy = said(second, "privacy.json")
    assert privacy["records_sha256"] != step["records_sha256"]
    del privacy["made_from"]
    assert {**privacy, "records_sha256": step["records_sha256"]} == said(source, "privacy.json")
    for name in ("ledger.jsonl", "spec.json"):
        assert (second / name).read_bytes() == (source / name).read_bytes()
    assert step["source"] == hashlib.sha256((source / "manifest.json").read_bytes()).hexdigest()
    assert (step["method"], step["options"]["ipc"]) == ("merf", 1)
    card = (second / "card.md").read_text()
    assert "**ε = 2 (δ = 1e-05)**" in card
    assert step["source"] in card
    assert "costs nothing more" in card
    assert "applied, without noise, to the records and hard labels" in card


def test_the_run_folder_holds_the_release_alone(second):
    assert [p.name for p in second.parent.iterdir()] == ["release"]


def test_a_release_object_and_its_path_give_the_same_bytes(source, second, tmp_path):
    dpcond.condense(Release.load(source), out=tmp_path / "out", **FREE)
    for file in second.iterdir():
        assert (tmp_path / "out" / "release" / file.name).read_bytes() == file.read_bytes()


def test_a_third_release_carries_both_steps(source, second, tmp_path):
    third = dpcond.condense(second, out=tmp_path / "out", **{**FREE, "method": "auto"})
    assert not failed(tmp_path / "out" / "release")
    names = [hashlib.sha256((path / "manifest.json").read_bytes()).hexdigest() for path in (source, second)]
    assert [step["source"] for step in third.privacy["made_from"]] == names
    assert third.epsilon == 2.0


def test_a_source_from_before_records_were_named(copy, rewrite, tmp_path):
    privacy = said(copy, "privacy.json")
    del privacy["records_sha256"]
    rewrite(copy, privacy_json=(json.dumps(privacy, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode())
    assert verify(copy).ok
    dpcond.condense(copy, out=tmp_path / "out", **FREE)
    assert not failed(tmp_path / "out" / "release")


def test_what_is_not_private_stays_so(digits, tmp_path):
    dpcond.condense(digits, method="merf", privacy="none", ipc=2, options=TINY, out=tmp_path / "open")
    again = dpcond.condense(tmp_path / "open" / "release", out=tmp_path / "out", **FREE)
    assert not again.private
    report = verify(tmp_path / "out" / "release")
    assert report.ok
    assert report.epsilon == math.inf
    assert "That release promises nothing" in (tmp_path / "out" / "release" / "card.md").read_text()


def test_a_table_is_condensed_once_more(table_run, tmp_path):
    again = dpcond.condense(table_run.release(), out=tmp_path / "out", **FREE)
    assert not failed(tmp_path / "out" / "release")
    assert list(again.frame().columns) == list(table_run.release().frame().columns)
    assert again.spec == table_run.spec


def test_a_class_without_a_record_is_refused(run, tmp_path):
    refused(run.release(y=torch.zeros(20, dtype=torch.int64)), "no record of class '1'", tmp_path)


def test_a_sentence_in_a_config(source, tmp_path, monkeypatch):
    monkeypatch.setattr("dpcond.data.load", None)  # no data are loaded
    config = tmp_path / "free.toml"
    config.write_text('method = "merf"\nipc = 1\n[privacy]\nmode = "free"\n[options]\nsteps = 3\n')
    assert command("--data", source, "--config", config, "--out", tmp_path / "out") == ""
    assert verify(tmp_path / "out" / "release").ok


# -- real records never get here -----------------------------------------------------------------------------------


def test_data_are_refused(digits, tmp_path):
    refused(digits, "asks nothing of records", tmp_path)
    refused(digits.records, "Records as data", tmp_path)
    refused(digits.records.x, "Tensor as data", tmp_path)
    with pytest.raises(InputError, match="asks nothing of records"):
        pipeline.plan(digits.spec, load_config(given={"privacy.mode": "free"}))


@pytest.mark.parametrize("name", ["digits", "nowhere"])
def test_a_name_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(name, "not a verified release", tmp_path)
    assert "not a verified release" in command("--data", name, "--privacy", "free", "--out", tmp_path / "out")


def test_files_and_folders_of_records_are_refused_and_not_copied(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", None)
    (tmp_path / "images" / "cat").mkdir(parents=True)
    np.savez(tmp_path / "records.npz", x=digits.records.x.numpy(), y=digits.records.y.numpy())
    refused(tmp_path / "images", "not a verified release", tmp_path)
    refused(tmp_path / "records.npz", "not a verified release", tmp_path)


def real(folder, digits, count=None):
    """The tensors of a release, with real records in place of its own."""
    held = Release.load(folder)
    x, _ = digits.records.batch(slice(0, count or len(held)))
    held.x = x
    return held, held._tensors()


def test_a_release_whose_data_were_swapped_is_refused(copy, digits, tmp_path):
    (copy / "data.safetensors").write_bytes(real(copy, digits)[1])
    refused(copy, "data.safetensors does not match its hash", tmp_path)


def test_data_swapped_after_verification_are_not_read(source, second, copy, digits, tmp_path, monkeypatch):
    check, swapped = reuse.verify, real(copy, digits)[1]

    def verify_then_swap(folder):
        report = check(folder)
        (copy / "data.safetensors").write_bytes(swapped)
        return report

    monkeypatch.setattr(reuse, "verify", verify_then_swap)
    made = dpcond.condense(copy, **FREE)
    assert torch.equal(made.x, Release.load(second).x)


def test_a_pretender_is_refused(copy, rewrite, digits, tmp_path):
    """A folder with a fitting manifest: real records, all records, another description, no or another's ledger, a stray or
    linked file."""
    kept = {p.name: p.read_bytes() for p in copy.iterdir()}

    def restore():
        shutil.rmtree(copy)
        copy.mkdir()
        for name, content in kept.items():
            (copy / name).write_bytes(content)

    held, swapped = real(copy, digits)
    rewrite(copy, data_safetensors=swapped)
    refused(copy, "not the records that its promise was made for", tmp_path)
    restore()
    held.x, held.y = digits.records.batch(slice(0, 100))
    privacy = {**held.privacy, "records_sha256": held._digest()}
    rewrite(copy, data_safetensors=held._tensors(), privacy_json=json.dumps(privacy).encode())
    refused(copy, "100 records, where its options make 30", tmp_path)
    restore()
    rewrite(copy, spec_json=json.dumps({**json.loads(kept["spec.json"]), "records": 99}).encode())
    refused(copy, "not the data description of the plan", tmp_path)
    restore()
    (copy / "ledger.jsonl").unlink()
    rewrite(copy)
    refused(copy, "a private release carries its ledger", tmp_path)
    restore()
    dpcond.condense(digits, method="merf", privacy="none", ipc=3, options=TINY, out=tmp_path / "open")
    stolen = {"ledger_jsonl": (tmp_path / "open" / "release" / "ledger.jsonl").read_bytes()}
    rewrite(copy, **stolen)
    refused(copy, "plan|ledger|charged", tmp_path)
    restore()
    (copy / "records.npz").write_bytes(b"everything")
    refused(copy, "records.npz does not belong", tmp_path)
    restore()
    (copy / "card.md").unlink()
    (copy / "card.md").symlink_to(tmp_path / "elsewhere")
    refused(copy, "card.md is not a regular file", tmp_path)


def test_a_promise_cannot_be_put_on_a_release_without_one(digits, source, tmp_path, rewrite):
    dpcond.condense(digits, method="merf", privacy="none", ipc=3, options=TINY, out=tmp_path / "open")
    folder = tmp_path / "open" / "release"
    rewrite(folder, privacy_json=(source / "privacy.json").read_bytes(), card_md=(source / "card.md").read_bytes())
    refused(folder, "not a verified release", tmp_path)


def test_a_release_object_whose_records_changed_is_refused(source, digits, tmp_path):
    x, _ = digits.records.batch(slice(0, 30))
    assigned, written = Release.load(source), Release.load(source)
    assigned.x = x
    written.x.copy_(x)
    for release in (assigned, written):
        refused(release, "changed since it was made", tmp_path)
        with pytest.raises(InputError, match="changed since it was made"):
            release.save(tmp_path / "saved")
    with pytest.raises(InputError, match="not the records that its promise was made for"):
        replace(Release.load(source), x=x)


def test_a_run_without_noise_cannot_be_resumed_into_a_promise(digits, source, tmp_path, monkeypatch):
    out = tmp_path / "run"
    monkeypatch.setattr(pipeline, "_synthesise", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dpcond.condense(digits, method="merf", privacy="none", options=TINY, out=out)
    monkeypatch.undo()
    for data in (source, digits):
        for resume in (True, False):
            with pytest.raises(InputError, match=r"nothing to resume|asks nothing of records|is not empty"):
                dpcond.condense(data, out=out, resume=resume, **FREE)
    assert not (out / "release").exists()


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        ["--epsilon", "1"],
        ["--delta", "1e-5"],
        ["--adjacency", "add_remove"],
        ["--noise", "gaussian"],
        ["--set", "privacy.epsilon=1"],
        ["--records", "9"],
        ["--classes", "10"],
        ["--public-counts"],
        ["--resume"],
    ],
)
def test_conflicting_settings_are_refused(source, given, tmp_path):
    text = command("--data", source, "--privacy", "free", *given, "--out", tmp_path / "out")
    assert any(word in text for word in ("mode free keeps", "declares its data itself", "nothing to resume")), text
    assert not (tmp_path / "out").exists()


def test_a_release_as_data_needs_the_word_free(source, tmp_path):
    assert "--privacy free" in command("--data", source, "--out", tmp_path / "out")
    for privacy in ("dp", "none"):
        refused(source, "needs privacy='free'", tmp_path, privacy=privacy)
        refused(Release.load(source), "needs privacy='free'", tmp_path, privacy=privacy)


def test_the_source_is_left_alone(source, tmp_path):
    refused(source, "inside the release", tmp_path, out=source / "sub")
    with pytest.raises(InputError, match="is not empty"):
        dpcond.condense(source, out=source.parent, **FREE)
    assert not failed(source)


def test_the_procedure_that_asked_the_data_is_the_sources(second, digits, tmp_path):
    with pytest.raises(InputError, match="made from another release"):
        audit_release(second, digits, tmp_path, threat="procedure")


# -- verification of what was made ---------------------------------------------------------------------------------

LINEAGE, PLAN = "promise is the one of its source", "plan is the stated one"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda p: p["made_from"][0].update(method="dc"), LINEAGE),
        (lambda p: p["made_from"][0]["options"].update(ipc=2), LINEAGE),
        (lambda p: p["made_from"][0].update(source="0" * 64), LINEAGE),
        (lambda p: p["made_from"][0]["manifest"]["files"].pop("ledger.jsonl"), LINEAGE),
        (lambda p: p["made_from"][0].update(note="signed by the data holder"), LINEAGE),
        (lambda p: p["made_from"][0].update(records_sha256="0" * 64), LINEAGE),
        (lambda p: p["made_from"].append(p["made_from"][0]), LINEAGE),
        (lambda p: p.update(made_from=[]), LINEAGE),
        (lambda p: p.update(made_from=None), LINEAGE),
        (lambda p: p.pop("made_from"), PLAN),  # its options are not those that the plan names
        (lambda p: p.update(epsilon=1.0), LINEAGE),
        (lambda p: p.update(assumptions=[*p["assumptions"], "the moon is made of cheese"]), LINEAGE),
    ],
)
def test_a_rewritten_step_is_caught_though_the_hashes_fit(tampered, rewrite, change, check):
    privacy = said(tampered, "privacy.json")
    change(privacy)
    rewrite(tampered, privacy_json=json.dumps(privacy).encode())
    assert check in failed(tampered)


def test_another_ledger_description_or_card_is_caught(tampered, rewrite, run, second):
    kept = {p.name: p.read_bytes() for p in second.iterdir()}
    rewrite(tampered, ledger_jsonl=run.ledger.read_bytes())
    assert {LINEAGE, PLAN} <= set(failed(tampered))
    spec = {**json.loads(kept["spec.json"]), "source": "elsewhere"}
    rewrite(tampered, ledger_jsonl=kept["ledger.jsonl"], spec_json=json.dumps(spec).encode())
    assert {LINEAGE, PLAN} <= set(failed(tampered))
    source = json.loads(kept["privacy.json"])["made_from"][0]["source"]
    card = kept["card.md"].replace(source.encode(), b"unknown")
    rewrite(tampered, spec_json=kept["spec.json"], card_md=card)
    assert "does not name the source" in failed(tampered)["card states the same promise"]


def test_other_options_than_the_plans_are_caught(copy, rewrite):
    held = Release.load(copy)
    held.options = {**held.options, "steps": 4}
    rewrite(copy, data_safetensors=held._tensors())
    assert failed(copy) == {PLAN: "the release names another steps than the plan"}
