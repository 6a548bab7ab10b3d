"""Image folders and parquet files of images."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dpcond.data import load
from dpcond.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABELS = [0, 1, 1, 0, 1, 0]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pets"
    for i, (pixels, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        file = root / ("cat", "dog")[label] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return root


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def write_parquet(path, cells, labels=LABELS, image="img"):
    pq.write_table(pa.table({image: cells, "label": labels}), path)
    return path


def test_folder_names_are_the_classes_and_the_spec_says_so(folder):
    data = load(folder, records=6)
    assert data.spec.classes == ("cat", "dog")
    assert "folder names" in data.spec.source
    assert str(folder) not in data.spec.source
    assert data.records.y.tolist() == [0, 0, 0, 1, 1, 1]
    order = [i for label in (0, 1) for i in range(6) if LABELS[i] == label]
    assert torch.equal(data.records.x, torch.from_numpy(PIXELS[order].transpose(0, 3, 1, 2).copy()))


def test_declared_classes_set_the_order_and_may_be_absent(folder):
    data = load(folder, records=6, classes=["dog", "bird", "cat"])
    assert data.records.y.tolist() == [2, 2, 2, 0, 0, 0]  # cats are read first
    with pytest.raises(InputError, match="folder 'dog' is not a declared class"):
        load(folder, records=6, classes=["cat", "bird"])


def test_train_and_test_folders(folder, tmp_path):
    root = tmp_path / "both"
    root.mkdir()
    folder.rename(root / "train")
    (root / "test" / "dog").mkdir(parents=True)
    Image.fromarray(PIXELS[0]).save(root / "test" / "dog" / "a.png")
    data = load(root, records=6)
    assert len(data.records) == 6
    assert data.test.y.tolist() == [1]


def test_grey_images_keep_one_channel(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "grey" / name).mkdir(parents=True)
        Image.fromarray(PIXELS[0, :, :, 0]).save(tmp_path / "grey" / name / "0.png")
    assert load(tmp_path / "grey", records=2).spec.shape == (1, 4, 5)


def test_folder_refusals(folder, tmp_path):
    file = folder / "dog" / "1.png"
    whole = file.read_bytes()
    file.write_bytes(whole[:60])
    with pytest.raises(InputError, match=r"pets: dog/1.png is not an image or is truncated"):
        load(folder, records=6)
    file.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"pets: dog/1.png is not an image or is truncated"):
        load(folder, records=6)
    Image.fromarray(PIXELS[0, :3]).save(file)
    with pytest.raises(InputError, match=r"dog/1.png has size 5×3 in RGB, the first image 5×4 in RGB; bring all"):
        load(folder, records=6)
    Image.fromarray(PIXELS[0, :, :, 0]).save(file)  # were the first image to decide, it would choose a public constant
    with pytest.raises(InputError, match=r"dog/1.png has size 5×4 in grey, the first image 5×4 in RGB"):
        load(folder, records=6)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no class folders"):
        load(tmp_path / "empty", records=6)
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    (tmp_path / "hollow" / "b").mkdir()
    with pytest.raises(InputError, match="no images were found"):
        load(tmp_path / "hollow", records=6)
    with pytest.raises(InputError, match="declare the public number of records"):
        load(folder)


@pytest.mark.parametrize("cells", [[{"bytes": png(p), "path": "a"} for p in PIXELS], [png(p) for p in PIXELS]])
def test_parquet_cells(tmp_path, cells):
    data = load(write_parquet(tmp_path / "pets.parquet", cells), records=6, classes=["cat", "dog"])
    assert torch.equal(data.records.x, torch.from_numpy(PIXELS.transpose(0, 3, 1, 2).copy()))
    assert data.records.y.tolist() == LABELS


def test_parquet_folder_of_splits(tmp_path):
    cells = [png(p) for p in PIXELS]
    write_parquet(tmp_path / "train-00000-of-00002.parquet", cells[:4], LABELS[:4])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", cells[4:], LABELS[4:])
    write_parquet(tmp_path / "test-00000-of-00001.parquet", cells[:1], LABELS[:1])
    data = load(tmp_path, records=6, classes=2)
    assert data.records.y.tolist() == LABELS
    assert len(data.test) == 1


def test_parquet_refusals(tmp_path):
    cells = [png(p) for p in PIXELS]
    path = tmp_path / "pets.parquet"
    with pytest.raises(InputError, match="declare the classes"):
        load(write_parquet(path, cells), records=6)
    with pytest.raises(InputError, match="the image in row 2 is not an image"):
        load(write_parquet(path, [*cells[:2], b"xx", *cells[3:]]), records=6, classes=2)
    with pytest.raises(InputError, match="the image in row 2 has no bytes"):
        load(write_parquet(path, [*cells[:2], None, *cells[3:]]), records=6, classes=2)
    with pytest.raises(InputError, match="at least two classes"):
        load(write_parquet(path, cells), records=6, classes=1)
    with pytest.raises(InputError, match=r"labels are float64"):
        load(write_parquet(path, cells, [0, None, 1, 0, 1, 0]), records=6, classes=2)
    with pytest.raises(InputError, match="expected one image column"):
        load(write_parquet(path, [1.0] * 6), records=6, classes=2)
    write_parquet(path, cells)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"pets\.parquet is truncated or is not parquet"):
        load(path, records=6, classes=2)
    path.rename(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="holds no train"):
        load(tmp_path, records=6, classes=2)
