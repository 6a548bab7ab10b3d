"""The curator: planned queries only, kept answers, and a fake twin without data."""

from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import conv2d

from dpcond.errors import AnswerLost, BudgetError, InputError, LedgerError
from dpcond.privacy.curator import Curator
from dpcond.privacy.ledger import Ledger
from dpcond.privacy.noise import DiscreteGaussianNoise, GaussianNoise
from dpcond.privacy.queries import ClassSums, Feature
from tests.laws.checks import PIXELS, SPEC, constant, plan_of, toy


def kept(plan):
    return replace(plan, stages=tuple(replace(s, keep=True) for s in plan.stages))


def test_what_is_not_planned_is_refused(tmp_path):
    plan = plan_of(count=2)
    other = ClassSums(Feature(lambda x: x.flatten(1)[:, :5], 5, 1.0), 3, "other")
    with Ledger.create(tmp_path / "l", plan) as ledger:
        curator = Curator(SPEC, plan, toy(), ledger)
        for stage, index, query in (("s", 0, other), ("s", 1, PIXELS), ("s", 2, PIXELS), ("t", 0, PIXELS)):
            with pytest.raises(InputError):
                curator.ask(stage, index, query)
        assert ledger.charged("s") == 0
        curator.ask("s", 0, PIXELS)
        curator.ask("s", 1, PIXELS)
        with pytest.raises(BudgetError, match="2 of 2"):
            curator.ask("s", 2, PIXELS)


CALLERS = {
    "autocast": lambda stack: stack.enter_context(torch.autocast("cpu", torch.bfloat16)),
    "legacy setting": lambda stack: setting(stack, torch, "float32_matmul_precision", "medium"),
    "products": lambda stack: setting(stack, torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    "convolutions": lambda stack: setting(stack, torch.backends.mkldnn.conv, "fp32_precision", "bf16"),
}


def setting(stack, where, name, value):
    if where is torch:
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        return torch.set_float32_matmul_precision(value)
    stack.callback(setattr, where, name, getattr(where, name))
    return setattr(where, name, value)


@pytest.mark.parametrize("caller", CALLERS)
def test_the_wall_computes_in_float32_whatever_its_caller_does(caller, tmp_path):
    """Rounded to bfloat16, a gradient in closed form would exceed its clipping norm by more than the hair left for it."""
    generator, errors = torch.Generator().manual_seed(0), []
    matrix, kernel = torch.randn(64, 64, generator=generator), torch.randn(1, 1, 3, 3, generator=generator)

    def statistic(x):
        products, filtered = x.flatten(1) @ matrix, conv2d(x, kernel, padding=1)
        exact = x.double().flatten(1) @ matrix.double(), conv2d(x.double(), kernel.double(), padding=1)
        errors.extend(float((a - b).abs().max()) for a, b in zip((products, filtered), exact, strict=True))
        return products

    def settings():
        return [op.fp32_precision for op in (torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv)]

    query = ClassSums(Feature(statistic, PIXELS.feature.width, 1.0), PIXELS.classes, "products")
    with Ledger.create(tmp_path / "l", plan_of()) as ledger, ExitStack() as stack:
        CALLERS[caller](stack)
        before = settings()
        Curator(SPEC, plan_of(), toy(), ledger).ask("s", 0, query)
        assert settings() == before, "the caller's settings are given back"
    assert errors
    assert max(errors) < 1e-4


def test_a_kept_answer_is_returned_as_it_was_and_costs_nothing(tmp_path):
    plan = kept(plan_of(count=2))
    with Ledger.create(tmp_path / "l", plan) as ledger:
        first = Curator(SPEC, plan, toy(), ledger, answers=tmp_path / "a").ask("s", 0, PIXELS)
    with Ledger.resume(tmp_path / "l", plan) as ledger:
        again = Curator(SPEC, plan, toy(), ledger, answers=tmp_path / "a")
        assert torch.equal(again.ask("s", 0, PIXELS), first)
        assert ledger.charged("s") == 1
        renamed = ClassSums(PIXELS.feature, 3, "another question")
        with pytest.raises(BudgetError, match="another question"):
            again.ask("s", 0, renamed)


def test_an_older_copy_of_the_ledger_is_noticed_by_its_answers(tmp_path):
    """Asked again it would be drawn anew: two answers for one charge."""
    plan = kept(plan_of(count=2))
    with Ledger.create(tmp_path / "l", plan) as ledger:
        older = (tmp_path / "l").read_bytes()
        first = Curator(SPEC, plan, toy(), ledger, answers=tmp_path / "a").ask("s", 0, PIXELS)
    (tmp_path / "l").write_bytes(older)
    with Ledger.resume(tmp_path / "l", plan) as ledger:
        with pytest.raises(LedgerError, match="older copy"):
            Curator(SPEC, plan, toy(), ledger, answers=tmp_path / "a").ask("s", 0, PIXELS)
        assert ledger.charged("s") == 0
    answers = list((tmp_path / "a").iterdir())
    assert len(answers) == 1
    assert torch.equal(load_file(answers[0])["answer"], first)


@pytest.mark.parametrize("damage", ["remove", "truncate"])
def test_a_lost_answer_stays_spent(tmp_path, damage):
    plan = kept(plan_of(count=2))
    with Ledger.create(tmp_path / "l", plan) as ledger:
        curator = Curator(SPEC, plan, toy(), ledger, answers=tmp_path / "a")
        curator.ask("s", 0, PIXELS)
        (path,) = (tmp_path / "a").iterdir()
        if damage == "remove":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:20])
        with pytest.raises(AnswerLost):
            curator.ask("s", 0, PIXELS)
        assert ledger.charged("s") == 1
        curator.ask("s", 1, PIXELS)


def test_an_answer_of_a_stage_that_is_not_kept_is_nowhere_on_disk(tmp_path):
    plan = plan_of()
    with Ledger.create(tmp_path / "l", plan) as ledger:
        Curator(SPEC, plan, toy(), ledger, answers=tmp_path / "a").ask("s", 0, PIXELS)
    assert list((tmp_path / "a").iterdir()) == []


def test_real_records_need_a_ledger():
    with pytest.raises(InputError, match="ledger"):
        Curator(SPEC, plan_of(), toy())


def test_the_fake_curator_answers_noise_of_the_planned_size():
    plan = plan_of(count=30)
    curator = Curator(SPEC, plan)
    answers = torch.stack([curator.ask("s", i, PIXELS) for i in range(30)])
    expected = plan.event("s").noise_multiplier
    assert answers.std().item() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("noise", [GaussianNoise, DiscreteGaussianNoise])
def test_without_privacy_the_answer_is_the_plain_sum(tmp_path, noise):
    plan = plan_of(private=False)
    records = toy()
    with Ledger.create(tmp_path / "l", plan) as ledger:
        answer = Curator(SPEC, plan, records, ledger, noise=noise(), batch=7).ask("s", 0, PIXELS)
    x, y = records.batch(slice(None))
    plain = torch.zeros(3, 64).index_add_(0, y, x.flatten(1))
    assert torch.allclose(answer, plain, atol=1e-4)


def test_discrete_answers_lie_on_the_grid(tmp_path):
    plan = plan_of()
    noise = DiscreteGaussianNoise()
    step = noise.grid(plan.event("s").noise_multiplier)
    with Ledger.create(tmp_path / "l", plan) as ledger:
        answer = Curator(SPEC, plan, constant(3), ledger, noise=noise).ask("s", 0, PIXELS).double()
    near = torch.round(answer / step) * step
    assert torch.allclose(answer, near, atol=1e-6)  # float32 of a grid point


class Mixer(nn.Module):
    def forward(self, x):
        return x.flatten(1) - x.flatten(1).mean(0)


def test_unnamed_coupling_of_records_is_caught_before_anything_is_spent(tmp_path):
    plan = plan_of()
    query = ClassSums(Feature(Mixer(), 64, 1.0), 3, "mixed")
    with Ledger.create(tmp_path / "l", plan) as ledger:
        with pytest.raises(InputError, match="couples"):
            Curator(SPEC, plan, toy(), ledger).ask("s", 0, query)
        assert ledger.charged("s") == 0


def test_empty_batches_answer_noise(tmp_path):
    plan = plan_of(count=3, rate=1e-6)
    with Ledger.create(tmp_path / "l", plan) as ledger:
        curator = Curator(SPEC, plan, toy(), ledger)
        assert all(curator.ask("s", i, PIXELS).std() > 0 for i in range(3))


def test_the_batch_size_changes_nothing(tmp_path):
    plan = plan_of(private=False)
    found = []
    for batch in (1, 13, 256):
        with Ledger.create(tmp_path / f"l{batch}", plan) as ledger:
            found.append(Curator(SPEC, plan, toy(), ledger, batch=batch).ask("s", 0, PIXELS))
    assert torch.allclose(found[0], found[1], atol=1e-4)
    assert torch.allclose(found[0], found[2], atol=1e-4)
