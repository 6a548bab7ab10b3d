"""Plans: fixed before a record is read, one text and one hash each."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from dpcond.errors import InputError
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.events import Event
from dpcond.privacy.plan import Plan, Stage, canonical, make_plan

STAGES = (Stage("counts", 1, 10, 0.1, purpose="class histogram"), Stage("sums", 20, 3000, 0.9, keep=False))
PUBLIC = {"method": "dm", "options": {"b": 0.1 + 0.2, "a": (1, 2)}}


@pytest.fixture(scope="module")
def plan():
    return make_plan(STAGES, 1.0, 1e-5, "add_remove", PUBLIC)


def test_round_trip(plan):
    again = Plan.from_json(json.loads(canonical(plan.to_json())))
    assert again == plan
    assert again.hash == plan.hash
    assert plan.public["options"] == {"a": [1, 2], "b": 0.30000000000000004}


def test_hash_depends_on_everything(plan):
    value = plan.to_json()
    seen = {plan.hash}
    for key, other in [
        ("epsilon", 1.5),
        ("delta", 1e-6),
        ("adjacency", "replace_one"),
        ("public", {"method": "dc"}),
        ("noise_multipliers", [z + 1e-9 for z in value["noise_multipliers"]]),
        ("stages", [{**value["stages"][0], "purpose": "x"}, value["stages"][1]]),
    ]:
        seen.add(Plan.from_json({**value, key: other}).hash)
    assert len(seen) == 7


def test_hash_ignores_the_order_of_keys(plan):
    value = plan.to_json()
    assert Plan.from_json(dict(reversed(list(value.items())))).hash == plan.hash


def test_public_part_is_a_copy():
    public = {"options": {"k": 1}}
    made = make_plan(STAGES, 1.0, 1e-5, "add_remove", public)
    public["options"]["k"] = 2
    assert made.public == {"options": {"k": 1}}


def test_not_private():
    made = make_plan(STAGES, 1.0, 1e-5, "add_remove", {}, private=False)
    assert made.noise_multipliers == (0.0, 0.0)
    assert made.epsilon == math.inf
    text = canonical(made.to_json())
    assert "Infinity" not in text
    assert json.loads(text)["epsilon"] is None
    assert Plan.from_json(json.loads(text)) == made
    assert [row["epsilon_alone"] for row in made.describe()] == [math.inf, math.inf]


def test_events(plan):
    assert plan.events() == tuple(
        Event(z, s.sampling_rate, s.count) for z, s in zip(plan.noise_multipliers, STAGES, strict=True)
    )
    assert plan.event("sums") == Event(plan.noise_multipliers[1])
    with pytest.raises(InputError, match="counts, sums"):
        plan.event("sum")


def test_the_noise_of_a_mean_counts_who_is_sampled_and_both_sides_of_a_replacement():
    """By hand: clipped to one, replacing a record moves a sum by two, and of 1000 records a tenth are expected."""
    asked = (Stage("all", 1, 10, 0.5), Stage("some", 5, 10, 0.5, sampling_rate=0.1))
    made = make_plan(asked, 1.0, 1e-5, "add_remove", {})
    whole, some = made.noise_multipliers
    assert made.mean_noise("all", 1000) == pytest.approx(whole / 1000)
    assert made.mean_noise("some", 1000) == pytest.approx(some / 100)
    replacing = replace(made, adjacency=Adjacency.REPLACE_ONE)
    assert replacing.mean_noise("some", 1000) == pytest.approx(2 * some / 100)
    assert make_plan(asked, 1.0, 1e-5, "add_remove", {}, private=False).mean_noise("all", 1000) == 0
    with pytest.raises(InputError, match="all, some"):
        made.mean_noise("none", 1000)


def test_describe(plan):
    rows = plan.describe()
    assert [row["stage"] for row in rows] == ["counts", "sums"]
    assert [row["events"] for row in rows] == [1, 20]
    assert [row["share"] for row in rows] == [0.1, 0.9]
    assert all(0 < row["epsilon_alone"] < 1 for row in rows)
    assert rows[0]["epsilon_alone"] < rows[1]["epsilon_alone"]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a\n"},
        {"name": 3},
        {"name": "../x"},
        {"count": 0},
        {"count": 1.5},
        {"count": True},
        {"dimension": 0},
        {"dimension": -1},
        {"share": 0},
        {"share": -0.1},
        {"share": 1.1},
        {"share": math.nan},
        {"sampling_rate": 0},
        {"sampling_rate": 1.1},
        {"sampling_rate": math.nan},
        {"purpose": 1},
        {"keep": 1},
    ],
)
def test_stage_refused(fields):
    with pytest.raises(InputError):
        Stage(**{"name": "a", "count": 1, "dimension": 1, "share": 1.0, **fields})


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "at least one stage"),
        ((Stage("a", 1, 1, 0.5), Stage("a", 1, 1, 0.5)), "used twice"),
        ((Stage("a", 1, 1, 0.5), Stage("b", 1, 1, 0.4)), "sum to"),
        ((Stage("a", 1, 1, 0.5), Stage("b", 1, 1, 0.500001)), "sum to"),
    ],
)
def test_stages_refused(stages, message):
    for private in (True, False):
        with pytest.raises(InputError, match=message):
            make_plan(stages, 1.0, 1e-5, "add_remove", {}, private=private)


def test_shares_may_be_off_by_rounding():
    make_plan([Stage(f"s{i}", 1, 1, 0.1) for i in range(10)], 1.0, 1e-5, "add_remove", {})


@pytest.mark.parametrize("public", [{"x": math.nan}, {"x": math.inf}, {"x": object()}, [1], None, {"x": {1, 2}}])
def test_public_must_be_json(public):
    with pytest.raises(InputError):
        make_plan(STAGES, 1.0, 1e-5, "add_remove", public)


@pytest.mark.parametrize(
    "change",
    [
        {"noise_multipliers": [1.0]},
        {"noise_multipliers": [0.0, 5.0]},
        {"noise_multipliers": [math.nan, 5.0]},
        {"noise_multipliers": [-1.0, 5.0]},
        {"noise_multipliers": ["1", 5.0]},
        {"epsilon": None},
        {"epsilon": -1},
        {"epsilon": math.nan},
        {"epsilon": True},
        {"delta": 1},
        {"private": False},
        {"private": 1},
        {"adjacency": "both"},
        {"stages": []},
        {"stages": [{"name": "a"}]},
        {"stages": 3},
        {"extra": 1},
    ],
)
def test_json_refused(plan, change):
    with pytest.raises(InputError):
        Plan.from_json({**plan.to_json(), **change})


@pytest.mark.parametrize("key", ["stages", "epsilon", "delta", "adjacency", "private", "public", "noise_multipliers"])
def test_missing_field_refused(plan, key):
    value = plan.to_json()
    del value[key]
    with pytest.raises(InputError):
        Plan.from_json(value)


def test_adjacency_is_parsed(plan):
    assert plan.adjacency is Adjacency.ADD_REMOVE
