"""The only door in the wall: sums, over records, of a clipped per-record statistic.

Each query is a public, fixed function of one record. It states its L2 sensitivity under both adjacencies and computes
the clean sum of a batch; the curator alone calls :meth:`sum`, and adds the noise.

    ClassSums     e_y ⊗ clip_R((g(x) − a) P), a public or a_y   DM, MMD, DP-MERF, class counts
    CellSums      e_y ⊗ e_cell(x, y) ⊗ (clip_R((g(x) − a) P − c_cell), b)     k-means within each class
    GradientSum   clip_R(∇ ℓ(f(x), y)) at a public f            DC, DSA, DP-SGD
    Moments       (φφᵀ packed, φ e_yᵀ), φ = clip_R((g(x) − a) P)   kernel ridge regression, DP linear heads, DP-PCA

(Nearest-neighbour votes would be a fourth: e_nn(x), of sensitivity 1.)
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpcond.errors import InputError
from dpcond.privacy.adjacency import Adjacency
from dpcond.privacy.clipping import clip_rows
from dpcond.privacy.gradients import LINEAR, Loss, clipped_gradient_sum, trainable
from dpcond.privacy.isolation import refuse_coupling, refuse_coupling_in

Statistic = Callable[[Tensor], Tensor]
LEAST = 0.05  # of what a feature sees of a record, before its centre and projection


class Query(ABC):
    """A sum over records of a bounded statistic."""

    name: str
    shape: tuple[int, ...]
    #: A public per-record map that the curator applies (and probes) first, once for all releases that share it;
    #: :meth:`sum` and the statistics of :meth:`per_record` then see mapped records.
    mapping: Statistic | None = None

    @property
    def dimension(self) -> int:
        """Number of values in an answer."""
        return math.prod(self.shape)

    @abstractmethod
    def record_norm(self) -> float:
        """Largest L2 norm one record can add to the sum."""

    @abstractmethod
    def sum(self, x: Tensor, y: Tensor, *, clip: bool = True, grid: float | None = None) -> Tensor:
        """The clean sum over a batch x [B, ...], y [B]: float64 of :attr:`shape`. For the curator only."""

    @abstractmethod
    def per_record(self) -> list[Statistic]:
        """The public maps that must treat every record on its own, x [B, ...] -> [B, k]; the curator probes them."""

    def sensitivity(self, adjacency: Adjacency) -> float:
        """Largest L2 change of the sum between neighbouring datasets.

        Adding or removing a record moves the sum by at most its norm. Replacing one removes and adds: twice that.
        """
        return self.record_norm() * (2 if adjacency is Adjacency.REPLACE_ONE else 1)

    def fingerprint(self) -> str:
        """What was asked, for the ledger: public, and equal for equal questions."""
        return hashlib.sha256(
            json.dumps([type(self).__name__, self.name, self.shape, self.record_norm()]).encode()
        ).hexdigest()


def _positive(bound: float) -> float:
    if not (math.isfinite(bound) and bound > 0):
        raise InputError(f"clipping norm {bound!r}: expected a finite positive number")
    return float(bound)


@dataclass(frozen=True)
class Feature:
    """A public per-record feature map x [B, ...] -> [B, size]: statistic, centre, projection, clip.

    Args:
        statistic: fixed public function; a network must not couple records (no BatchNorm).
        width: values per record that ``statistic`` returns.
        bound: clipping norm R, after centring and projecting.
        center: public vector [width] subtracted first, so that the clip is not spent on what all records share; or one
            for every class [classes, width], of which a record takes that of its own label.
        projection: public matrix [width, size] applied before the clip: fewer dimensions, less noise.
        unit: give every record the norm R (no bound to tune) instead of at most R. Less to one of which centre and
            projection leave under ``LEAST`` of its length: what is left is rounding, and must not decide a direction.
    """

    statistic: Statistic
    width: int
    bound: float
    center: Tensor | None = None
    projection: Tensor | None = None
    unit: bool = False

    def __post_init__(self) -> None:
        _positive(self.bound)
        refuse_coupling_in(self.statistic)
        if self.center is not None and (self.center.ndim not in (1, 2) or self.center.shape[-1] != self.width):
            raise InputError(
                f"centre of shape {tuple(self.center.shape)}: expected ({self.width},) or (classes, {self.width})"
            )
        if self.projection is not None and self.projection.shape[:1] != (self.width,):
            raise InputError(f"projection of shape {tuple(self.projection.shape)}: expected ({self.width}, size)")

    @property
    def size(self) -> int:
        """Values per record after the projection."""
        return self.width if self.projection is None else int(self.projection.shape[1])

    def raw(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Centred and projected statistic, before the clip [B, size]; differentiable, for the public side.

        ``y`` [B] are the labels of the records ``x``: needed where every class has a centre of its own.
        """
        return self._placed(self.statistic(x), y)

    def _placed(self, seen: Tensor, y: Tensor | None) -> Tensor:
        rows = seen if self.center is None else seen - self._centers(y).to(seen)
        return rows if self.projection is None else rows @ self.projection.to(rows)

    def _centers(self, y: Tensor | None) -> Tensor:
        assert self.center is not None
        if self.center.ndim == 1:
            return self.center
        if y is None:
            raise InputError("feature with a centre for every class: give the labels of the records")
        return self.center[y.to(self.center.device)]

    def public(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """What the query computes of each record, differentiable in ``x``, for synthetic records [B, size]."""
        seen = self.statistic(x)
        rows = self._placed(seen, y)
        if self.unit:
            return self._scaled(rows, seen)
        norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1e-12)
        return rows * (self.bound / norms).clamp_max(1.0)

    def _scaled(self, rows: Tensor, seen: Tensor) -> Tensor:
        """Rows to norm R, or to less by ``LEAST`` of what was seen of a record; zero stays zero."""
        norms, lengths = (torch.linalg.vector_norm(part, dim=1, keepdim=True) for part in (rows, seen))
        return rows * (self.bound / torch.maximum(norms, LEAST * lengths).clamp_min(1e-12))

    @torch.no_grad()
    def rows(self, x: Tensor, y: Tensor, *, clip: bool, grid: float | None) -> Tensor:
        """Clipped rows [B, size], float64, of records with these labels."""
        if len(x) == 0:
            return torch.zeros(0, self.size, dtype=torch.float64, device=x.device)
        seen = self.statistic(x)
        rows = self._placed(seen, y).double()
        if self.unit:  # part of the statistic: a run without privacy has it too
            rows = self._scaled(rows, seen.double())
        return clip_rows(rows, self.bound, grid=grid) if clip else rows


class ClassSums(Query):
    """Sum of a feature per class, answer [classes, size]: e_y ⊗ clip_R(g(x)).

    A record touches the block of its own label only, so all classes together have the sensitivity of one.
    """

    def __init__(self, feature: Feature, classes: int, name: str) -> None:
        """``name`` tells which public feature this is (architecture, seed, centre): it enters the fingerprint.

        Raises:
            InputError: centres of the feature for another number of classes.
        """
        if feature.center is not None and feature.center.ndim == 2 and len(feature.center) != classes:
            raise InputError(f"feature with centres for {len(feature.center)} classes: expected {classes}")
        self.feature, self.classes, self.name = feature, classes, name
        self.shape = (classes, feature.size)

    def record_norm(self) -> float:
        """R: one block, one clipped row."""
        return self.feature.bound

    def per_record(self) -> list[Statistic]:
        """The feature."""
        return [self.feature.statistic]

    def sum(self, x: Tensor, y: Tensor, *, clip: bool = True, grid: float | None = None) -> Tensor:
        """Class sums of a batch, float64 [classes, size]."""
        rows = self.feature.rows(x, y, clip=clip, grid=grid)
        return torch.zeros(self.shape, dtype=torch.float64, device=rows.device).index_add_(0, y, rows)


class CellSums(ClassSums):
    """Displacements from public centres and the number of records there, answer [classes, cells, size + 1].

    A record counts in the cell of the nearest centre of its own class, and adds (clip_R(g(x) − centre), ``count``): what
    is clipped is the way to the centre, which is shorter than the way to a common one. One cell of one class is touched,
    so all cells together have the sensitivity of one.
    """

    def __init__(self, feature: Feature, centres: Tensor, count: float, name: str) -> None:
        """``centres`` [classes, cells, size]: public, in the space of the feature before its clip.

        Args:
            feature: its bound R is that of a displacement.
            count: weight of the coordinate that counts records.

        Raises:
            InputError: centres of another size, or not finite; a feature of unit norm.
        """
        if centres.ndim != 3 or centres.shape[2] != feature.size or not centres.isfinite().all():
            raise InputError(
                f"centres of shape {tuple(centres.shape)}: expected finite [classes, cells, {feature.size}]"
            )
        if feature.unit:
            raise InputError("cell sums of a feature of unit norm: displacements have none; give unit=False")
        digest = hashlib.sha256(centres.double().cpu().numpy().tobytes()).hexdigest()[:16]
        super().__init__(feature, len(centres), f"{name} ({digest})")
        self.centres, self.count = centres.double(), _positive(count)
        self.shape = (*centres.shape[:2], feature.size + 1)

    def record_norm(self) -> float:
        """√(R² + count²): one clipped displacement and one count."""
        return math.hypot(self.feature.bound, self.count)

    @torch.no_grad()
    def sum(self, x: Tensor, y: Tensor, *, clip: bool = True, grid: float | None = None) -> Tensor:
        """Sums per class and cell of a batch, float64 [classes, cells, size + 1].

        Records are taken one at a time: kernels chosen by the size of a batch differ in their last digits, and that must
        not carry one record over a border because another is there.
        """
        total = torch.zeros(self.shape, dtype=torch.float64, device=x.device)
        centres = self.centres.to(x.device)
        count = self.count if grid is None else math.floor(self.count / grid) * grid
        for i, label in enumerate(y.tolist()):
            ways = self.feature.raw(x[i : i + 1], y[i : i + 1]).double() - centres[label]
            cell = ways.square().sum(1).argmin()
            way = ways[cell : cell + 1]
            total[label, cell, :-1] += (clip_rows(way, self.feature.bound, grid=grid) if clip else way)[0]
            total[label, cell, -1] += count
        return total


class ClassCounts(ClassSums):
    """Records per class, answer [classes, 1]; a record adds one."""

    def __init__(self, classes: int) -> None:
        super().__init__(
            Feature(lambda x: torch.ones(len(x), 1, device=x.device), 1, 1.0, unit=True), classes, "counts"
        )


class GradientSum(Query):
    """Sum of clipped per-record gradients of a loss at a public network, answer [parameters]."""

    def __init__(
        self,
        model: nn.Module,
        bound: float,
        name: str,
        *,
        loss: Loss = F.cross_entropy,
        transform: Statistic | None = None,
        mapping: Statistic | None = None,
        engine: str = "vmap",
        chunk: int = 32,
    ) -> None:
        """``transform`` is a public augmentation applied to the records first; engine and chunk change speed only.

        ``mapping`` puts fixed public features before the network, computed once for all queries that share them.
        """
        refuse_coupling(model)
        if mapping is not None:
            refuse_coupling_in(mapping)
        if mapping is not None and transform is not None:
            raise InputError("gradient query: give a mapping (computed once) or a transform (anew each time), not both")
        self.mapping = mapping
        self.model, self.bound, self.name = model, _positive(bound), name
        self.loss, self.transform, self.engine, self.chunk = loss, transform, engine, chunk
        self.shape = (sum(p.numel() for p in trainable(model).values()),)

    def record_norm(self) -> float:
        """R: the clipping norm of one record's gradient."""
        return self.bound

    def per_record(self) -> list[Statistic]:
        """The network, and the augmentation before it."""
        if self.engine == LINEAR:  # reads weights and rows alone, and so mixes no records
            return []
        transform = self.transform
        return [self.model] if transform is None else [self.model, lambda x: transform(x).flatten(1)]

    def sum(self, x: Tensor, y: Tensor, *, clip: bool = True, grid: float | None = None) -> Tensor:
        """Clipped gradient sum of a batch, float64 [parameters]."""
        if self.transform is not None and len(x):
            x = self.transform(x)
        bound = self.bound if clip else None
        return clipped_gradient_sum(self.model, self.loss, x, y, bound, engine=self.engine, chunk=self.chunk, grid=grid)


class Moments(Query):
    """Second moments of a feature, answer [k(k+1)/2 + k·classes]: (φφᵀ, φ e_yᵀ) in one release.

    The upper triangle is packed with off-diagonal entries times √2, so that its L2 norm is the matrix' Frobenius norm
    and the sensitivity is √(R⁴ + R²).
    """

    def __init__(self, feature: Feature, classes: int, name: str) -> None:
        self.feature, self.classes, self.name = feature, classes, name
        k = feature.size
        self.shape = (k * (k + 1) // 2 + k * classes,)

    def record_norm(self) -> float:
        """√(R⁴ + R²): ‖φφᵀ‖_F = R², and φ e_yᵀ has norm R."""
        return math.sqrt(self.feature.bound**4 + self.feature.bound**2)

    def per_record(self) -> list[Statistic]:
        """The feature."""
        return [self.feature.statistic]

    def sum(self, x: Tensor, y: Tensor, *, clip: bool = True, grid: float | None = None) -> Tensor:
        """Packed second moments of a batch, float64."""
        rows = self.feature.rows(x, y, clip=clip, grid=None)
        labels = F.one_hot(y, self.classes).to(rows)
        if grid is None or not clip:
            return self._packed(rows.T @ rows, rows.T @ labels)
        total = torch.zeros(self.shape, dtype=rows.dtype, device=rows.device)
        for row, label in zip(rows, labels, strict=True):
            # rounded record by record, before they are summed
            packed = self._packed(torch.outer(row, row), torch.outer(row, label))
            total += clip_rows(packed[None], self.record_norm(), grid=grid)[0]
        return total

    def _packed(self, second: Tensor, cross: Tensor) -> Tensor:
        k = len(second)
        upper = torch.triu_indices(k, k, device=second.device)
        scale = torch.where(upper[0] == upper[1], 1.0, math.sqrt(2)).to(second)
        return torch.cat([second[upper[0], upper[1]] * scale, cross.flatten()])

    def unpack(self, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Symmetric [k, k] and cross moments [k, classes] out of a packed answer."""
        k = self.feature.size
        upper = torch.triu_indices(k, k, device=answer.device)
        half = torch.zeros(k, k, dtype=answer.dtype, device=answer.device)
        half[upper[0], upper[1]] = answer[: upper.shape[1]]
        off = half.triu(1) / math.sqrt(2)
        return torch.diag(half.diagonal()) + off + off.T, answer[upper.shape[1] :].reshape(k, self.classes)


#: All that the curator answers. A query of another type would be trusted to clip, and to state its own sensitivity.
QUERIES = (ClassSums, CellSums, ClassCounts, GradientSum, Moments)
