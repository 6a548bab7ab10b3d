"""The command line as a user meets it: the main path, one clear line for every bad input, status codes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

import dpcond as dpcond_package
from dpcond import cli
from dpcond.errors import InputError

SMALL = ["--method", "merf", "--set", "frequencies=32", "--set", "steps=5", "--ipc", "2"]


def dpcond(*arguments):
    """Run a command in this process: (status, what it said). Bad input is InputError, as ``main`` turns into status 2."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if isinstance(result.exception, InputError):
        return 2, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    status, said = dpcond("condense", "--data", "digits", *SMALL, "--out", out)
    assert status == 0, said
    return out


def test_condense_writes_a_release_that_verifies(run):
    status, said = dpcond("verify", run / "release")
    assert status == 0
    assert "verified: ε = " in said
    assert json.loads((run / "release" / "privacy.json").read_text())["epsilon"] <= 1.0
    assert (run / "release" / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_a_tampered_ledger_is_status_1(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run / "release", copy)
    ledger = copy / "ledger.jsonl"
    ledger.write_text("\n".join(ledger.read_text().splitlines()[:-1]) + "\n")
    status, said = dpcond("verify", copy)
    assert status == 1
    assert "NOT VERIFIED" in said


def test_evaluate_and_export(run, tmp_path):
    status, said = dpcond(
        "evaluate", run / "release", "--data", "digits", "--seeds", 1, "--no-baselines", "--json", tmp_path / "m.json"
    )
    assert status == 0, said
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["release"]["protocol"]["name"] == "quick"
    assert 0 <= metrics["release"]["models"]["convnet"]["mean"] <= 1
    status, _ = dpcond("export", run / "release", "--to", "npz", "--out", tmp_path / "s.npz")
    assert status == 0
    assert np.load(tmp_path / "s.npz")["x"].shape == (20, 1, 8, 8)


def test_plan_spends_nothing_and_states_the_price(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, said = dpcond("plan", "--data", "digits", *SMALL)
    assert status == 0
    assert "embedding" in said
    assert "epsilon = " in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["datasets", "methods", "doctor"])
def test_lists(command):
    status, said = dpcond(command)
    assert status == 0
    assert len(said.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "digitz"], "did you mean 'digits'"),
        (["--data", "digits", "--method", "dmm"], "did you mean 'dm'"),
        (["--data", "digits", "--epsilon", "0"], "epsilon 0"),
        (["--data", "digits", "--epsilon", "-1"], "epsilon -1"),
        (["--data", "digits", "--epsilon", "nan"], "epsilon"),
        (["--data", "digits", "--delta", "0.5"], "delta 0.5"),
        (["--data", "digits", "--delta", "0.00075"], "1,437 declared records"),
        (["--data", "digits", "--ipc", "0"], "ipc"),
        (["--data", "digits", "--set", "stepz=3"], "did you mean 'steps'"),
        (["--data", "digits", "--set", "privacy.epsilonn=3"], "did you mean 'epsilon'"),
        (["--data", "digits", "--set", "epsilon=3"], "write privacy.epsilon"),
        (["--data", "digits", "--set", "steps"], "key=value"),
        (["--data", "digits", "--set", "steps=many"], "steps"),
        (["--data", "digits", "--config", "nowhere.toml"], "nowhere.toml"),
        (["--data", "digits", "--adjacency", "both"], "adjacency"),
        (["--data", "digits", "--privacy", "some"], "privacy.mode"),
        (["--data", "digits", "--device", "tpu"], "tpu"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(arguments, says, tmp_path):
    method = [] if "--method" in arguments else ["--method", "merf"]
    status, said = dpcond("condense", *arguments, *method, "--out", tmp_path / "out")
    assert status == 2
    assert says in said
    assert "\n" not in said.strip()
    assert not (tmp_path / "out" / "release").exists()
    assert not (tmp_path / "out" / "ledger.jsonl").exists()


def test_python_has_the_settings_of_the_command_line():
    options = {"frequencies": 16, "steps": 2}
    data = dpcond_package.load("digits")
    made = dpcond_package.condense(data, "merf", ipc=1, adjacency="replace_one", noise="discrete", options=options)
    assert made.privacy["adjacency"] == "replace_one"
    assert "discrete" in made.privacy["noise"]["source"].lower()
    with pytest.raises(InputError, match="adjacency"):
        dpcond_package.condense(data, "merf", adjacency="both")


def test_a_setting_that_an_audit_would_not_heed_is_refused(run, tmp_path):
    status, said = dpcond("audit", run / "release", "--data", "digits", "--set", "steps=5", "--out", tmp_path / "audit")
    assert (status, list(tmp_path.iterdir())) == (2, [])
    assert "nothing is condensed anew" in said


def test_an_interrupted_run_says_how_to_go_on(tmp_path, monkeypatch):
    from dpcond.methods import merf

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(merf, "match_means", interrupted)
    result = CliRunner().invoke(cli.app, ["condense", "--data", "digits", *SMALL, "--out", str(tmp_path / "run")])
    assert result.exit_code == 130
    assert f"{tmp_path / 'run'} holds what was spent" in result.output.replace("\n", "")
    assert "--resume" in result.output


def test_a_finished_run_is_left_alone(run):
    before = (run / "ledger.jsonl").read_bytes()
    status, said = dpcond("condense", "--data", "digits", *SMALL, "--out", run)
    assert (status, "already exists" in said) == (2, True)
    assert (run / "ledger.jsonl").read_bytes() == before


def test_a_resumed_run_with_a_changed_budget_is_refused(run, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(run / "ledger.jsonl", out)
    before = (out / "ledger.jsonl").read_bytes()
    status, said = dpcond("condense", "--data", "digits", *SMALL, "--out", out)
    assert (status, "--resume" in said) == (2, True)
    status, said = dpcond("condense", "--data", "digits", *SMALL, "--epsilon", "2", "--out", out, "--resume")
    assert (status, "epsilon" in said) == (2, True)
    status, said = dpcond("condense", "--data", "digits", *SMALL, "--set", "steps=6", "--out", out, "--resume")
    assert (status, "steps" in said) == (2, True)
    assert (out / "ledger.jsonl").read_bytes() == before


def test_what_is_no_folder_no_run_or_the_wrong_thing_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, says in (
        (("condense", "--data", "digits", *SMALL, "--out", tmp_path / "file"), "nothing was spent"),
        (("condense", "--data", "digits", *SMALL, "--out", tmp_path / "new", "--resume"), "no interrupted run"),
        (("verify", tmp_path / "nothing"), "no such folder"),
        (("plan", "--data", run / "release", "--privacy", "free"), "there is no plan"),
        (("evaluate", run / "release", "--data", run / "release"), "is a release"),
        (("audit", run / "release", "--data", "digits", "--out", tmp_path / "file" / "audit"), "cannot write"),
    ):
        status, said = dpcond(*arguments)
        assert (status, says in said.replace("\n", "")) == (2, True), said
    assert not (tmp_path / "new").exists()


def test_a_read_only_folder_is_refused_before_anything_is_spent(tmp_path):
    if os.geteuid() == 0:
        target = tmp_path / "file"
        target.write_text("")  # root may write anywhere; a file where a folder is needed fails for everybody
    else:
        target = tmp_path / "locked"
        target.mkdir(mode=0o500)
    status, said = dpcond("condense", "--data", "digits", *SMALL, "--out", target / "out")
    assert status == 2
    assert "nothing was spent" in said


def test_without_privacy_equal_seeds_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        status, said = dpcond("condense", "--data", "digits", *SMALL, "--privacy", "none", "--out", tmp_path / name)
        assert status == 0
        assert "NOT PRIVATE" in said
    files = sorted(p.name for p in (tmp_path / "a" / "release").iterdir())
    for name in files:
        assert (tmp_path / "a" / "release" / name).read_bytes() == (tmp_path / "b" / "release" / name).read_bytes(), (
            name
        )
    assert "NOT PRIVATE" in (tmp_path / "a" / "release" / "card.md").read_text()
    assert "noisy answer" not in (tmp_path / "a" / "release" / "card.md").read_text()
    status, said = dpcond("verify", tmp_path / "a" / "release")
    assert (status, "verified: NOT PRIVATE" in said) == (0, True)


def test_help_answers_without_loading_torch():
    code = "import sys; sys.argv = ['dpcond', '--help']\ntry:\n from dpcond.cli import main; main()\nfinally:\n assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "condense" in done.stdout


def test_status_2_and_one_line_on_stderr():
    done = subprocess.run(
        [sys.executable, "-m", "dpcond.cli", "plan", "--data", "digitz"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("dpcond: ")


@pytest.mark.slow
def test_killed_anywhere_a_run_resumes_and_never_spends_more_than_planned(tmp_path):
    """kill -9 at several moments; the resumed run ends with a release that verifies, within its plan."""
    out = tmp_path / "out"
    options = ["--method", "dm", "--ipc", "1", "--set", "networks=30", "--set", "width=4", "--set", "steps=20"]
    command = [sys.executable, "-m", "dpcond.cli", "condense", "--data", "digits", *options, "--out", str(out)]
    for wanted in (2, 11, 24):
        ledger = out / "ledger.jsonl"
        go_on = ["--resume"] if ledger.exists() else []
        process = subprocess.Popen([*command, *go_on], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if ledger.exists() and ledger.read_bytes().count(b'"charge"') >= wanted:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "ledger.jsonl").read_bytes().count(b'"charge"') == 31  # 30 networks and the class counts
    assert dpcond("verify", out / "release")[0] == 0
