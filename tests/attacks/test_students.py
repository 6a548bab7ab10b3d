"""Students: trained on the released tensor and nothing else, together as if alone, log-odds in full precision."""

import numpy as np
import pytest
import torch

from attacks.errors import InputError
from attacks.records import Records
from attacks.release_set import ReleaseSet
from attacks.students import log_odds, train
from attacks.students.attacks import lira_offline, rmia
from attacks.students.ensemble import _log_odds, assert_trained_on


def release(seed: int, n: int = 12, soft: bool = False) -> ReleaseSet:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return ReleaseSet(rng.standard_normal((n, 4)) + y[:, None], y, np.eye(3)[y] if soft else None)


def test_students_prove_what_they_were_trained_on() -> None:
    one, two = release(0), release(1, n=9)
    ensemble = train([one, two], 2, seed=0, steps=3)
    assert ensemble.trained_on == (one.hash, one.hash, two.hash, two.hash)
    with pytest.raises(InputError, match="student 0 was trained on a tensor that is not the released set"):
        assert_trained_on(ensemble, [two, one, two, two])  # the initial images instead of the released ones


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_a_student_in_a_batch_is_the_student_alone(kind: str) -> None:
    rng = np.random.default_rng(0)
    sets = [ReleaseSet(rng.random((n, 1, 8, 8)), np.arange(n) % 2) for n in (6, 4)]
    queries = Records(rng.random((10, 1, 8, 8)), np.arange(10) % 2)
    together = log_odds(train(sets, 1, seed=5, steps=10, network=kind), queries)
    alone = log_odds(train(sets[:1], 1, seed=5, steps=10, network=kind), queries)
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-3, atol=1e-4)


def test_training_leaves_global_randomness_alone_and_learns() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = release(0, n=60)
    ensemble = train([one], 3, seed=0)
    assert torch.equal(before, torch.get_rng_state())
    assert (log_odds(ensemble, Records(one.x, one.y)) > 0).mean() > 0.95


def test_log_odds_against_the_definition_and_without_underflow() -> None:
    logits = torch.tensor([[[2.0, -1.0, 0.5], [900.0, 0.0, -900.0]]], dtype=torch.float64)
    got = _log_odds(logits, torch.tensor([1, 0]))
    p = np.exp([2.0, -1.0, 0.5])
    assert got[0, 0] == pytest.approx(np.log(p[1]) - np.log(p[0] + p[2]))
    assert got[0, 1] == pytest.approx(900.0)


def test_offline_attacks_order_members_above_others() -> None:
    rng = np.random.default_rng(0)
    out, z_out, z = rng.standard_normal((8, 200)), rng.standard_normal((8, 300)), rng.standard_normal((4, 300))
    phi = rng.standard_normal((4, 200))
    phi[:, :50] += 3
    for attack in (lira_offline, rmia):
        score = attack(phi, out, z, z_out)
        assert score.shape == (200,)
        assert np.median(score[:50]) > np.quantile(score[50:], 0.9)
