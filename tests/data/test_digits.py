import hashlib
from dataclasses import replace

import pytest
import torch

from dpcond.data import Records, load
from dpcond.decoding import decode_images


def test_split_is_fixed_for_good():
    data = load("digits")
    assert data.records.x.dtype == torch.uint8
    assert data.records.x.shape == (1437, 1, 8, 8)
    assert data.test.x.shape == (360, 1, 8, 8)
    # Golden: scikit-learn's train_test_split(test_size=360, stratify, random_state=0), whose stream is frozen.
    digest = hashlib.sha256(data.test.x.numpy().tobytes() + data.test.y.numpy().tobytes()).hexdigest()
    assert digest[:16] == "a2fc2790f951761e"


def test_split_covers_the_original_once_and_is_stratified():
    from sklearn.datasets import load_digits

    original = load_digits()
    data = load("digits")
    both = torch.cat([data.records.x, data.test.x]).reshape(-1, 64)
    expected = torch.from_numpy((original.data * 255 / 16).round()).to(torch.uint8)
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, expected.tolist()))
    assert (
        torch.cat([data.records.y, data.test.y]).bincount().tolist()
        == torch.tensor(original.target).bincount().tolist()
    )
    assert data.test.y.bincount().tolist() == pytest.approx([36] * 10, abs=1)


def test_the_spec_is_declared_and_counts_are_private_by_default():
    assert load("digits").spec.class_counts is None
    assert load("digits").spec.records == 1437
    public = load("digits", public_counts=True)
    assert public.spec.class_counts == tuple(public.records.y.bincount().tolist())
    assert public.records.spec == public.spec


def test_batch_normalises_by_public_constants():
    records = load("digits").records
    indices = [5, 0, 5]
    x, y = records.batch(indices)
    assert x.dtype == torch.float32
    slow = torch.stack([(records.x[i].double() / 255 - 0.5) / 0.5 for i in indices])
    torch.testing.assert_close(x.double(), slow, atol=1e-6, rtol=0)
    assert y.tolist() == [records.y[i].item() for i in indices]
    assert records.batch([])[0].shape == (0, 1, 8, 8)


def test_normalising_is_undone_for_every_pixel_value():
    spec = replace(load("digits").spec, shape=(1, 16, 16))
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    x, _ = Records(pixels, torch.zeros(1, dtype=torch.int64), spec).batch([0])
    assert torch.equal(torch.from_numpy(decode_images(x, spec)), pixels)
    assert decode_images(x * 3, spec).min() == 0  # clipped, never wrapped
    assert decode_images(x * 3, spec).max() == 255


def test_records_do_not_print_themselves():
    data = load("digits")
    assert repr(data.records) == "Records('digits', private)"
    assert "tensor" not in repr(data)
    assert "1437" not in repr(data.records)
