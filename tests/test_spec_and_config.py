"""What is declared, and what is asked for: both refuse what they do not know."""

import json
import math

import pytest

from dpcond.config import load_config
from dpcond.errors import InputError
from dpcond.spec import DataSpec

GOOD = {"name": "toy", "kind": "image", "shape": (3, 4, 4), "classes": ("a", "b"), "records": 10}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "sound"}, "image"),
        ({"shape": (4, 4)}, "3 positive sizes"),
        ({"shape": (3, 0, 4)}, "3 positive sizes"),
        ({"classes": ("a",)}, "at least two"),
        ({"classes": ("a", "a")}, "each once"),
        ({"records": 0}, "positive whole number"),
        ({"records": True}, "positive whole number"),
        ({"class_counts": (5,)}, "2 positive counts"),
        ({"class_counts": (5, 0)}, "empty class"),
        ({"bounds": (1.0, 0.0)}, "low < high"),
        ({"bounds": (0.0, math.inf)}, "finite"),
        ({"mean": (0.5, 0.5)}, "1 or 3"),
        ({"std": (0.0,)}, "positive"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(change, says):
    with pytest.raises(InputError, match=says):
        DataSpec(**GOOD | change)


def test_a_description_survives_json():
    spec = DataSpec(**GOOD, class_counts=(4, 6), mean=(0.1, 0.2, 0.3))
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    with pytest.raises(InputError, match="unexpected"):
        DataSpec.from_json(spec.to_json() | {"extra": 1})


def test_normalised_bounds_are_per_channel():
    low, high = DataSpec(**GOOD, mean=(0.5, 0.25, 0.0), std=(0.5,)).normalized_bounds
    assert low == (-1.0, -0.5, 0.0)
    assert high == (1.0, 1.5, 2.0)


def test_later_sources_win_and_short_keys_are_options(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('method = "dc"\nipc = 3\n[privacy]\nepsilon = 4.0\ndelta = 1e-6\n[options]\nwidth = 8\n')
    config = load_config(file, ["networks=7", "privacy.delta=1e-7", "options.width=9"], {"privacy.epsilon": 2.0})
    assert (config.method, config.ipc, config.privacy.epsilon, config.privacy.delta) == ("dc", 3, 2.0, 1e-7)
    assert config.options == {"width": 9, "networks": 7}


def test_a_short_key_of_a_section_is_told_its_place():
    with pytest.raises(InputError, match=r"write privacy\.epsilon"):
        load_config(settings=["epsilon=3"])
    with pytest.raises(InputError, match=r"'privacy' is a section: write privacy\.mode"):
        load_config(settings=["privacy=none"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[privacy]\nepsilom = 1.0", "did you mean 'epsilon'"),
        ("methods = 'dm'", "options of|'methods' is unknown"),
        ("ipc = 'ten'", "ipc = 'ten'"),
        ("ipc = ", "not valid TOML"),
        ("epsilon = 2", r"write privacy\.epsilon"),
    ],
)
def test_a_config_that_cannot_be_meant_is_one_line(tmp_path, text, says):
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=says) as refused:
        load_config(file)
    assert "\n" not in str(refused.value)
