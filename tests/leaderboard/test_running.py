"""Measuring a row: what is finished is kept, what is partial says so, and a changed row is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from dpcond.errors import InputError
from dpcond.release import verify
from experiments.leaderboard import measuring
from experiments.leaderboard.__main__ import main
from experiments.leaderboard.cells import accuracy
from experiments.leaderboard.results import RESULTS, run_row
from experiments.leaderboard.row import read_file


@pytest.fixture
def run(rows, tmp_path):
    """Measure ``small`` into temporary folders; the lines said come back with the result."""

    def go(**options):
        (row,) = read_file(rows / "small.toml")
        said = []
        result = run_row(row, tmp_path / "runs", results=tmp_path / "results", say=said.append, **options)
        return result, said

    return go


def test_a_row_is_condensed_verified_and_judged_once(run, tmp_path):
    result, _ = run(seeds=(0,))
    assert result == json.loads((tmp_path / "results" / "small.json").read_text())
    assert result["verified"] is True
    assert result["seeds"] == [0]
    assert result["seeds_asked"] == [0, 1]
    assert result["epsilon_stated"] <= result["epsilon"] == 2.0
    assert {"exact", "pld", "rdp"} <= set(result["epsilon_by_accountant"])
    assert result["protocol"] == "quick"
    assert result["protocol_settings"]["epochs"] == 300
    assert set(result["accuracy"]) == {"mean", "std", "values"}
    assert result["accuracy_soft"] is None  # merf learns no soft labels
    assert min(result["condense_seconds"], result["evaluate_seconds"], result["peak_mib"]) > 0
    assert "core" in result["machine"]
    release = tmp_path / "runs" / "small" / "seed-0" / "run" / "release"
    assert result["releases"] == {"0": measuring.fingerprint(release)}
    assert verify(release).ok
    assert accuracy(result["accuracy"], 2).endswith("(1 of 2 seeds)")

    again, said = run()  # goes on with seed 1 and leaves seed 0 alone
    assert again["seeds"] == [0, 1]
    assert again["runs"][0] == result["runs"][0]
    assert not any("seed 0" in line for line in said)
    assert accuracy(again["accuracy"], 2).count("±") == 1
    assert run()[1] == []


def test_an_interrupted_seed_goes_on(run, monkeypatch):
    """A seed that was condensed, and not judged, is judged without being condensed again."""

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "judge", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(seeds=(0,))
    result, said = run(seeds=(0,))
    assert said == ["seed 0: training convnet on hard labels, protocol quick"]
    assert result["condense_seconds"] > 0


def test_a_release_that_does_not_verify_is_refused(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "judge", lambda *arguments: {"accuracy": 0.5, "protocol": {}})
        run(seeds=(0,))
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "runs" / "small" / "seed-0" / "run" / "release" / "card.md").write_text("another promise")
    with pytest.raises(measuring.NotVerified, match=r"card\.md"):
        run(seeds=(0,))
    assert not (tmp_path / "results").exists()


def test_a_changed_row_and_another_protocol_are_kept_apart(run, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "judge", lambda *arguments: {"accuracy": 0.5, "protocol": {"name": "stub"}})
    run(seeds=(0,))
    run(seeds=(0,), protocol="dc")  # the same release, another file
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["small.dc.json", "small.json"]
    assert len(list((tmp_path / "runs" / "small").iterdir())) == 1
    path = rows / "small.toml"
    path.write_text(path.read_text().replace("epsilon = 2.0", "epsilon = 1.0"))
    with pytest.raises(InputError, match="another epsilon"):
        run()
    shutil.rmtree(tmp_path / "results")
    with pytest.raises(InputError, match="another plan"):  # the old release does not pass for the new row's
        run(seeds=(0,))


def test_a_seed_is_not_added_to_those_of_another_plan(run, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "judge", lambda *arguments: {"accuracy": 0.5, "protocol": {"name": "stub"}})
    run(seeds=(0,))
    path = tmp_path / "results" / "small.json"
    kept = path.read_text()
    result = json.loads(kept)
    result["runs"][0]["plan_hash"] = "0" * 64  # as after a change of a default
    path.write_text(json.dumps(result))
    with pytest.raises(InputError, match="seed 0 was condensed by an earlier version"):
        run(seeds=(1,))
    assert not (tmp_path / "runs" / "small" / "seed-1").exists()
    path.write_text(kept)
    assert run(seeds=(1,))[0]["seeds"] == [0, 1]


def test_soft_labels_are_judged_apart(run, tmp_path, monkeypatch):
    import torch

    from dpcond.release import Release

    monkeypatch.setattr(measuring, "judge", lambda *arguments: {"accuracy": 0.5, "protocol": {}})
    run(seeds=(0,))
    shutil.rmtree(tmp_path / "results")
    path = tmp_path / "runs" / "small" / "seed-0" / "run" / "release"
    release = Release.load(path)
    promise = {
        name: value for name, value in release.privacy.items() if name != "records_sha256"
    }  # of hard labels alone
    release = replace(release, soft_labels=torch.full((20, 10), 0.1), privacy=promise)
    release.save(path, overwrite=True)
    seen = []

    def judge(row, seed, examples, data, model, device, say):
        seen.append(examples.y.shape)
        return {"accuracy": 0.25 * len(seen), "protocol": {}}

    monkeypatch.setattr(measuring, "judge", judge)
    result, _ = run(seeds=(0,))
    assert seen == [(20,), (20, 10)]
    assert (result["accuracy"]["mean"], result["accuracy_soft"]["mean"]) == (0.25, 0.5)


def test_condensing_and_judging_say_how_far_they_are(run, monkeypatch):
    seen = []
    monkeypatch.setattr(measuring, "every_minute", lambda seed, say: lambda *progress: seen.append(progress))
    run(seeds=(0,))
    messages = [message for _, _, message in seen]
    assert messages.index("matching") < messages.index("training convnet")
    done, total, message = seen[-1]
    assert (done, message) == (total, "training convnet")


def test_a_teacher_is_certified_from_its_ledger_and_judged_by_its_own_predictions(run, rows):
    path = rows / "small.toml"
    text = path.read_text().replace('"merf"', '"teacher"').replace('"quick"', '"direct"\nmodels = ["teacher"]')
    path.write_text(text.replace("frequencies = 32, steps = 5", "steps = 3"))
    result, _ = run(seeds=(0,))
    assert result["verified"] is True
    assert result["private"] is True
    assert result["epsilon_stated"] <= 2.0
    assert result["releases"] == {}
    assert 0 < result["accuracy"]["mean"] < 1


def test_real_records_are_stamped_not_private(run, rows):
    path = rows / "small.toml"
    text = (
        path.read_text().replace('"merf"', '"random-real"\nprivacy = "none"').replace("frequencies = 32, steps = 5", "")
    )
    path.write_text(text)
    result, _ = run(seeds=(0,))
    assert (result["private"], result["verified"], result["epsilon"]) == (False, None, None)
    assert result["epsilon_by_accountant"] == {}


def test_a_row_is_measured_anew_into_another_folder(tmp_path, monkeypatch):
    """Seeds kept with the code count as done there, and only there."""
    row = 'section = "frontier"\ndata = "digits"\nmethod = "random-real"\nprivacy = "none"\nipc = 10\nprotocol = "quick"\nseeds = [0]\n'
    (tmp_path / "digits-real.toml").write_text(row)
    monkeypatch.setattr(measuring, "judge", lambda *a: {"accuracy": 0.5, "protocol": {"name": "quick"}, "seconds": 1.0})
    for folder in ("first", "second", "first"):
        arguments = ["run", str(tmp_path / "digits-real.toml"), "--results", str(tmp_path / folder)]
        assert main([*arguments, "--out", str(tmp_path / "runs")]) == 0
    kept = [json.loads((tmp_path / folder / "digits-real.json").read_text()) for folder in ("first", "second")]
    assert [one["accuracy"]["values"] for one in kept] == [[0.5], [0.5]]
    assert not (RESULTS / "digits-real.json").exists()
