import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dpcond.data import load
from dpcond.data.adult import SCHEMA
from dpcond.data.tables import encode, table_spec
from dpcond.decoding import decode_rows
from dpcond.errors import InputError
from dpcond.schema import TableSchema

TOML = """
label = "ill"
[[column]]
name = "age"
low = 0
high = 100
integer = true
[[column]]
name = "city"
categories = ["Bern", "Kyoto", ""]
[[column]]
name = "id"
drop = true
[[column]]
name = "ill"
categories = ["no", "yes"]
[[column]]
name = "weight"
low = -1.0
high = 3.0
"""
FRAME = pd.DataFrame(
    {
        "age": ["0", "50", "100"],
        "city": ["Kyoto", "", "Bern"],
        "id": ["x", "y", "z"],
        "ill": ["yes", "no", "yes"],
        "weight": ["-1", "0", "2.5"],
    }
)


@pytest.fixture
def schema(tmp_path):
    path = tmp_path / "schema.toml"
    path.write_text(TOML)
    return path


@pytest.fixture
def save(tmp_path):
    def write(suffix=".csv", **cells):
        path = tmp_path / f"people{suffix}"
        frame = FRAME.assign(**cells)
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
        return path

    return write


def test_encoding_by_hand(save, schema):
    data = load(save(), records=3, schema=schema)
    # age/100 | Bern, Kyoto, "" | (weight + 1)/4
    expected = [[0, 0, 1, 0, 0], [0.5, 0, 0, 1, 0.25], [1, 1, 0, 0, 0.875]]
    assert data.records.x.tolist() == expected
    assert data.records.y.tolist() == [1, 0, 1]
    assert data.spec.kind == "table"
    assert data.spec.classes == ("no", "yes")
    torch.testing.assert_close(data.records.batch([0, 1])[0], torch.tensor(expected[:2]) * 2 - 1)


def test_csv_and_parquet_agree(save, schema):
    parquet = save(".parquet", age=[0, 50, 100], weight=[-1.0, 0.0, 2.5])
    assert torch.equal(
        load(parquet, records=3, schema=schema).records.x, load(save(), records=3, schema=schema).records.x
    )


def test_decoding_returns_the_original_columns(save, schema):
    data = load(save(), records=3, schema=schema)
    x, y = data.records.batch([0, 1, 2])
    decoded = decode_rows(x, y, data.spec)
    expected = FRAME.drop(columns="id").astype({"age": int, "weight": float})
    pd.testing.assert_frame_equal(decoded, expected, check_dtype=False)
    assert decoded["age"].dtype == np.int64


CITIES = st.sampled_from(["Bern", "Kyoto", ""])
ROWS = st.tuples(st.integers(0, 100), CITIES, st.sampled_from(["no", "yes"]), st.floats(-1, 3))


@settings(derandomize=True, deadline=None, max_examples=50)
@given(rows=st.lists(ROWS, min_size=1, max_size=5))
def test_any_row_within_the_schema_survives_encoding(rows):
    schema = TableSchema.from_json({"columns" if k == "column" else k: v for k, v in tomllib.loads(TOML).items()})
    frame = pd.DataFrame(rows, columns=["age", "city", "ill", "weight"]).assign(id="x")
    x, y = encode(frame, schema, "people")
    assert x.min() >= 0
    assert x.max() <= 1
    assert x[:, 1:4].sum(axis=1).tolist() == [1] * len(rows)
    decoded = decode_rows(x * 2 - 1, y, table_spec("people", schema, 1, ""))
    pd.testing.assert_frame_equal(decoded[["age", "city", "ill"]], frame[["age", "city", "ill"]], check_dtype=False)
    np.testing.assert_allclose(decoded["weight"], frame["weight"], atol=1e-6)


def test_decoding_clips_rounds_and_takes_the_largest(save, schema):
    spec = load(save(), records=3, schema=schema).spec
    row = torch.tensor([[7.0, -3.0, -2.0, -9.0, -5.0]])  # far outside, as a noisy release may be before the clamp
    decoded = decode_rows(row, torch.tensor([0]), spec)
    assert decoded.iloc[0].to_dict() == {"age": 100, "city": "Kyoto", "ill": "no", "weight": -1.0}
    assert decode_rows(torch.tensor([[0.007, 1, 0, 0, 0]]), torch.tensor([0]), spec)["age"].item() == 50


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            {"age": ["0", "101", "5"]},
            r"column 'age', row 1: the value is missing or not within the declared bounds \[0, 100\]",
        ),
        ({"age": ["0", "-1", "5"]}, "column 'age', row 1: the value is missing or not"),
        ({"age": ["0", "1", "nan"]}, "column 'age', row 2: the value is missing or not"),
        ({"age": ["0", "inf", "1"]}, "column 'age', row 1: the value is missing or not"),
        ({"age": ["0", "", "1"]}, "column 'age', row 1: the value is missing or not"),
        ({"age": ["0", "old", "1"]}, "column 'age', row 1: the value is missing or not"),
        ({"city": ["Bern", "Rome", ""]}, "column 'city', row 1: the value is not a declared category"),
        ({"ill": ["no", "maybe", "yes"]}, "column 'ill', row 1: the value is not a declared category"),
        ({"zip": ["1", "2", "3"]}, "column 'zip' is not in the schema; declare it"),
    ],
)
def test_refused_cells(save, schema, cells, message):
    with pytest.raises(InputError, match=message) as caught:
        load(save(**cells), records=3, schema=schema)
    assert "\n" not in str(caught.value)
    assert not any(repr(cell) in str(caught.value) for column in cells.values() for cell in column), "no private value"


def test_refused_files(save, schema, tmp_path):
    FRAME.drop(columns="weight").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="column 'weight', which the schema declares, is missing"):
        load(tmp_path / "a.csv", records=3, schema=schema)
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(InputError, match="cannot be read as a table"):
        load(tmp_path / "a.csv", records=3, schema=schema)
    FRAME[:0].to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="no records were found"):
        load(tmp_path / "a.csv", records=3, schema=schema)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read as a table"):
        load(tmp_path / "a.parquet", records=3, schema=schema)
    nulls = save(".parquet", age=[0, 1, 2], weight=[0.0, 1.0, 2.0], city=["Bern", None, "Bern"])
    with pytest.raises(InputError, match="column 'city', row 1"):
        load(nulls, records=3, schema=schema)
    with pytest.raises(InputError, match="leave schema or classes out"):
        load(save(), records=3, schema=schema, classes=2)
    with pytest.raises(InputError, match="with a schema"):
        load(save(), records=3, classes=2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('label = "ill"', 'label = "age"', "label = 'age' must name a column with two or more categories"),
        ('label = "ill"', 'lable = "ill"', "unknown field 'lable'"),
        ('label = "ill"', "", "label is missing"),
        ('name = "city"', 'name = "age"', "declared twice"),
        ('["no", "yes"]', '["no", "no"]', "categories must be strings, each declared once"),
        ('["no", "yes"]', "[0, 1]", "categories must be strings"),
        ("high = 100", "high = -5", "low = 0 must be below high = -5"),
        ("high = 100", "high = nan", "must be finite numbers"),
        ("high = 100", 'high = "100"', "must be finite numbers"),
        ("high = 100", "", "must be finite numbers"),
        ("high = 100", "high = 100\ndrop = true", "either low and high, or categories, or drop"),
        ("high = 100", "hihg = 100", "expected name, and of"),
        ("high = 100", "high = = 100", "cannot be read as TOML"),
    ],
)
def test_refused_schemas(save, tmp_path, old, new, message):
    assert old in TOML
    (tmp_path / "wrong.toml").write_text(TOML.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        load(save(), records=3, schema=tmp_path / "wrong.toml")
    assert "wrong.toml" in str(caught.value)


def test_absent_schema(save, tmp_path):
    with pytest.raises(InputError, match=r"schema file .*none\.toml: cannot be read"):
        load(save(), records=3, schema=tmp_path / "none.toml")


def test_schema_survives_json():
    assert SCHEMA.from_json(SCHEMA.to_json()) == SCHEMA


def test_adult_round_trip(data_root):
    data = load("adult", data_root, public_counts=True)
    # The published sizes: 32,561 and 16,281 rows; 7,841 and 3,846 of them above 50K.
    assert data.records.x.shape == (32_561, SCHEMA.width)
    assert data.spec.class_counts == (24_720, 7_841)
    assert (len(data.test), int(data.test.y.sum())) == (16_281, 3_846)
    raw = pd.read_csv(
        data_root / "adult" / "adult.data",
        header=None,
        names=[c.name for c in SCHEMA.columns],
        skipinitialspace=True,
        nrows=500,
        keep_default_na=False,
    )
    decoded = decode_rows(*data.records.batch(range(500)), data.spec)
    pd.testing.assert_frame_equal(decoded, raw.drop(columns="fnlwgt"), check_dtype=False)


def test_adult_absent(tmp_path):
    with pytest.raises(InputError, match=r"adult: .*adult.data is not there; put UCI's"):
        load("adult", tmp_path)
