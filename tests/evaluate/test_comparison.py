"""A release beside its baselines, each stamped with what it promises."""

from dataclasses import replace

import pytest
import torch

from dpcond.config import load_config
from dpcond.data import Data, Records
from dpcond.errors import InputError
from dpcond.evaluate import protocols
from dpcond.evaluate.comparison import compare
from dpcond.pipeline import run
from dpcond.spec import DataSpec

SPEC = DataSpec("toy", "image", (1, 8, 8), ("dark", "light"), 300, class_counts=(150, 150))
TINY = protocols.Protocol("tiny", 3, width=4, depth=2)


def two_shades(n, seed):
    """Dark and light images with some noise: any network tells them apart."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    x = (60 + 130 * y.view(-1, 1, 1, 1) + torch.randint(-40, 40, (n, 1, 8, 8), generator=g)).to(torch.uint8)
    return Records(x, y, SPEC)


@pytest.fixture(scope="module")
def data():
    return Data(SPEC, two_shades(300, 0), two_shades(100, 1))


@pytest.fixture(scope="module")
def release(data):
    config = load_config(given={"method": "merf", "ipc": 4, "options": {"frequencies": 32, "steps": 30}})
    return run(data, config)


def test_every_number_comes_with_its_promise(data, release, monkeypatch):
    monkeypatch.setitem(protocols.PROTOCOLS, "tiny", TINY)
    monkeypatch.setattr("dpcond.evaluate.baselines.FULL", replace(TINY, name="full"), raising=False)
    found = compare(release, data, "tiny", seeds=1)
    stamps = {row["what"]: row["privacy"] for row in found["table"]}
    assert stamps["random real subset"] == stamps["all real records"] == "not private"
    assert stamps["release"] == stamps["DP mean images"] == stamps["DP linear head"] == f"ε = {release.epsilon:g}"
    assert stamps["chance"] == "yes"
    judged = {row["what"]: (row["protocol"], row["seeds"]) for row in found["table"]}
    assert judged["release"] == judged["random real subset"] == ("tiny", "1")
    assert judged["all real records"] == ("full", "1"), "a number stands beside the protocol that it was measured by"
    assert judged["chance"] == ("-", "-")
    assert found["release"]["protocol"]["name"] == "tiny"
    assert found["DP mean images"]["note"].startswith("spends")
    assert found["chance"]["mean"] == 0.5


def test_a_table_is_judged_by_the_classifiers_asked_for_and_by_no_protocol():
    spec = DataSpec("rows", "table", (3,), ("no", "yes"), 60, mean=(0.5,), std=(0.5,))
    x, y = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
    x[:, 0] = (x[:, 0] + y) / 2
    data = Data(spec, Records(x, y, spec), Records(x, y, spec))
    made = run(data, load_config(given={"method": "merf", "ipc": 4, "options": {"frequencies": 32, "steps": 30}}))
    found = compare(made, data, models=["logistic"], seeds=1)
    assert [(row["what"], row["model"], row["seeds"]) for row in found["table"]] == [
        ("release", "logistic", "1"),
        ("all real records", "logistic", "1"),
    ]
    with pytest.raises(InputError, match="a table is judged by classifiers"):
        compare(made, data, "dc")


def test_the_release_must_be_of_this_data(data, release):
    other = DataSpec("other", "image", (1, 4, 4), ("dark", "light"), 300)
    wrong = Data(other, Records(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), other), None)
    with pytest.raises(InputError, match="no test records"):
        compare(release, wrong)
    with pytest.raises(InputError, match="does not fit"):
        compare(release, Data(other, wrong.records, wrong.records))
