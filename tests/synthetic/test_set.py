"""The learnable set: public starts, multi-formation, bounds, checkpoints."""

import pytest
import torch
import torch.nn.functional as F

from dpcond.errors import InputError
from dpcond.spec import DataSpec
from dpcond.synthetic import SyntheticSet, tiled

IMAGES = DataSpec("toy", "image", (3, 8, 8), ("a", "b"), 100, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))
TABLE = DataSpec("rows", "table", (5,), ("no", "yes"), 100, mean=(0.0,), std=(1.0,))


def test_start_is_public_seeded_and_ordered_by_class():
    before = torch.get_rng_state()
    first, again, other = (SyntheticSet.start(IMAGES, 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert first.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert first.pixels.is_leaf
    assert first.pixels.requires_grad
    assert [name for name, _ in first.named_parameters()] == ["pixels"]


@pytest.mark.parametrize("spec", [IMAGES, TABLE])
def test_clamp_moves_only_what_is_outside(spec):
    synthetic = SyntheticSet.start(spec, 4)
    with torch.no_grad():
        synthetic.pixels.mul_(10)
    wild = synthetic.pixels.detach().clone()
    synthetic.clamp_()
    inside = (wild >= synthetic.low) & (wild <= synthetic.high)
    assert torch.equal(synthetic.pixels[inside], wild[inside])
    assert (synthetic.pixels >= synthetic.low).all()
    assert (synthetic.pixels <= synthetic.high).all()


def test_plain_decoding_is_the_identity():
    synthetic = SyntheticSet.start(IMAGES, 2)
    x, y = synthetic.decode()
    assert torch.equal(x, synthetic.pixels)
    assert torch.equal(y, synthetic.labels)


def test_multi_formation_cuts_and_upsamples():
    """f² tiles of every stored image, row by row, each upsampled alone; the slow way cuts them one at a time."""
    synthetic = SyntheticSet.start(IMAGES, 2, factor=2)
    x, y = synthetic.decode()
    assert len(synthetic) == len(x) == 16
    assert y.tolist() == [0] * 8 + [1] * 8
    k = 0
    for image in synthetic.pixels:
        for top in (0, 4):
            for left in (0, 4):
                tile = image[None, :, top : top + 4, left : left + 4]
                slow = F.interpolate(tile, scale_factor=2, mode="bilinear", align_corners=False)[0]
                torch.testing.assert_close(x[k], slow)
                k += 1
    x.sum().backward()
    assert (synthetic.pixels.grad != 0).all()


def test_a_tiled_start_decodes_to_the_images_it_was_made_of_up_to_their_resolution():
    """Blocks of equal pixels survive the shrinking; the order is kept, so the classes are."""
    coarse = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    images = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    stored = tiled(images, 2)
    assert stored.shape == (2, 3, 8, 8)
    for i in range(8):
        row, column = divmod(i % 4, 2)
        assert torch.equal(stored[i // 4, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4], coarse[i])
    assert torch.equal(tiled(images, 1), images)


def test_decoding_a_choice_is_choosing_from_the_decoded():
    synthetic = SyntheticSet.start(IMAGES, 3, factor=2)
    x, _y = synthetic.decode()
    part, labels = synthetic.decode(torch.tensor([4, 1]))
    torch.testing.assert_close(part, torch.cat([x[16:20], x[4:8]]))
    assert labels.tolist() == [1] * 4 + [0] * 4


def test_a_table_row_is_a_record():
    synthetic = SyntheticSet.start(TABLE, 4)
    assert synthetic.decode()[0].shape == (8, 5)
    with pytest.raises(InputError, match="factor 2"):
        SyntheticSet.start(TABLE, 4, factor=2)


def test_soft_labels_and_checkpoints():
    synthetic = SyntheticSet.start(IMAGES, 2, factor=2)
    state = {name: value.clone() for name, value in synthetic.state_dict().items()}
    other = SyntheticSet.start(IMAGES, 2, seed=5, factor=2)
    other.load_state_dict(state)
    assert torch.equal(other.pixels, synthetic.pixels)
    probabilities = torch.rand(16, 2, generator=torch.Generator().manual_seed(0)).softmax(1)
    synthetic.label_softly(probabilities)
    assert torch.equal(synthetic.soft_labels, probabilities)
    for wrong in (probabilities[:4], probabilities * 2, probabilities - 1):
        with pytest.raises(InputError, match="soft labels"):
            synthetic.label_softly(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ipc": 0}, "at least 1"),
        ({"ipc": 1, "factor": 3}, "must divide"),
        ({"ipc": 1, "warm": torch.zeros(3, 3, 8, 8)}, "M labels"),
        ({"ipc": 1, "warm": torch.full((2, 3, 8, 8), float("nan"))}, "finite"),
    ],
)
def test_bad_starts_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SyntheticSet.start(IMAGES, **arguments)


def test_warm_start_copies_what_was_released():
    given = torch.zeros(2, 3, 8, 8)
    synthetic = SyntheticSet.start(IMAGES, 1, warm=given)
    given.fill_(1)
    assert (synthetic.pixels == 0).all()
