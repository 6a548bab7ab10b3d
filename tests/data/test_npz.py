import numpy as np
import pytest
import torch

from dpcond.data import load
from dpcond.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 3, 6, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        path = tmp_path / "faces.npz"
        np.savez(path, **{"x": PIXELS, "y": LABELS, **arrays})
        return path

    return write


def test_load(save):
    data = load(save(x_test=PIXELS[:4], y_test=LABELS[:4]), records=10, classes=3)
    assert data.spec.name == "faces"
    assert data.spec.shape == (3, 6, 5)
    assert data.spec.classes == ("0", "1", "2")
    assert data.spec.records == 10  # as declared, though the file holds 12
    assert torch.equal(data.records.x, torch.from_numpy(PIXELS))
    assert len(data.test) == 4


def test_a_second_file_as_test_set(save, tmp_path):
    path = save()
    np.savez(tmp_path / "more.npz", x=PIXELS[:5], y=LABELS[:5])
    assert len(load(path, records=12, classes=3, test=tmp_path / "more.npz").test) == 5
    assert load(path, records=12, classes=3).test is None
    with pytest.raises(InputError, match="no such file"):
        load(path, records=12, classes=3, test=tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("x", "shape"),
    [(PIXELS[:, 0], (1, 6, 5)), (PIXELS[:, :1], (1, 6, 5)), (PIXELS.transpose(0, 2, 3, 1), (3, 6, 5))],
    ids=["NHW", "NCHW", "NHWC"],
)
def test_layouts(save, x, shape):
    assert load(save(x=x), records=12, classes=3).spec.shape == shape


def test_floats_are_stored_as_bytes(save):
    data = load(save(x=PIXELS / 255), records=12, classes=3)
    assert torch.equal(data.records.x, torch.from_numpy(PIXELS))


def test_labels_by_name(save):
    path = save(y=np.array(["b", "a", "c"] * 4))
    data = load(path, records=12, classes=["a", "b", "c"])
    assert data.records.y.tolist() == [1, 0, 2] * 4
    with pytest.raises(InputError, match=r"the label of record \d is not one of the declared classes"):
        load(path, records=12, classes=["a", "b"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.where(PIXELS > 200, np.nan, 0.5)}, "NaN or infinite pixels"),
        ({"x": np.full(PIXELS.shape, np.inf)}, "NaN or infinite pixels"),
        ({"x": PIXELS.astype(float)}, r"a pixel of image \d+ is outside \[0, 1\]; scale"),
        ({"x": PIXELS / 255 - 0.5}, r"a pixel of image \d+ is outside \[0, 1\]"),
        ({"x": PIXELS.astype(np.int32)}, "x is int32, expected uint8 pixels"),
        ({"x": np.array(["a"] * 12).reshape(12, 1, 1)}, "expected uint8 pixels"),
        ({"x": PIXELS.reshape(12, -1)}, r"x has shape \(12, 90\), expected images"),
        ({"x": PIXELS[:, :2].repeat(2, 1)}, "expected images"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "no records were found"),
        ({"y": LABELS[:11]}, r"labels are .*\(11,\), expected int64, one per record"),
        ({"y": LABELS + 1}, r"the label of record \d+ is outside the 3 declared classes \(0..2\)"),
        ({"y": LABELS - 1}, r"the label of record \d+ is outside the 3 declared classes"),
        ({"y": LABELS.astype(float)}, "labels are float64; expected whole numbers or class names"),
        ({"y": np.eye(3)[LABELS]}, r"labels have shape \(12, 3\), expected \(N,\)"),
        ({"x_test": PIXELS}, "holds x, y, x_test; expected arrays x and y"),
        ({"x_test": PIXELS, "y_test": LABELS + 1}, "is outside the 3 declared"),
    ],
)
def test_refusals(save, arrays, message):
    with pytest.raises(InputError, match=message) as caught:
        load(save(**arrays), records=12, classes=3)
    assert "\n" not in str(caught.value)


def test_what_must_be_declared(save):
    path = save()
    with pytest.raises(InputError, match=r"faces\.npz: declare the public number of records"):
        load(path, classes=3)
    with pytest.raises(InputError, match="faces: declare the classes"):
        load(path, records=12)
    for records in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="declared number of records"):
            load(path, records=records, classes=3)
    for classes in (1, True, "abc", ["a", "a"]):
        with pytest.raises(InputError, match="classes"):
            load(path, records=12, classes=classes)


def test_empty_class_is_an_error_only_when_counts_are_public(save):
    path = save(y=np.zeros(12, dtype=int))
    assert load(path, records=12, classes=3).spec.class_counts is None
    with pytest.raises(InputError, match="declared class '1' is empty"):
        load(path, records=12, classes=3, public_counts=True)


def test_missing_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS)
    with pytest.raises(InputError, match="holds images; expected arrays x and y"):
        load(tmp_path / "a.npz", records=12, classes=3)


@pytest.mark.parametrize("cut", [0, 10, 300, -40])
def test_truncated(save, cut):
    path = save()
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="not an npz file or is truncated"):
        load(path, records=12, classes=3)


def test_pickles_are_refused(save):
    path = save(y=np.array([{}] * 12, dtype=object))
    with pytest.raises(InputError, match="not an npz file"):
        load(path, records=12, classes=3)


def test_unknown_kind_of_file(tmp_path):
    (tmp_path / "a.xyz").write_text("")
    with pytest.raises(InputError, match="expected an image folder"):
        load(tmp_path / "a.xyz", records=12, classes=3)
