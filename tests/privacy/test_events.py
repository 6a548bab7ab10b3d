"""Events: nothing malformed gets through, because accounting libraries fail open on it."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpcond.errors import InputError
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.events import Event, merge

events = st.builds(
    Event,
    st.one_of(st.just(0.0), st.floats(1e-3, 1e9)),
    st.floats(1e-9, 1.0),
    st.integers(1, 10**9),
)


@pytest.mark.parametrize("noise", [math.nan, math.inf, -math.inf, -1.0, -1e-9, 1e-4, 1e-300, 1e10, True, "1", None, 1j])
def test_noise_multiplier_refused(noise):
    with pytest.raises(InputError, match="noise multiplier"):
        Event(noise)


@pytest.mark.parametrize("rate", [math.nan, math.inf, 0.0, -0.1, 1.0000001, 17, 1e-10, True, False, "0.1", None])
def test_sampling_rate_refused(rate):
    with pytest.raises(InputError, match="sampling rate"):
        Event(1.0, rate)


@pytest.mark.parametrize("count", [0, -1, -1000, 1.0, 1.5, math.nan, True, "3", None, 10**10, 10**400])
def test_count_refused(count):
    with pytest.raises(InputError, match="count"):
        Event(1.0, 0.1, count)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"noise_multiplier": 1.0},
        {"noise_multiplier": 1.0, "sampling_rate": 1.0, "count": 1, "seed": 7},
        {"noise_multiplier": 1.0, "sampling_rate": 1.0, "steps": 1},
        {"noise_multiplier": None, "sampling_rate": 1.0, "count": 1},
    ],
)
def test_json_refused(value):
    with pytest.raises(InputError, match=r"event|noise"):
        Event.from_json(value)


@given(events)
@settings(deadline=None, derandomize=True)
def test_json_round_trip(event):
    assert Event.from_json(json.loads(json.dumps(event.to_json(), allow_nan=False))) == event


def test_numbers_survive_text():
    assert Event.from_json(json.loads(json.dumps(Event(0.1 + 0.2).to_json()))).noise_multiplier == 0.30000000000000004


@given(st.lists(events, max_size=8))
@settings(deadline=None, derandomize=True)
def test_merge_keeps_every_count(several):
    small = [Event(e.noise_multiplier, e.sampling_rate, 1 + e.count % 1000) for e in several]
    merged = merge(small)
    assert sum(e.count for e in merged) == sum(e.count for e in small)
    assert len({(e.noise_multiplier, e.sampling_rate) for e in merged}) == len(merged)
    assert merge(merged) == merged


def test_merge_refuses_what_is_not_an_event():
    with pytest.raises(InputError, match="expected an Event"):
        merge([(1.0, 0.1, 1)])


@pytest.mark.parametrize("value", ["add-remove", "", None, 1, "replace_special"])
def test_adjacency_refused(value):
    with pytest.raises(InputError, match="add_remove"):
        Adjacency.parse(value)


def test_planning_loads_no_framework():
    code = (
        "import sys, dpcond.privacy.ledger, dpcond.privacy.certificate;"
        "assert not {'torch', 'opacus', 'dp_accounting', 'scipy', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
