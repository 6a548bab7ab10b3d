"""Groundhog-style attack (Stadler et al. 2022): a random forest on features of a release, trained on shadow releases.

The original spends thousands of releases on each target. Here the features of a (run, record) pair are its scores under every
signal, put on the record's own scale by the training runs, so that one forest learns from all records; runs are never split.
"""

import numpy as np

from attacks.shadows.lira import lira_online
from attacks.shadows.membership import pair_of
from attacks.shadows.moments import from_runs

FOLDS = 4
ROWS = 10_000  # training pairs at most


def groundhog(phis: np.ndarray, member: np.ndarray, seed: int = 0) -> np.ndarray:
    """Out-of-fold P[in] of each (run, record): signals phis [F, K, n], member [K, n] -> [K, n]; pairs of runs stay together."""
    pairs = pair_of(np.arange(len(member)))
    folds = min(FOLDS, pairs.max() + 1)
    fold = np.random.default_rng(seed).permutation(pairs.max() + 1)[pairs] % folds
    scores = np.empty(member.shape)
    for held in range(folds):
        test = fold == held
        scores[test] = predict(phis, member, ~test, test, seed)
    return scores


def predict(phis: np.ndarray, member: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int = 0) -> np.ndarray:
    """P[in] [test, n] from a forest trained on the runs `train` [K] (booleans)."""
    from sklearn.ensemble import RandomForestClassifier

    features = np.stack([_features(phi, member, train) for phi in phis]).reshape(2 * len(phis), *member.shape)
    x, y = features[:, train].reshape(len(features), -1).T, member[train].ravel()
    rows = np.random.default_rng(seed).permutation(len(x))[:ROWS]
    forest = RandomForestClassifier(100, min_samples_leaf=20, random_state=seed, n_jobs=1).fit(x[rows], y[rows])
    answer = forest.predict_proba(features[:, test].reshape(len(features), -1).T)[:, 1]
    return np.asarray(answer.reshape(int(test.sum()), -1))


def _features(phi: np.ndarray, member: np.ndarray, train: np.ndarray) -> np.ndarray:
    """φ on the record's own scale, and its likelihood ratio; both from the training runs alone."""
    moments = from_runs(phi[train], member[train])
    centre, spread = phi[train].mean(axis=0), phi[train].std(axis=0) + 1e-12
    ratio = lira_online(phi, moments)
    ratio[train] = _leave_out(phi[train], member[train])
    return np.stack([(phi - centre) / spread, ratio])


def _leave_out(phi: np.ndarray, member: np.ndarray) -> np.ndarray:
    from attacks.shadows.moments import left_out

    return lira_online(phi, left_out(phi, member))
