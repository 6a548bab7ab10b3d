import gzip
import struct

import numpy as np
import pytest
import torch

from dpcond.data import load
from dpcond.errors import InputError

COUNTS = {  # published sizes of the classes, or equal ones
    "mnist": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    "fashion-mnist": (6000,) * 10,
}


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_files(data_root, name):
    data = load(name, data_root, public_counts=True)
    assert data.records.x.shape == (60_000, 1, 28, 28)
    assert data.test.x.shape == (10_000, 1, 28, 28)
    assert data.records.x.dtype == torch.uint8
    assert data.spec.class_counts == COUNTS[name]


@pytest.mark.slow
def test_real_cifar10_parquet(data_root):
    data = load("cifar10", data_root, public_counts=True)
    assert data.records.x.shape == (50_000, 3, 32, 32)
    assert data.spec.class_counts == (5000,) * 10
    mean = data.records.x[::10].float().mean(dim=(0, 2, 3)) / 255
    # The training mean everyone quotes; a tenth of the images is within 0.01 of it.
    torch.testing.assert_close(mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=0.01, rtol=0)


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def mnist(tmp_path):
    """Six tiny files in MNIST's layout."""
    rng = np.random.default_rng(0)
    raw = tmp_path / "MNIST" / "raw"
    for part, n in (("train", 20), ("t10k", 10)):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8) % 10)
    return tmp_path


def test_the_declared_size_is_not_counted_from_the_files(mnist):
    data = load("mnist", mnist)
    assert len(data.records) == 20
    assert data.spec.records == 60_000


@pytest.mark.parametrize("cut", [0, 3, 10, 500])
def test_truncated_file(mnist, cut):
    images = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"mnist: .*MNIST/raw is truncated or corrupt .*fetch it again"):
        load("mnist", mnist)


def test_foreign_file(mnist):
    images = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(InputError, match="truncated or corrupt"):
        load("mnist", mnist)


def test_images_and_labels_that_do_not_match(mnist):
    write_idx(mnist / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.zeros(19, dtype=np.uint8))
    with pytest.raises(InputError, match=r"mnist: labels are .*\(19,\), expected int64, one per record"):
        load("mnist", mnist)


def test_label_outside_the_classes(mnist):
    write_idx(mnist / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.full(20, 11, dtype=np.uint8))
    with pytest.raises(InputError, match="is outside the 10 declared classes"):
        load("mnist", mnist)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "svhn"])
def test_absent_without_a_network(monkeypatch, tmp_path, name):
    import torchvision.datasets as sets

    def no_network(*args, **kwargs):
        raise OSError("Name or service not known\nand more")

    for module in (sets.mnist, sets.cifar, sets.svhn):
        for download in ("download_and_extract_archive", "download_url"):
            if hasattr(module, download):
                monkeypatch.setattr(module, download, no_network)
    with pytest.raises(InputError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{name}: not found in {tmp_path}")
    assert message.endswith("give their folder with --data-root or DPCOND_DATA")
    assert "\n" not in message


def test_torchvision_layouts_become_channels_first(monkeypatch, tmp_path):
    import torchvision.datasets as sets

    pixels = np.arange(2 * 32 * 32 * 3, dtype=np.int64).astype(np.uint8).reshape(2, 32, 32, 3)

    class Cifar:  # (N, H, W, C), targets a list
        def __init__(self, root, train, download):
            self.data, self.targets = pixels, [3, 4]

    class Svhn:  # (N, C, H, W), labels an array
        def __init__(self, root, split, download):
            self.data, self.labels = pixels.transpose(0, 3, 1, 2), np.array([3, 4])

    monkeypatch.setattr(sets, "CIFAR10", Cifar)
    monkeypatch.setattr(sets, "SVHN", Svhn)
    cifar, svhn = load("cifar10", tmp_path), load("svhn", tmp_path)
    assert torch.equal(cifar.records.x, torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert torch.equal(cifar.records.x, svhn.records.x)
    assert cifar.records.y.tolist() == svhn.records.y.tolist() == [3, 4]
