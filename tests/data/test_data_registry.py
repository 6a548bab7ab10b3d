import numpy as np
import pytest

from dpcond.data import SOURCES, data_root, describe, describe_spec, load
from dpcond.errors import InputError


def test_every_dataset_is_described():
    rows = describe()
    assert (
        [r["name"] for r in rows] == ["digits", "mnist", "fashion-mnist", "cifar10", "svhn", "adult"] == list(SOURCES)
    )
    assert all(all(r.values()) for r in rows)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("fashion-minst", "fashion-mnist"),
        ("CIFAR10", "cifar10"),
        ("cifar-10", "cifar10"),
        ("fashionmnist", "fashion-mnist"),
    ],
)
def test_unknown_name_says_the_nearest(wrong, near):
    with pytest.raises(InputError, match=f"unknown dataset '{wrong}': did you mean '{near}'"):
        load(wrong)


def test_unknown_path_lists_what_there_is():
    with pytest.raises(InputError, match=r"expected one of digits, mnist, .* or a path that exists"):
        load("/nowhere/zzzz.npz")


@pytest.mark.parametrize("argument", [{"records": 5}, {"classes": 3}, {"schema": "s.toml"}, {"test": "t.npz"}])
def test_a_built_in_declares_itself(argument):
    with pytest.raises(InputError, match="digits declares it itself; leave it out"):
        load("digits", **argument)


def test_the_description_alone_needs_no_files(tmp_path):
    assert describe_spec("fashion-mnist", tmp_path) == SOURCES["fashion-mnist"].spec
    assert describe_spec("digits") == load("digits").spec
    assert describe_spec("digits", public_counts=True) == load("digits", public_counts=True).spec
    with pytest.raises(InputError, match="declares it itself"):
        describe_spec("digits", records=5)
    np.savez(tmp_path / "own.npz", x=np.zeros((4, 8, 8), np.uint8), y=[0, 1, 0, 1])
    assert describe_spec(tmp_path / "own.npz", records=4, classes=2).shape == (1, 8, 8)


def test_root_is_argument_then_variable_then_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DPCOND_DATA", str(tmp_path / "variable"))
    assert data_root(tmp_path / "argument") == tmp_path / "argument"
    assert data_root() == tmp_path / "variable"
    monkeypatch.delenv("DPCOND_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root() == tmp_path / "dpcond"
