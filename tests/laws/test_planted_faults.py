"""Every law holds; and for every fault that published code has had, a check that finds it."""

import pytest
import torch

from dpcond.methods import base, merf
from dpcond.privacy import clipping, curator, gradients, mapped, queries
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.noise import GaussianNoise, SeededEntropy
from dpcond.synthetic import SyntheticSet
from tests.laws.checks import CHECKS, toy


@pytest.mark.parametrize("name", CHECKS)
def test_the_law_holds(name, tmp_path):
    CHECKS[name](tmp_path)


def noise_halved(patch):
    draw = GaussianNoise.draw
    patch.setattr(GaussianNoise, "draw", lambda self, shape, std: draw(self, shape, std / 2))


def clip_skipped(patch):
    patch.setattr(clipping, "clip_scales", lambda norms, bound: torch.ones_like(norms.double()))


def linear_clip_skipped(patch):
    patch.setattr(gradients, "clip_scales", lambda norms, bound: torch.ones_like(norms))


def kept_features_whitened(patch):
    """Mapped records centred on their own mean before they are kept: a statistic of the records that nobody charged."""
    keep = mapped.MappedRecords._keep

    def whitened(self, batch):
        keep(self, batch)
        values, labels = self._kept
        self._kept = values - values.mean(0), labels

    patch.setattr(mapped.MappedRecords, "_keep", whitened)


def global_reseed_before_the_noise(patch):
    """NDPDC and DOSser: noise from the global generator, just re-seeded by the augmentation."""

    def draw(self, shape, std):
        torch.manual_seed(1234)
        return torch.randn(shape, dtype=torch.float64) * std

    patch.setattr(GaussianNoise, "draw", draw)


def one_noise_for_two_releases(patch):
    """DP-KIP's tables: a noise key that starts again every epoch."""
    draw, drawn = GaussianNoise.draw, {}
    patch.setattr(GaussianNoise, "draw", lambda self, shape, std: drawn.setdefault(shape, draw(self, shape, std)))


def noise_at_use(patch):
    stored = curator.Curator._stored

    def noised(self, stage, index, query):
        answer = stored(self, stage, index, query)
        return answer + self._noise.draw(query.shape, 1.0).float()

    patch.setattr(curator.Curator, "_stored", noised)


def answer_before_charge(patch):
    ask, charge = curator.Curator.ask, Ledger.charge
    late = []

    def ask_then_charge(self, stage, index, query):
        patch.setattr(Ledger, "charge", lambda *args: late.append(args))
        answer = ask(self, stage, index, query)
        charge(*late.pop())
        return answer

    patch.setattr(curator.Curator, "ask", ask_then_charge)


def one_event_too_few(patch):
    charge = Ledger.charge

    def forgetful(self, stage, index, event, query):
        if index != 1:
            charge(self, stage, index - (index > 1), event, query)

    patch.setattr(Ledger, "charge", forgetful)
    patch.setattr(curator.Curator, "charged", lambda self, stage: self._asked.get(stage, 0))


def realised_batch_size_in_the_denominator(patch):
    clean = curator.Curator._clean_sum

    def divided(self, query, stage, grid):
        total = clean(self, query, stage, grid)
        return total / total.sum().clamp_min(1) if query.name == "counts" else total

    patch.setattr(curator.Curator, "_clean_sum", divided)


def fixed_size_batches(patch):
    patch.setattr(
        curator,
        "poisson_sample",
        lambda n, rate, entropy: torch.randperm(n, generator=torch.Generator().manual_seed(0))[: int(rate * n)].numpy(),
    )


def exact_counts(patch):
    patch.setattr(base, "class_sizes", lambda c: torch.bincount(c._records.y, minlength=3).float())


def real_initialisation(patch):
    start = SyntheticSet.start

    def from_records(spec, ipc, *args, **kwargs):
        synthetic = start(spec, ipc, *args, **kwargs)
        with torch.no_grad():
            synthetic.pixels.copy_(real.pop().batch(slice(0, len(synthetic.pixels)))[0])
        return synthetic

    real = [toy(seed=2), toy(seed=1)]
    patch.setattr(merf.SyntheticSet, "start", staticmethod(from_records))


def replace_one_counted_as_add(patch):
    patch.setattr(queries.Query, "sensitivity", lambda self, adjacency: self.record_norm())


FAULTS = {
    noise_halved: "noise_has_the_planned_scale",
    clip_skipped: "one_record_is_bounded",
    linear_clip_skipped: "one_mapped_record_is_bounded",
    kept_features_whitened: "one_mapped_record_is_bounded",
    global_reseed_before_the_noise: "noise_ignores_global_seeds",
    one_noise_for_two_releases: "releases_are_independent",
    noise_at_use: "an_answer_is_noised_once",
    answer_before_charge: "charged_before_answered",
    one_event_too_few: "every_answer_is_charged",
    realised_batch_size_in_the_denominator: "batches_are_poisson_sums",
    fixed_size_batches: "batches_are_poisson_sums",
    exact_counts: "counts_are_noisy",
    real_initialisation: "start_is_public",
    replace_one_counted_as_add: "replace_one_noise_has_the_planned_scale",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_a_planted_fault_is_found(fault, monkeypatch, tmp_path):
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        CHECKS[FAULTS[fault]](tmp_path)


def test_a_seeded_source_must_be_declared(tmp_path):
    from tests.laws.checks import SPEC, constant, plan_of

    plan = plan_of()
    with (
        Ledger.create(tmp_path / "l", plan) as ledger,
        pytest.raises(ValueError, match="not private"),
    ):
        curator.Curator(SPEC, plan, constant(1), ledger, noise=GaussianNoise(SeededEntropy(0)))
