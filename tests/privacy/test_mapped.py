"""A public map in front of a query: computed once, the same answers as without, and the records' own protection."""

import numpy as np
import pytest
import torch
from torch import nn

from dpcond.errors import InputError
from dpcond.privacy import mapped
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.mapped import MappedRecords
from dpcond.privacy.plan import Stage, make_plan
from dpcond.privacy.queries import ClassSums, Feature, GradientSum
from tests.laws.checks import PIXELS, SPEC, toy

WEIGHTS = 0.1 * torch.randn(64, 5, generator=torch.Generator().manual_seed(0))


class Counting(nn.Module):
    """A fixed nonlinear map to five values that counts the records it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return (x.flatten(1) @ WEIGHTS).tanh()


class Mixer(nn.Module):
    def forward(self, x):
        return x.flatten(1) - x.flatten(1).mean(0)


class Behind(nn.Module):
    """The map and the head as one network, with the head alone to be trained."""

    def __init__(self):
        super().__init__()
        self.head = head()

    def forward(self, x):
        return self.head((x.flatten(1) @ WEIGHTS).tanh())


def head():
    layer = nn.Linear(5, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(15.0).view(3, 5) / 15)
        layer.bias.zero_()
    return layer


def plan(count, dimension=18, private=False):
    return make_plan([Stage("s", count, dimension, 1.0)], 1.0, 1e-5, "add_remove", {}, private=private)


@pytest.fixture
def ask(tmp_path):
    """Answers of one curator to several queries, without noise."""
    ledgers = []

    def run(*queries, records=None, batch=7):
        planned = plan(len(queries), queries[0].dimension)
        ledgers.append(Ledger.create(tmp_path / f"l{len(ledgers)}", planned))
        with ledgers[-1] as ledger:
            curator = Curator(
                SPEC, planned, records or toy(), ledger, answers=tmp_path / f"a{len(ledgers)}", batch=batch
            )
            return [curator.ask("s", index, query) for index, query in enumerate(queries)]

    return run


@pytest.mark.parametrize("keep", [mapped.KEEP_BYTES, 0])
@pytest.mark.parametrize("engine", ["vmap", "linear"])
def test_a_map_before_the_head_gives_what_the_whole_network_gives(ask, monkeypatch, keep, engine):
    monkeypatch.setattr(mapped, "KEEP_BYTES", keep)
    (whole,) = ask(GradientSum(Behind(), 0.3, "g", engine="loop"))
    (apart,) = ask(GradientSum(head(), 0.3, "g", mapping=Counting(), engine=engine))
    torch.testing.assert_close(apart, whole, atol=1e-4, rtol=1e-4)


def test_the_records_are_mapped_once_for_all_releases(ask):
    counting = Counting()
    queries = [GradientSum(head(), 0.3, str(i), mapping=counting.forward) for i in range(4)]  # equal, not identical
    ask(*queries[:1])
    once, counting.seen = counting.seen, 0
    ask(*queries)
    probes = 3 * (3 + 4 + 3 + 3)  # three later releases, each of which tries three public records
    assert once >= len(toy())
    assert counting.seen <= once + probes


def test_they_are_given_back_with_the_last_release(tmp_path):
    planned = plan(2)
    with Ledger.create(tmp_path / "l", planned) as ledger:
        curator, map_, held = Curator(SPEC, planned, toy(), ledger), Counting(), []
        for index in range(2):
            curator.ask("s", index, GradientSum(head(), 0.3, str(index), mapping=map_))
            held.append(curator._mapped is not None)
    assert held == [True, False]


def test_another_map_takes_the_place_of_the_last(ask):
    """Answers never mix two maps."""
    first, second = (
        GradientSum(head(), 0.3, "g", mapping=m) for m in (Counting(), nn.Sequential(Counting(), nn.Tanh()))
    )
    a, b, again = ask(first, second, first)
    assert torch.equal(a, again)
    assert not torch.allclose(a, b)


@pytest.mark.parametrize("kind", ["gradients", "class sums"])
def test_a_map_that_couples_records_is_refused_before_anything_is_spent(tmp_path, kind):
    """Whatever query carries it."""
    query = GradientSum(nn.Linear(64, 3), 1.0, "g", mapping=Mixer())
    if kind == "class sums":
        query = ClassSums(Feature(lambda x: x.flatten(1), 64, 1.0), 3, "c")
        query.mapping = Mixer()
    planned = plan(1, query.dimension, private=True)
    with Ledger.create(tmp_path / "l", planned) as ledger:
        with pytest.raises(InputError, match="couples"):
            Curator(SPEC, planned, toy(), ledger).ask("s", 0, query)
        assert ledger.charged("s") == 0


def test_layers_that_couple_records_are_refused_by_name():
    norm = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten())
    for mapping in (norm, norm.forward):
        with pytest.raises(InputError, match="BatchNorm2d"):
            GradientSum(nn.Linear(64, 3), 1.0, "g", mapping=mapping)


def test_a_map_and_a_transform_are_not_both_taken():
    with pytest.raises(InputError, match="not both"):
        GradientSum(head(), 1.0, "g", mapping=Counting(), transform=lambda x: x)


def test_mapped_records_are_the_records(monkeypatch):
    records, map_ = toy(), Counting()
    for keep in (0, mapped.KEEP_BYTES):
        monkeypatch.setattr(mapped, "KEEP_BYTES", keep)
        behind = MappedRecords(records, map_, torch.device("cpu"), batch=7)
        chosen = np.array([3, 1, 59])
        x, y = behind.batch(chosen)
        torch.testing.assert_close(x, map_(records.batch(chosen)[0]))
        assert torch.equal(y, records.batch(chosen)[1])
        assert len(behind) == len(records)
        assert repr(behind) == "MappedRecords(private)"


def test_only_answers_reach_the_disk(ask, tmp_path):
    ask(GradientSum(head(), 0.3, "g", mapping=Counting()))
    assert [path.name for path in (tmp_path / "a1").iterdir()] == ["s-00000.safetensors"]
    assert (tmp_path / "a1" / "s-00000.safetensors").stat().st_size < 4 * PIXELS.dimension + 512
