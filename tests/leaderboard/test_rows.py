"""Rows: every committed one is whole, and every mistake is one clear line."""

from __future__ import annotations

import pytest

from dpcond.errors import InputError
from experiments.leaderboard.__main__ import main
from experiments.leaderboard.row import ROWS, chosen, read_file, read_rows, tuning


def test_every_committed_row_parses():
    rows = read_rows()
    assert len(rows) == sum(len(read_file(path)) for path in ROWS.glob("*.toml"))  # no two rows share a name
    for section in ("frontier", "small", "table", "ceiling", "ablation", "curve"):
        assert any(row.section == section for row in rows.values())


SHOWN = """
mnist-e1-i10 mnist-e1-i50 fashion-e1-i10 fashion-e1-i50 fashion-e10-i50 cifar10-e1-i50 cifar10-e10-i50
digits-e2-auto adult-e1-auto adult-e1-dm adult-e1-merf
"""


@pytest.mark.parametrize("name", SHOWN.split())
def test_the_settings_that_must_be_shown_are_there(name):
    row = read_rows()[name]
    assert row.delta == 1e-5
    assert row.adjacency == "add_remove"
    assert len(row.seeds) >= 3
    assert row.protocol == ("table" if row.data == "adult" else "dc")


def test_a_list_is_a_grid(rows):
    text = (rows / "small.toml").read_text().replace('"merf"', '["merf", "dm"]').replace("2.0", "[0.5, 2.0]")
    (rows / "grid.toml").write_text(text)
    found = chosen(["grid"], rows)
    assert [row.name for row in found] == ["grid-merf-0.5", "grid-merf-2", "grid-dm-0.5", "grid-dm-2"]
    assert {(row.method, row.epsilon) for row in found} == {(m, e) for m in ("merf", "dm") for e in (0.5, 2.0)}
    assert chosen(["grid-dm-2"], rows) == found[3:]


def test_a_row_that_does_not_say_what_was_tuned_has_what_is_said_of_its_method(rows):
    path = rows / "small.toml"
    assert read_file(path)[0].tuned_on == "nothing"
    path.write_text(path.read_text().replace('tuned_on = "nothing"', ""))
    assert read_file(path)[0].tuned_on == tuning()["merf"] == "not recorded"
    assert all(row.tuned_on for row in read_rows().values())
    path.write_text(path.read_text().replace('"merf"', '"mmd"'))
    assert read_file(path)[0].tuned_on == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('data = "digits"', 'data = "digit"', "did you mean 'digits'?"),
        ('data = "digits"', "", "'data' is missing"),
        ("ipc = 2", "ipcs = 2", "'ipcs' is unknown; did you mean 'ipc'?"),
        ('protocol = "quick"', 'protocol = "quik"', "did you mean 'quick'?"),
        ("epsilon = 2.0", "epsilon = -1.0", "epsilon = -1.0"),
        ("epsilon = 2.0", "epsilon = []", "an empty list"),
        ("ipc = 2", 'ipc = "two"', "ipc = 'two'"),
        ("seeds = [0, 1]", "seeds = [1, 1]", "expected different numbers"),
        ('section = "small"', 'section = "big"', "section = 'big'"),
        ('section = "small"', "section = small", "not valid TOML"),
        ('"merf"', '"random-real"', 'say privacy = "none"'),
    ],
)
def test_bad_rows_are_one_line(rows, old, new, said):
    path = rows / "small.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        read_file(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "fashion-e1-i1"], "did you mean 'fashion-e1-i10'?"),
        (["run", "digits-e2-dm", "--protocol", "quik"], "did you mean 'quick'?"),
        (["run", "digits-e2-dm", "--seeds", "0;1"], "expected numbers"),
        (["run", "digits-e2-dm", "--models", "convnet,lent"], "did you mean 'lenet'?"),
        (["run", "nowhere.toml"], "No such file"),
    ],
)
def test_bad_commands_are_status_2_and_one_line(arguments, said, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert err.count("\n") == 1
    assert out == ""
