"""Attacks on a release alone: closed forms of linear distribution matching, slow oracles, what must be refused."""

import numpy as np
import pytest
from scipy.stats import norm

from attacks.errors import InputError
from attacks.procedures import LinearDM
from attacks.records import Records
from attacks.release_set import ReleaseSet
from attacks.scores import SCORES, compute
from attacks.scores.background import Background
from attacks.statistics import roc

# d, n, AUC and TPR at 0.1% FPR of theory: mu = sqrt(d/n), AUC = Phi(mu/sqrt 2), TPR = Phi(mu + Phi^-1(0.001))
GOLDEN = [(60, 300, 0.6241, 0.0041), (300, 300, 0.7602, 0.0183)]


def gaussian(n: int, d: int, seed: int, classes: int = 1) -> Records:
    rng = np.random.default_rng(seed)
    return Records(rng.standard_normal((n, d)), rng.integers(0, classes, n))


def scored(name: str, release: ReleaseSet, members: Records, others: Records, known: Records) -> tuple:
    x, y = np.concatenate([members.x, others.x]), np.concatenate([members.y, others.y])
    scores = compute(name, x, y, release, Background(known))
    return scores[: len(members)], scores[len(members) :]


@pytest.mark.parametrize(("d", "n", "auc", "tpr"), GOLDEN)
@pytest.mark.parametrize("init", ["noise", "data"])
def test_mean_attack_meets_the_closed_form(d: int, n: int, auc: float, tpr: float, init: str) -> None:
    mu = np.sqrt(d / n)
    assert norm.cdf(mu / np.sqrt(2)) == pytest.approx(auc, abs=5e-5)
    assert norm.cdf(mu + norm.ppf(0.001)) == pytest.approx(tpr, abs=5e-5)
    known, measured = gaussian(8000, d, 99), []
    for rep in range(8):
        members, others = gaussian(n, d, 2 * rep), gaussian(n, d, 2 * rep + 1)
        release = LinearDM(10, init)(members.x, members.y, rep)
        measured.append(roc(*scored("mean", release, members, others, known)).auc)
    # a repetition's AUC has sd <= 0.022 (n = 300, DeLong), the mean of 8 <= 0.008; the finite-n forms differ by < 0.005
    assert abs(np.mean(measured) - auc) < 5 * 0.008 + 0.005


@pytest.mark.parametrize(("d", "n", "auc"), [(1000, 2500, 0.6726), (3072, 2500, 0.7834), (3072, 5000, 0.7103)])
def test_mean_attack_at_the_sizes_of_cifar(d: int, n: int, auc: float) -> None:
    """Isotropic records need no whitening: the score is the plain ⟨x, mean(S)⟩. DeLong's sd is at most 0.0075 here."""
    assert norm.cdf(np.sqrt(d / n) / np.sqrt(2)) == pytest.approx(auc, abs=5e-5)
    members, others = gaussian(n, d, 0), gaussian(n, d, 1)
    mean = LinearDM(10, "noise")(members.x, members.y, 2).x.mean(axis=0)
    assert abs(roc(members.x @ mean, others.x @ mean).auc - auc) < 5 * 0.0075 + 0.005


def test_offset_attack_finds_all_initial_members_and_nobody_else() -> None:
    members, others, known = gaussian(300, 60, 0), gaussian(300, 60, 1), gaussian(1000, 60, 2)
    release = LinearDM(10, "data")(members.x, members.y, 7)
    start = np.random.default_rng(7).choice(300, 10, replace=False)
    inside, outside = scored("offset", release, members, others, known)
    flagged = np.flatnonzero(inside > 5)
    assert set(flagged) == set(start)  # 10 of 10, and 0 of the 290 other members
    assert (outside <= 5).all()  # 0 of 300
    noise = LinearDM(10, "noise")(members.x, members.y, 7)
    assert (np.concatenate(scored("offset", noise, members, others, known)) < 5).all()


@pytest.mark.parametrize("name", [n for n in SCORES if n not in ("soft_labels", "monte_carlo", "mean")])
def test_records_released_as_they_are_come_out_on_top(name: str) -> None:
    members, others, known = (gaussian(n, 40, seed, 3) for n, seed in ((100, 0), (200, 1), (500, 2)))
    release = ReleaseSet(members.x[:20], members.y[:20])
    inside, outside = scored(name, release, members, others, known)
    assert inside[:20].min() > max(outside.max(), inside[20:].max())


def test_density_ratio_works_with_fewer_releases_than_dimensions() -> None:
    members, others, known = gaussian(300, 500, 0), gaussian(300, 500, 1), gaussian(1000, 500, 2)
    for m in (1, 5):
        scores = np.concatenate(
            scored("density_ratio", ReleaseSet(members.x[:m], members.y[:m]), members, others, known)
        )
        assert np.isfinite(scores).all()
        assert set(np.argsort(-scores)[:m]) == set(range(m))


def test_closest_record_against_the_obvious_loop() -> None:
    members, known = gaussian(30, 7, 0, 2), gaussian(50, 7, 1, 2)
    release = ReleaseSet(known.x[:6], np.array([0, 0, 1, 1, 0, 1]))
    got = SCORES["dcr"].run(members.x, members.y, release, Background(known))
    for i in range(30):
        distances = [
            np.linalg.norm(members.x[i] - s) for s, c in zip(release.x, release.y, strict=True) if c == members.y[i]
        ]
        assert got[i] == pytest.approx(-min(distances), rel=1e-5)


def test_soft_labels_fitted_to_members_give_them_away() -> None:
    rng = np.random.default_rng(0)
    members, others, known = gaussian(60, 10, 0, 2), gaussian(60, 10, 1, 2), gaussian(100, 10, 2, 2)
    x = rng.standard_normal((80, 10)).astype("f4")
    squared = ((members.x[:, None] - x[None]) ** 2).sum(-1)
    own = ((x[:, None] - x[None]) ** 2).sum(-1)
    scale = np.median(own[own > 0])
    kernel = np.exp(-squared / scale) @ np.linalg.inv(np.exp(-own / scale) + 1e-3 * np.eye(80))
    soft = np.linalg.lstsq(kernel, np.eye(2)[members.y], rcond=1e-3)[0]  # label-solve on the members
    inside, outside = scored("soft_labels", ReleaseSet(x, soft.argmax(1), soft), members, others, known)
    assert roc(inside, outside).auc > 0.9


@pytest.mark.parametrize("name", [n for n in SCORES if n != "soft_labels"])
def test_scores_of_a_disjoint_release_tell_nothing(name: str) -> None:
    members, others, known = (gaussian(1000, 20, seed, 2) for seed in (0, 1, 2))
    release = ReleaseSet(*(lambda r: (r.x, r.y))(gaussian(20, 20, 3, 2)))
    assert abs(roc(*scored(name, release, members, others, known)).auc - 0.5) < 5 * 0.0129  # sd 1/sqrt(6·1000); 1e-6


def test_refusals_are_one_line() -> None:
    members, known = gaussian(30, 7, 0), gaussian(50, 7, 1)
    with pytest.raises(InputError, match="not known; choose from dcr"):
        compute("nope", members.x, members.y, ReleaseSet(known.x[:3], known.y[:3]), Background(known))
    with pytest.raises(InputError, match="all 30 scores are the same"):
        compute("dcr", np.ones((30, 7)), members.y, ReleaseSet(known.x[:3], known.y[:3]), Background(known))
    with pytest.raises(InputError, match="NaN or infinite"):
        Records(np.full((3, 2), np.nan), np.zeros(3))
    with pytest.raises(InputError, match="has shape"):
        ReleaseSet(known.x[:3, :5], known.y[:3]).check_against(members)
    with pytest.raises(InputError, match="label 9 does not occur"):
        ReleaseSet(known.x[:1], np.array([9])).check_against(members)
    assert "different units" in ReleaseSet(5 * known.x[:9], known.y[:9]).check_against(members)[0]
    with pytest.raises(InputError, match="same scale"):
        ReleaseSet(255 * known.x[:9], known.y[:9]).check_against(members)


def test_release_is_read_from_npz_safetensors_and_folder(tmp_path) -> None:
    import torch
    from safetensors.torch import save_file

    release = ReleaseSet(gaussian(4, 3, 0).x, np.arange(4), np.eye(4))
    release.save(tmp_path / "one.npz")
    (tmp_path / "run").mkdir()
    save_file(
        {"x": torch.from_numpy(release.x), "y": torch.from_numpy(release.y), "soft": torch.eye(4)},
        tmp_path / "run" / "data.safetensors",
    )
    for path in (tmp_path / "one.npz", tmp_path / "run", tmp_path / "run" / "data.safetensors"):
        again = ReleaseSet.read(path)
        assert again.hash == release.hash
        np.testing.assert_array_equal(again.y, release.y)
        np.testing.assert_array_equal(again.soft, release.soft)
    (tmp_path / "run" / "spec.json").write_text('{"mean": [0.5], "std": [0.25]}')  # a public normalisation is undone
    np.testing.assert_allclose(ReleaseSet.read(tmp_path / "run").x, release.x * 0.25 + 0.5, rtol=1e-6)
    with pytest.raises(InputError, match="no such release"):
        ReleaseSet.read(tmp_path / "nothing")
