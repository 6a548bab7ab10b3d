"""What the attacker knows of the population: a reference set and the quantities computed from it once."""

from functools import cached_property

import numpy as np

from attacks.errors import InputError
from attacks.records import Records, flat
from attacks.scores.distances import log_density, squared_distances

COMPONENTS = 50  # of the PCA space in which densities are compared
CENTRES = 4000  # at most so many reference records carry a kernel


class Background:
    """A reference set [R, features] with its class means, shrunk within-class covariance, PCA and bandwidths."""

    def __init__(self, reference: Records) -> None:
        if len(reference) < 10:
            raise InputError(f"reference: {len(reference)} records are too few, give at least 10")
        self.records = reference
        self.x = flat(reference.x)
        self.y = reference.y
        self._bandwidths: dict[int, float] = {}

    def mean(self, label: int) -> np.ndarray:
        """Mean [features] of a class; of everything if the class is absent."""
        rows = self.y == label
        return np.asarray(self.x[rows].mean(axis=0) if rows.any() else self.x.mean(axis=0))

    @cached_property
    def residuals(self) -> np.ndarray:
        """Records less the mean of their class."""
        centred = self.x.copy()
        for label in np.unique(self.y):
            centred[self.y == label] -= self.mean(label)
        return centred

    @cached_property
    def precision_factor(self) -> tuple[np.ndarray, bool]:
        """Cholesky factor of the within-class covariance, shrunk as Ledoit & Wolf (2004)."""
        from scipy.linalg import cho_factor
        from sklearn.covariance import ledoit_wolf

        covariance, _ = ledoit_wolf(self.residuals, assume_centered=True)
        ridge = 1e-6 * np.trace(covariance) / len(covariance) + 1e-12
        return cho_factor(covariance + ridge * np.eye(len(covariance)))

    def whiten(self, direction: np.ndarray) -> np.ndarray:
        """Inverse covariance times a direction [features]."""
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve(self.precision_factor, direction))

    @cached_property
    def _pca(self):  # type: ignore[no-untyped-def]  # a scikit-learn estimator
        from sklearn.decomposition import PCA

        components = min(COMPONENTS, len(self.x) - 1, self.x.shape[1])
        return PCA(components, svd_solver="full" if self.x.shape[1] <= 1024 else "randomized", random_state=0).fit(
            self.x
        )

    def project(self, x: np.ndarray) -> np.ndarray:
        """Rows [N, features] in the PCA space of the reference, [N, components]."""
        return np.asarray(self._pca.transform(x))

    @cached_property
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Projected reference records and labels that carry kernels: all, or a random part."""
        rows = np.random.default_rng(0).permutation(len(self.x))[:CENTRES]
        return self.project(self.x[rows]), self.y[rows]

    def bandwidth(self, size: int) -> float:
        """Kernel bandwidth that suits a mixture of `size` centres: the best held-out likelihood on the reference."""
        if size not in self._bandwidths:
            z, y = self.centres
            size = min(size, len(z) // 2)
            held = slice(size, min(len(z), size + 1000))
            squared = squared_distances(z[held], z[:size])
            scale = np.sqrt(np.median(squared.min(axis=1)) / z.shape[1]) + 1e-12
            grid = scale * np.geomspace(0.2, 3.0, 12)
            fits = [log_density(squared, y[held], y[:size], h, z.shape[1]).mean() for h in grid]
            self._bandwidths[size] = float(grid[int(np.argmax(fits))])
        return self._bandwidths[size]
