import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from dpcond.data import load
from dpcond.errors import InputError
from dpcond.release import export


def test_npz_of_images(release, tmp_path):
    export(release, "npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_array_equal(found["x"], release.images())
        np.testing.assert_array_equal(found["y"], release.y)
        np.testing.assert_array_equal(found["soft_labels"], release.soft_labels)
        assert found["classes"].tolist() == list(release.spec.classes)
        assert json.loads(str(found["privacy"])) == release.privacy


def test_npz_of_rows(table_run, tmp_path):
    release = table_run.release()
    export(release, "npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_allclose(found["x"], release.x.numpy() * 0.5 + 0.5, atol=1e-6)


def test_png_opens_as_an_image_folder(release, tmp_path):
    export(release, "png", tmp_path / "out")
    data = load(tmp_path / "out", records=20)
    assert data.spec.classes == release.spec.classes
    assert torch.equal(data.records.x, torch.from_numpy(release.images()))
    assert torch.equal(data.records.y, release.y)
    assert json.loads((tmp_path / "out" / "privacy.json").read_text()) == release.privacy


def test_png_names_are_folder_names(run, tmp_path):
    from dataclasses import replace

    spec = replace(run.spec, classes=("T-shirt/top", "..", "a b", *"3456789"))
    export(run.release(spec=spec), "png", tmp_path / "out")
    folders = sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir())
    assert folders == sorted(["T-shirt_top", "_", "a b", *"3456789"])


def test_parquet_of_images_opens_as_data(release, run, tmp_path):
    export(release, "parquet", tmp_path / "out.parquet")
    data = load(tmp_path / "out.parquet", records=20, classes=10)
    assert torch.equal(data.records.x, torch.from_numpy(release.images()))
    assert torch.equal(data.records.y, release.y)
    hard = run.release(soft_labels=None)
    export(hard, "parquet", tmp_path / "hard.parquet")
    metadata = pq.read_metadata(tmp_path / "hard.parquet").metadata
    assert json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"] == list("0123456789")
    assert json.loads(metadata[b"dpcond.privacy"]) == hard.privacy


def test_parquet_of_a_table(table_run, tmp_path):
    release = table_run.release()
    export(release, "parquet", tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), release.frame(), check_dtype=False)


def test_refusals(release, table_run, tmp_path):
    with pytest.raises(InputError, match="export format 'csv': expected npz, png, parquet"):
        export(release, "csv", tmp_path / "out")
    with pytest.raises(InputError, match="export to png: adult is a table"):
        export(table_run.release(), "png", tmp_path / "out")
    (tmp_path / "there").write_text("")
    for kind in ("npz", "png", "parquet"):
        with pytest.raises(InputError, match="there already exists"):
            export(release, kind, tmp_path / "there")
        with pytest.raises(InputError, match=r"cannot write .*nothing was written"):
            export(release, kind, tmp_path / "there" / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
