"""A start that is as varied as the records: private k-means within each class, in a private subspace.

One release holds second moments and class means of the low-frequency cosine coefficients of the images: their principal
subspace, and a Gaussian per class to draw first centres from. Three Lloyd rounds (Lloyd 1982) then ask for the sum and the
number of the records around each centre. Where a class has more images than clusters, the others are drawn around them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from dpcond.errors import AnswerLost
from dpcond.methods.base import Run, class_sizes, seconds
from dpcond.methods.features import noise_records
from dpcond.privacy.curator import Curator
from dpcond.privacy.plan import Stage
from dpcond.privacy.queries import CellSums, Feature, Moments
from dpcond.spec import DataSpec

MOMENTS, CLUSTERS = "moments", "clusters"
FREQUENCIES = 12  # kept per side of an image
LARGEST = 192  # coefficients in all: fewer per side where there are colours
DIRECTIONS = 30  # of the principal subspace
RECORDS = 150  # declared records that a cluster needs: below, its mean drowns in noise
ROUNDS = 3
RADIUS = (
    0.5  # unit of the coefficients, and where the moments clip them: of an image of which every value is at its bound
)
REACH = 0.4  # a record's way to its centre is clipped there, in radii
COUNT = 0.12  # weight of the coordinate that counts, in radii
GRID = 4096  # centres are whole multiples of 1/GRID
DRAWN = 3000  # of a class' Gaussian, on which the first centres are found


class LowFrequencies(nn.Module):
    """Orthonormal cosine transform, cut to the lowest coefficients: x [B, C, H, W] -> [B, k], and back."""

    rows: Tensor
    columns: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        from scipy.fft import dct

        channels, height, width = spec.shape
        kept = min(FREQUENCIES, height, width, int(math.sqrt(LARGEST / channels)))
        for name, size in (("rows", height), ("columns", width)):
            matrix = dct(np.eye(size), axis=0, norm="ortho")[:kept]
            self.register_buffer(name, torch.from_numpy(matrix).float())
        self.channels, self.kept = channels, kept
        self.size = channels * kept * kept

    def forward(self, x: Tensor) -> Tensor:
        """Coefficients [B, k] of images [B, C, H, W]."""
        return (self.rows @ x @ self.columns.T).flatten(1)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Images [B, C, H, W] without other frequencies, of coefficients [B, k]."""
        return self.rows.T @ coefficients.view(-1, self.channels, self.kept, self.kept) @ self.columns


class Coordinates(nn.Module):
    """Coordinates of an image in a subspace, in radii [B, q]."""

    centre: Tensor
    basis: Tensor

    def __init__(self, transform: LowFrequencies, centre: Tensor, basis: Tensor, radius: float) -> None:
        super().__init__()
        self.transform, self.radius = transform, radius
        self.register_buffer("centre", centre)
        self.register_buffer("basis", basis.float())

    def forward(self, x: Tensor) -> Tensor:
        """Rows of records x [B, C, H, W]."""
        return self.transform(x - self.centre) @ self.basis / self.radius


def directions(spec: DataSpec) -> int:
    """Size of the subspace."""
    return min(DIRECTIONS, LowFrequencies(spec).size)


def clusters_per_class(spec: DataSpec, images: int) -> int:
    """One per image of a class, as far as the declared number of records carries them."""
    return max(1, min(images, spec.records // spec.num_classes // RECORDS))


def cluster_stages(spec: DataSpec, images: int, moments: float, clusters: float) -> tuple[Stage, Stage]:
    """The release of moments and the rounds of clustering, for these shares of the budget and ``images`` per class."""
    k, cells = LowFrequencies(spec).size, clusters_per_class(spec, images)
    return (
        Stage(
            MOMENTS,
            1,
            k * (k + 1) // 2 + k * spec.num_classes,
            moments,
            purpose="moments of low frequencies: a subspace, and a Gaussian per class",
        ),
        Stage(
            CLUSTERS,
            ROUNDS,
            spec.num_classes * cells * (directions(spec) + 1),
            clusters,
            purpose="k-means within each class, in the subspace",
        ),
    )


def rehearse_clusters(spec: DataSpec, images: int, run: Run) -> float:
    """Expected seconds of the rounds, in which every declared record is looked at by itself; measured on public noise."""
    transform, q = LowFrequencies(spec), directions(spec)
    rows = Coordinates(transform, torch.zeros(spec.shape), torch.eye(transform.size, q), 1.0).to(run.device)
    centres = torch.zeros(spec.num_classes, clusters_per_class(spec, images), q)
    query = CellSums(Feature(rows, q, REACH), centres, COUNT, "rehearsal")
    records, labels = noise_records(spec, 64, 0).to(run.device), torch.zeros(64, dtype=torch.long, device=run.device)
    return seconds(lambda: query.sum(records, labels)) / 64 * spec.records * ROUNDS


def varied_start(curator: Curator, run: Run, means: Tensor, images: int, count: int) -> Tensor:
    """``count`` images per class, [classes · count, *shape], unbounded: cluster centres first, then draws around them.

    Args:
        means: released mean image of each class, [classes, *shape].
        images: as planned (:func:`cluster_stages`).
    """
    spec = curator.spec
    transform = LowFrequencies(spec)
    low, high = spec.normalized_bounds
    half_range = max(h - w for w, h in zip(low, high, strict=True)) / 2
    radius = RADIUS * half_range * math.sqrt(spec.features)
    space = Subspace(curator, run, transform, means, radius)
    centres = space.first_centres(clusters_per_class(spec, images), run.seed)
    for index in range(ROUNDS):
        centres = space.round(index, centres)
    return space.images(means, centres, count, run.seed)


class Subspace:
    """The principal subspace of the released moments, and what was released in it. Coordinates are in radii."""

    def __init__(self, curator: Curator, run: Run, transform: LowFrequencies, means: Tensor, radius: float) -> None:
        spec, q = curator.spec, directions(curator.spec)
        self.curator, self.device, self.radius = curator, run.device, radius
        self.transform, self.centre = transform, means.mean(0)
        self.sizes = class_sizes(curator).double()
        whole = Coordinates(transform, self.centre, torch.eye(transform.size), radius).to(run.device)
        self.means = whole(means.to(run.device)).double().cpu()  # [classes, k]
        query = Moments(Feature(whole, transform.size, 1.0), spec.num_classes, MOMENTS)
        try:
            second, cross = query.unpack(self._ask(MOMENTS, 0, query))
        except AnswerLost:  # no subspace: the lowest frequencies, and no spread
            second = torch.diag(torch.linspace(1, 0, transform.size, dtype=torch.float64))
            cross = torch.zeros(transform.size, spec.num_classes, dtype=torch.float64)
        clipped = cross / self.sizes  # [k, classes]: means of the rows that the second moments are of
        within = second / self.sizes.sum() - (clipped * (self.sizes / self.sizes.sum())) @ clipped.T
        basis = torch.linalg.eigh(second)[1][:, -q:]
        noise = self._noise(MOMENTS, query.sensitivity(curator.plan.adjacency)) / float(self.sizes.sum())
        values, vectors = torch.linalg.eigh(basis.T @ within @ basis)
        self.spread = (vectors * shrink(values, noise * math.sqrt(2 * q)).sqrt()) @ vectors.T  # a square root [q, q]
        self.basis = basis

    def _ask(self, stage: str, index: int, query: Moments | CellSums) -> Tensor:
        return self.curator.ask(stage, index, query).double().cpu()

    def _noise(self, stage: str, sensitivity: float) -> float:
        return self.curator.plan.event(stage).noise_multiplier * sensitivity

    def draw(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """Coordinates [count, q] drawn from the Gaussian of a class."""
        drawn = torch.randn(count, len(self.spread), generator=generator, dtype=torch.float64)
        return self.means[label] @ self.basis + drawn @ self.spread

    def first_centres(self, cells: int, seed: int) -> Tensor:
        """k-means of the classes' Gaussians, [classes, cells, q]: public."""
        from sklearn.cluster import KMeans

        generator = torch.Generator().manual_seed(seed)
        found = [
            KMeans(cells, n_init=1, random_state=seed).fit(self.draw(label, DRAWN, generator).numpy()).cluster_centers_
            for label in range(len(self.means))
        ]
        return torch.from_numpy(np.stack(found))

    def round(self, index: int, centres: Tensor) -> Tensor:
        """One Lloyd round: the noisy mean of the records around each centre, pulled to the class mean by what is noise.

        The pull is that of empirical Bayes, coordinate by coordinate: signal variance over signal and noise variance.
        """
        _, cells, q = centres.shape
        rows = Coordinates(self.transform, self.centre, self.basis, self.radius).to(self.device)
        asked = (centres * GRID).round() / GRID  # a resumed run, on other kernels, asks the very same question
        query = CellSums(Feature(rows, q, REACH), asked, COUNT, CLUSTERS)
        try:
            answer = self._ask(CLUSTERS, index, query)
        except AnswerLost:
            return centres
        even = self.sizes[:, None] / cells
        counts = (answer[:, :, q] / COUNT).clamp_min(even / 4)
        found = asked + answer[:, :, :q] / counts[:, :, None]
        variance = (self._noise(CLUSTERS, query.sensitivity(self.curator.plan.adjacency)) / counts).square()[:, :, None]
        middle = (self.means @ self.basis)[:, None]
        signal = ((found - middle).square().mean(1, keepdim=True) - variance.mean(1, keepdim=True)).clamp_min(0.0)
        return middle + (found - middle) * (signal / (signal + variance).clamp_min(1e-12))

    def images(self, means: Tensor, centres: Tensor, count: int, seed: int) -> Tensor:
        """``count`` images per class: its mean image, moved by a centre, and by a draw around it when centres run out."""
        generator = torch.Generator().manual_seed(seed + 1)
        classes, cells, _ = centres.shape
        images = []
        for label in range(classes):
            which = torch.arange(count) % cells
            middle = self.means[label] @ self.basis
            around = (self.draw(label, count, generator) - middle) * (torch.arange(count) >= cells)[:, None]
            moved = centres[label, which] - middle + around * self._left(centres[label], label)
            images.append(means[label] + self.transform.inverse((moved @ self.basis.T * self.radius).float()))
        return torch.cat(images)

    def _left(self, centres: Tensor, label: int) -> float:
        """Share of a class' standard deviation that lies within its clusters."""
        total = float(self.spread.square().sum())
        between = float((centres - self.means[label] @ self.basis).square().sum(1).mean())
        return math.sqrt(max(0.0, 1 - between / total)) if total else 0.0


def shrink(values: Tensor, edge: float) -> Tensor:
    """Eigenvalues of a covariance from those of its noisy release: 0 up to the noise's ``edge``, and above it less.

    An eigenvalue ℓ under symmetric noise of spectral edge e is seen at ℓ + (e/2)²/ℓ (Benaych-Georges & Nadakuditi 2011).
    """
    above = values.clamp_min(edge)
    return torch.where(values > edge, (above + (above.square() - edge**2).clamp_min(0.0).sqrt()) / 2, 0.0)
