import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dpcond.errors import InputError
from dpcond.release import Release, not_private, read

FILES = {"data.safetensors", "spec.json", "privacy.json", "ledger.jsonl", "card.md", "preview.png", "manifest.json"}


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("which", ["run", "table_run", "open_run"])
def test_round_trip(request, tmp_path, which):
    release = request.getfixturevalue(which).release()
    release.save(tmp_path / "out")
    again = Release.load(tmp_path / "out")
    assert set(contents(tmp_path / "out")) == FILES
    assert torch.equal(again.x, release.x)
    assert torch.equal(again.y, release.y)
    assert torch.equal(again.soft_labels, release.soft_labels)
    assert again.spec == release.spec
    assert again.privacy == release.privacy
    assert (again.method, again.options) == ("dm", {"ipc": 2})
    assert again.ledger.read_bytes() == release.ledger.read_bytes()


def test_same_inputs_same_bytes(run, table_run, open_run, tmp_path):
    for i, each in enumerate((run, table_run, open_run)):
        each.release().save(tmp_path / f"a{i}")
        each.release().save(tmp_path / f"b{i}")
        read(tmp_path / f"a{i}").save(tmp_path / f"c{i}")  # opening and saving changes nothing either
        assert contents(tmp_path / f"a{i}") == contents(tmp_path / f"b{i}") == contents(tmp_path / f"c{i}")


def test_it_is_a_torch_dataset(release):
    x, y = release[3]
    assert torch.equal(x, release.x[3])
    assert (y, len(release)) == (1, 20)
    xs, ys = next(iter(DataLoader(release, batch_size=20)))
    assert torch.equal(xs, release.x)
    assert torch.equal(ys, release.y)


def test_images_invert_the_normalisation(release):
    slow = np.array([round((v * 0.5 + 0.5) * 255) for v in release.x.double().flatten().tolist()])
    assert release.images().dtype == np.uint8
    np.testing.assert_array_equal(release.images().ravel(), slow)
    with pytest.raises(InputError, match="not a table"):
        release.frame()


def test_frame_is_decoded_from_the_folder_alone(table_run, tmp_path):
    table_run.release().save(tmp_path / "out")
    frame = read(tmp_path / "out").frame()
    assert list(frame.columns)[:3] == ["age", "workclass", "education"]
    assert frame["income"].tolist() == ["<=50K", "<=50K", ">50K", ">50K"]
    assert frame["age"].between(17, 90).all()
    with pytest.raises(InputError, match="not images"):
        read(tmp_path / "out").images()


def test_promise_in_words(run, open_run, tmp_path):
    run.release().save(tmp_path / "private")
    open_run.release().save(tmp_path / "open")
    card = (tmp_path / "private" / "card.md").read_text()
    epsilon = run.release().epsilon
    assert 1.9 < epsilon <= 2.0
    assert f"**ε = {epsilon:g} (δ = 1e-05)**" in card
    factor = float(card.partition("at most e^ε = ")[2].partition(",")[0])
    assert math.exp(epsilon) <= factor <= 1.001 * math.exp(epsilon)
    assert "the presence of one record" in card
    assert "The number of records of each class is private." in card
    assert "stage `means` (class means of random features): at most 2 noisy" in card
    stated = json.loads((tmp_path / "open" / "privacy.json").read_text())
    assert (stated["private"], stated["epsilon"], float(stated["epsilon"])) == (False, "inf", math.inf)
    assert "**NOT PRIVATE (ε = ∞)**" in (tmp_path / "open" / "card.md").read_text()
    assert "They may contain original records" in (tmp_path / "open" / "card.md").read_text()
    assert "differential privacy" not in (tmp_path / "open" / "card.md").read_text()
    assert "not chosen among them" in card


def test_seeded_noise_is_stamped_not_private(run):
    from dpcond.privacy.certificate import certify
    from dpcond.privacy.ledger import Ledger
    from dpcond.release import statement

    events = Ledger.read(run.ledger).events()
    found = certify(events, 1e-5, "add_remove")
    stated = statement(run.plan, events, found, run.spec, noise="seeded", noise_private=False)
    release = run.release(privacy=stated)
    assert release.epsilon == math.inf
    assert not release.private


def test_public_counts_are_an_assumption(run):
    from dataclasses import replace

    spec = replace(run.spec, class_counts=(5,) * 10)
    assert "0 5, 1 5" in " ".join(not_private(spec, "a real subset")["assumptions"])


def test_the_ledger_is_kept_though_its_file_goes(run, tmp_path):
    (tmp_path / "temporary.jsonl").write_bytes(run.ledger.read_bytes())
    release = run.release(ledger=tmp_path / "temporary.jsonl")
    (tmp_path / "temporary.jsonl").unlink()
    release.save(tmp_path / "out")
    assert (tmp_path / "out" / "ledger.jsonl").read_bytes() == run.ledger.read_bytes()


def test_no_seed_anywhere(run, tmp_path):
    run.release().save(tmp_path / "out")
    for name, content in contents(tmp_path / "out").items():
        assert b"seed" not in content, name


def test_previews_open(run, table_run, tmp_path):
    for i, each in enumerate((run, table_run)):
        each.release().save(tmp_path / str(i))
        with Image.open(tmp_path / str(i) / "preview.png") as picture:
            pixels = np.asarray(picture.convert("L"))
        assert min(pixels.shape) > 200
        assert pixels.std() > 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(20, 1, 8, 9)}, r"records \(20, 1, 8, 9\)"),
        ({"x": torch.zeros(0, 1, 8, 8), "y": torch.zeros(0)}, "M ≥ 1"),
        ({"x": torch.full((20, 1, 8, 8), math.nan)}, "NaN or infinite; the condensation diverged"),
        ({"y": torch.zeros(19)}, r"labels \(19,\)"),
        ({"y": torch.full((20,), 10)}, "outside the 10 declared classes"),
        ({"y": torch.full((20,), -1)}, "outside the 10 declared classes"),
        ({"soft_labels": torch.zeros(20, 9)}, r"soft labels \(20, 9\)"),
        ({"soft_labels": torch.full((20, 10), math.inf)}, "NaN or infinite"),
        ({"privacy": {"private": True}}, "epsilon is missing"),
        ({"ledger": None}, "a private release carries its ledger"),
        ({"ledger": "/nowhere/ledger.jsonl"}, "ledger /nowhere/ledger.jsonl cannot be read"),
    ],
)
def test_refusals(run, changes, message):
    with pytest.raises(InputError, match=message):
        run.release(**changes)


@pytest.mark.parametrize(
    ("private", "epsilon"),
    [(True, "inf"), (True, math.inf), (True, math.nan), (True, None), (True, -1), (True, True), (False, 1.0), (1, 1.0)],
)
def test_inconsistent_promises(run, private, epsilon):
    with pytest.raises(InputError, match="privacy statement: epsilon"):
        run.release(privacy=run.statement(private=private, epsilon=epsilon))
